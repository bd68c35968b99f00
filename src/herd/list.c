/* SPDX-License-Identifier: Apache-2.0 */
/* list, list_bases and info: what the catalogue knows, with the state that the engines tell now. */
#include "herd/live.h"
#include "herd/warm.h"
#include "herd/memory.h"

/* 0 where the herd exists; 1 where there is none yet: every list of it is empty. */
static int open_to_read(struct call *call, struct cowherd_error *err)
{
        return herd_open(call->herd, false, err);
}

static int no_herd(const struct call *call, struct cowherd_error *err)
{
        return fail(err, COWHERD_NOT_FOUND, "'%s' not found: the herd at '%s' is empty", request_text(call->request, KEY_NAME), call->herd->root);
}

static void answer_count(struct cowherd_answer *answer, size_t count, const char *what)
{
        answer_done(answer, "%zu %s%s", count, what, count == 1 ? "" : "s");
}

int verb_list_bases(struct call *call, struct cowherd_error *err)
{
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};
        int got = open_to_read(call, err);

        if (got < 0 || (got == 0 && catalogue_list(call->herd->catalogue, call->request->target, CATALOGUE_BASE,
                                                   request_text(call->request, KEY_NAME), &rows, err) < 0))
                return -1;
        answer_list(call->answer);
        for (size_t i = 0; i < rows.count; i++) {
                answer_item(call->answer);
                fields_of_base(call->answer, &rows.items[i]);
        }
        answer_items_end(call->answer);
        answer_count(call->answer, rows.count, "base");
        return 0;
}

/* The places of a long list: thing_path needs a folder, and opening it for each clone would be the whole cost of a list. */
struct folders {
        struct place place;
        bool opened;
};

static char *path_of(struct cowherd_herd *herd, struct folders *folders, const struct catalogue_row *row)
{
        struct cowherd_error ignored;

        if (!folders->opened || !str_equal(folders->place.name, row->place == NULL ? "" : row->place)) {
                place_close(&folders->place);
                folders->opened = place_open(herd, row->place, false, &folders->place, &ignored) == 0;
        }
        return folders->opened ? thing_path(&folders->place, row) : x_strdup("");
}

/* A list goes on without the engine that does not answer: its clones are "unknown", and the answer says why. */
static void ask_states(struct call *call, const struct catalogue_rows *rows, enum engine_state *states)
{
        struct cowherd_error err;

        if (rows->count > 0 && herd_states(call->herd, rows->items, rows->count, states, &err) < 0)
                answer_text(call->answer, "warning", err.text);
}

int verb_list(struct call *call, struct cowherd_error *err)
{
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};
        struct folders folders = {.place.fd = -1};
        int got = open_to_read(call, err);

        if (got < 0 || (got == 0 && catalogue_list(call->herd->catalogue, call->request->target, CATALOGUE_CLONE,
                                                   request_text(call->request, KEY_NAME), &rows, err) < 0))
                return -1;
        if (rows.count == 0 && call->request->verb->id == VERB_INFO)
                return fail(err, COWHERD_NOT_FOUND, "no clone matches '%s'", request_text(call->request, KEY_NAME));
        owned_mem enum engine_state *states = x_calloc(rows.count, sizeof *states);
        ask_states(call, &rows, states);
        answer_list(call->answer);
        for (size_t i = 0; i < rows.count; i++) {
                owned_str char *path = path_of(call->herd, &folders, &rows.items[i]);
                answer_item(call->answer);
                fields_of_clone(call->answer, &rows.items[i], path, engine_state_name(states[i]));
                if (call->request->verb->id == VERB_INFO || request_has(call->request, KEY_COLUMNS))
                        fields_of_identity(call->answer, &rows.items[i]);
        }
        answer_items_end(call->answer);
        place_close(&folders.place);
        answer_count(call->answer, rows.count, "clone");
        return 0;
}

