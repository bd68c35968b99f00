/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree: what stands on what. A clone hangs under what people say it is a clone of (a base, or another clone), not under the
 * snapshot that lies between; a removed base whose bytes wait for its last clone is shown, since those bytes are there. Items
 * come parents first, each with its parent's id, so that any face can draw or nest them. An engine or a store that does not
 * answer leaves its figures out, and the answer says why.
 */
#include "herd/usage.h"

#include "base/number.h"

#define NO_NODE SIZE_MAX

struct node {
        size_t parent, child, next; /* indices, or NO_NODE */
        bool shown;                 /* it matches, or something below it does */
        bool matches;
};

struct place_of_id {
        uint64_t id;
        size_t at;
};

/* Row i is node i: first the bases, then the clones, then removed bases as they are met. */
struct tree {
        struct call *call;
        struct catalogue_rows rows;
        struct node *nodes;
        struct place_of_id *index; /* of the rows that were listed, by id */
        size_t listed, listed_bases;
        enum engine_state *states; /* of the listed clones */
        uint64_t unique;
        size_t bases, clones;
        struct cowherd_error warning; /* the first */
};

static void tree_free(struct tree *tree)
{
        catalogue_rows_free(&tree->rows);
        free(tree->nodes);
        free(tree->index);
        free(tree->states);
}
define_owned(struct tree, tree_free)

static int by_id(const void *one, const void *other)
{
        const struct place_of_id *a = one, *b = other;

        return a->id < b->id ? -1 : a->id > b->id;
}

/* The node of an id, or NO_NODE. */
static size_t node_of(const struct tree *tree, uint64_t id)
{
        const struct place_of_id wanted = {.id = id};
        const struct place_of_id *found = tree->listed == 0 ? NULL : bsearch(&wanted, tree->index, tree->listed, sizeof wanted, by_id);

        if (found != NULL)
                return found->at;
        for (size_t i = tree->listed; i < tree->rows.count; i++)
                if (tree->rows.items[i].id == id)
                        return i;
        return NO_NODE;
}

static int list_rows(struct tree *tree, struct cowherd_error *err)
{
        struct catalogue *catalogue = tree->call->herd->catalogue;
        const enum cowherd_target target = request_engine(tree->call->request);

        if (catalogue_list(catalogue, target, CATALOGUE_BASE, NULL, &tree->rows, err) < 0)
                return -1;
        tree->listed_bases = tree->rows.count;
        if (catalogue_list(catalogue, target, CATALOGUE_CLONE, NULL, &tree->rows, err) < 0)
                return -1;
        tree->listed = tree->rows.count;
        tree->index = x_calloc(tree->listed, sizeof *tree->index);
        for (size_t i = 0; i < tree->listed; i++)
                tree->index[i] = (struct place_of_id){.id = tree->rows.items[i].id, .at = i};
        if (tree->listed > 0)
                qsort(tree->index, tree->listed, sizeof *tree->index, by_id);
        return 0;
}

static size_t append_row(struct tree *tree, struct catalogue_row *row)
{
        struct catalogue_rows *rows = &tree->rows;

        if (rows->count == rows->capacity) {
                rows->capacity = rows->capacity < 16 ? 16 : rows->capacity * 2;
                rows->items = x_reallocarray(rows->items, rows->capacity, sizeof *rows->items);
        }
        rows->items[rows->count] = *row;
        *row = (struct catalogue_row){0};
        return rows->count++;
}

/* The node under which a row hangs, or NO_NODE for a root. */
static int find_parent(struct tree *tree, size_t of, size_t *ret, struct cowherd_error *err)
{
        const uint64_t id = tree->rows.items[of].id, base_id = tree->rows.items[of].base_id;
        const uint64_t of_id = tree->rows.items[of].of_id;
        uint64_t at = of_id == 0 ? base_id : of_id == id ? 0 : of_id;

        for (*ret = NO_NODE; at != 0 && at != id;) {
                struct catalogue_row above owned_by(catalogue_row_free) = {0};
                *ret = node_of(tree, at);
                if (*ret != NO_NODE)
                        return 0;
                int got = catalogue_get(tree->call->herd->catalogue, at, &above, err);
                if (got < 0)
                        return -1;
                if (got == 0 && above.role == CATALOGUE_BASE) {
                        *ret = append_row(tree, &above);
                        return 0;
                }
                if (got == 0)
                        at = above.base_id; /* a snapshot on the way */
                else
                        at = at == of_id && at != base_id ? base_id : 0; /* that clone is gone: what it really stands on is told */
        }
        return 0;
}

/* Whether `above` hangs under `at`. */
static bool is_under(const struct tree *tree, size_t above, size_t at, size_t known)
{
        for (size_t steps = 0; above < known && steps <= known; steps++, above = tree->nodes[above].parent)
                if (above == at)
                        return true;
        return above == at;
}

static int hang_rows(struct tree *tree, struct cowherd_error *err)
{
        for (size_t i = 0; i < tree->rows.count; i++) {
                size_t parent = NO_NODE;
                tree->nodes = x_reallocarray(tree->nodes, i + 1, sizeof *tree->nodes);
                tree->nodes[i] = (struct node){.parent = NO_NODE, .child = NO_NODE, .next = NO_NODE};
                if (find_parent(tree, i, &parent, err) < 0)
                        return -1;
                if (parent != NO_NODE && !is_under(tree, parent, i, i))
                        tree->nodes[i].parent = parent;
        }
        for (size_t i = tree->rows.count; i-- > 0;) {
                size_t parent = tree->nodes[i].parent;
                if (parent == NO_NODE)
                        continue;
                tree->nodes[i].next = tree->nodes[parent].child;
                tree->nodes[parent].child = i;
        }
        return 0;
}