/* How many snapshots it has, and how many objects it stands on. */
static int fields_of_points(struct call *call, const struct catalogue_row *row, struct cowherd_error *err)
{
        struct catalogue *catalogue = call->herd->catalogue;
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};
        uint64_t snapshots = 0, depth = 0;

        if (catalogue_snapshots(catalogue, row->id, &rows, err) < 0)
                return -1;
        for (size_t i = 0; i < rows.count; i++)
                snapshots += rows.items[i].label != NULL;
        for (uint64_t id = row->base_id; id != 0; depth++) {
                struct catalogue_row base owned_by(catalogue_row_free) = {0};
                int got = catalogue_get(catalogue, id, &base, err);
                if (got < 0)
                        return -1;
                id = got > 0 ? 0 : base.base_id;
        }
        answer_number(call->answer, "snapshots", snapshots);
        answer_number(call->answer, "depth", depth);
        return 0;
}

/* The address that a running instance has now; what can't be known at once is left out. */
static void add_address(struct call *call, const struct catalogue_row *row)
{
        struct live live owned_by(live_free) = {.thing.place.fd = -1};
        struct cowherd_error ignored;

        if (catalogue_get(call->herd->catalogue, row->id, &live.thing.row, &ignored) != 0 || live_open(call->herd, false, &live, &ignored) < 0)
                return;
        if (live.machine.engine->wait != NULL && live_wait(&live, ENGINE_EVENT_ADDRESS, 0, &ignored) == 0)
                answer_text(call->answer, "address", live.wait.address);
}

static int info_of_clone(struct call *call, const struct catalogue_row *row, struct cowherd_error *err)
{
        struct folders folders = {.place.fd = -1};
        enum engine_state state = ENGINE_UNKNOWN;
        const struct catalogue_rows one = {.items = (struct catalogue_row *)(uintptr_t)row, .count = 1};
        owned_str char *path = path_of(call->herd, &folders, row);

        place_close(&folders.place);
        ask_states(call, &one, &state);
        answer_text(call->answer, "role", "clone");
        fields_of_clone(call->answer, row, path, engine_state_name(state));
        fields_of_identity(call->answer, row);
        if (state == ENGINE_RUNNING)
                add_address(call, row);
        if (fields_of_points(call, row, err) < 0)
                return -1;
        const char *base = base_text(row);
        if (str_equal(base, "none"))
                answer_done(call->answer, "clone '%s' is %s", row->name, engine_state_name(state));
        else
                answer_done(call->answer, "clone '%s' of '%s' is %s", row->name, base[0] == '\0' ? "a removed base" : base, engine_state_name(state));
        return 0;
}

static int info_of_base(struct call *call, const struct catalogue_row *row, struct cowherd_error *err)
{
        struct folders folders = {.place.fd = -1};
        owned_str char *path = path_of(call->herd, &folders, row);

        place_close(&folders.place);
        answer_text(call->answer, "role", "base");
        fields_of_base(call->answer, row);
        answer_text(call->answer, "path", row->kind == STORE_INSTANCE ? NULL : path);
        if (fields_of_warm(call->herd, call->answer, row, err) < 0)
                return -1;
        fields_of_memory_facts(call->answer, call->herd, row);
        answer_done(call->answer, "base '%s' has %llu clone%s", row->name, (unsigned long long)row->clones, row->clones == 1 ? "" : "s");
        return 0;
}

int verb_info(struct call *call, struct cowherd_error *err)
{
        struct catalogue_row row owned_by(catalogue_row_free) = {0};
        if (str_is_pattern(request_text(call->request, KEY_NAME)))
                return verb_list(call, err);
        int got = open_to_read(call, err);
        if (got < 0)
                return -1;
        if (got > 0)
                return no_herd(call, err);
        if (herd_find(call->herd, call->request->target, "", request_text(call->request, KEY_NAME), &row, err) < 0)
                return -1;
        return row.role == CATALOGUE_BASE ? info_of_base(call, &row, err) : info_of_clone(call, &row, err);
}