/* Marks what matches, and all that it hangs under. */
static int mark(struct tree *tree, struct cowherd_error *err)
{
        const char *pattern = request_text(tree->call->request, KEY_NAME);
        bool any = pattern == NULL;

        for (size_t i = 0; i < tree->rows.count; i++) {
                const char *name = tree->rows.items[i].name;
                tree->nodes[i].matches = pattern == NULL || (name != NULL && str_matches(pattern, name));
                any = any || tree->nodes[i].matches;
                for (size_t at = i; tree->nodes[i].matches && at != NO_NODE && !tree->nodes[at].shown; at = tree->nodes[at].parent)
                        tree->nodes[at].shown = true;
        }
        return any ? 0 : fail(err, COWHERD_NOT_FOUND, "'%s' not found: no base and no clone matches it", pattern);
}

static void warn(struct tree *tree, const struct cowherd_error *err)
{
        if (tree->warning.code == 0)
                tree->warning = *err;
}

static void add_bytes(struct tree *tree, const struct catalogue_row *row)
{
        struct measured measured = {0};
        struct cowherd_error why = {0};
        int got = usage_measure(tree->call->herd, row, &measured, &why);

        if (got < 0)
                warn(tree, &why);
        if (got != 0)
                return;
        answer_number(tree->call->answer, "unique_bytes", measured.usage.unique_bytes);
        answer_number(tree->call->answer, "shared_bytes", measured.usage.shared_bytes);
        tree->unique += measured.usage.unique_bytes;
}

static void add_node(struct tree *tree, size_t at, size_t depth)
{
        struct cowherd_answer *answer = tree->call->answer;
        const struct catalogue_row *row = &tree->rows.items[at];
        bool is_base = row->role == CATALOGUE_BASE;

        answer_item(answer);
        answer_number(answer, "id", row->id);
        answer_text(answer, "name", row->name == NULL ? "" : row->name);
        answer_text(answer, "engine", cowherd_target_name(row->target));
        answer_text(answer, "role", is_base ? "base" : "clone");
        answer_number(answer, "depth", depth);
        if (tree->nodes[at].parent != NO_NODE)
                answer_number(answer, "parent_id", tree->rows.items[tree->nodes[at].parent].id);
        answer_text(answer, "store", row->store);
        if (!is_base)
                answer_text(answer, "state", engine_state_name(tree->states[at - tree->listed_bases]));
        else if (row->name == NULL)
                answer_text(answer, "state", "removed");
        add_bytes(tree, row);
        tree->bases += is_base;
        tree->clones += !is_base;
}

/* A root and all that hangs under it, parents first. What hangs under a match is shown with it. */
static void add_branch(struct tree *tree, size_t root)
{
        size_t depth = 0, at = root;

        for (;;) {
                struct node *node = &tree->nodes[at];
                bool inherits = node->parent != NO_NODE && tree->nodes[node->parent].matches;
                node->matches = node->matches || inherits;
                if (node->shown || node->matches) {
                        add_node(tree, at, depth);
                        if (node->child != NO_NODE) {
                                at = node->child;
                                depth++;
                                continue;
                        }
                }
                while (at != root && tree->nodes[at].next == NO_NODE) {
                        at = tree->nodes[at].parent;
                        depth--;
                }
                if (at == root)
                        return;
                at = tree->nodes[at].next;
        }
}

/* By engine; in the order of names, bases first, what was removed last. */
static void add_roots(struct tree *tree)
{
        for (int target = 0; target < COWHERD_ENGINES; target++)
                for (size_t i = 0; i < tree->rows.count; i++)
                        if (tree->nodes[i].parent == NO_NODE && tree->rows.items[i].target == (enum cowherd_target)target)
                                add_branch(tree, i);
}

static void ask_states(struct tree *tree)
{
        struct cowherd_error why = {0};
        size_t clones = tree->listed - tree->listed_bases;

        tree->states = x_calloc(clones, sizeof *tree->states);
        if (clones > 0 && herd_states(tree->call->herd, tree->rows.items + tree->listed_bases, clones, tree->states, &why) < 0)
                warn(tree, &why);
}

int verb_tree(struct call *call, struct cowherd_error *err)
{
        struct tree tree owned_by(tree_free) = {.call = call};
        const char *pattern = request_text(call->request, KEY_NAME);
        char bytes[NUMBER_TEXT_BYTES];
        int got = herd_open(call->herd, false, err);

        if (got < 0)
                return -1;
        if (got > 0 && pattern != NULL)
                return fail(err, COWHERD_NOT_FOUND, "'%s' not found: the herd at '%s' is empty", pattern, call->herd->root);
        if (got == 0 && (list_rows(&tree, err) < 0 || hang_rows(&tree, err) < 0 || mark(&tree, err) < 0))
                return -1;
        ask_states(&tree);
        answer_list(call->answer);
        add_roots(&tree);
        answer_items_end(call->answer);
        answer_number(call->answer, "bases", tree.bases);
        answer_number(call->answer, "clones", tree.clones);
        answer_number(call->answer, "total_unique_bytes", tree.unique);
        answer_text(call->answer, "warning", tree.warning.code == 0 ? NULL : tree.warning.text);
        answer_done(call->answer, "%zu base%s and %zu clone%s have %s of their own", tree.bases, tree.bases == 1 ? "" : "s", tree.clones,
                    tree.clones == 1 ? "" : "s", number_format_size(tree.unique, bytes));
        return 0;
}
