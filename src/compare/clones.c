/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a clone costs: in this process, as a whole process, in a burst, and in bytes. Only the making is timed; each is taken away again
 * before the next, so that every one meets the same herd.
 */
#include "compare/pair.h"

#include "sys/clock.h"

#include <stdio.h>
#include <string.h>

#define BURST 100
#define BURST_OF_SLOW 10
#define SLOW_MS 50.0
#define NAME_BYTES 64

static const char *raw_name(const struct pair *pair)
{
        return pair->raw == NULL ? NULL : pair->raw->name;
}

static const char *raw_side(const struct pair *pair)
{
        return pair->raw == NULL ? "nothing" : pair->raw->side;
}

static const char *number(const char *stem, unsigned run, char *buffer)
{
        (void)snprintf(buffer, NAME_BYTES, "%s%u", stem, run);
        return buffer;
}

/* LXD's instances bear our clones' names, among those of others: so they bear the comparison's mark. */
static const char *own(const struct pair *pair, const char *stem, unsigned run, char *buffer)
{
        (void)snprintf(buffer, NAME_BYTES, "%s-%s%u", pair->session->site->mark, stem, run);
        return buffer;
}

static int delete_ours(struct pair *pair, const char *name, struct cowherd_error *err)
{
        return say(pair->session->herd, pair->target, NULL, NULL, err, "delete", word("name=%s", name), "force=true", NULL);
}

static int clone_ours(struct pair *pair, unsigned run, double *ret, struct cowherd_error *err)
{
        char name[NAME_BYTES];

        (void)own(pair, "c", run, name);
        if (say(pair->session->herd, pair->target, ret, NULL, err, "clone_from_base", word("base=%s", pair->base), word("name=%s", name), NULL) < 0)
                return -1;
        return delete_ours(pair, name, err);
}

static int clone_raw(struct pair *pair, unsigned run, double *ret, struct cowherd_error *err)
{
        char name[NAME_BYTES];

        (void)number("r", run, name);
        return pair->raw->clone(pair, name, ret, err) < 0 ? -1 : pair->raw->destroy(pair, name, err);
}

static int process_ours(struct pair *pair, unsigned run, double *ret, struct cowherd_error *err)
{
        char name[NAME_BYTES];

        (void)own(pair, "p", run, name);
        if (tool(ret, NULL, err, pair->session->program, "--root", pair->session->site->herd, pair->engine, "clone_from_base", word("base=%s", pair->base),
                 word("name=%s", name), NULL) < 0)
                return -1;
        return delete_ours(pair, name, err);
}

/* ---- bytes ---- */

struct bytes {
        struct series ours_allocated, ours_apparent, raw_allocated, raw_apparent;
};

static int weigh_ours(struct pair *pair, struct bytes *bytes, struct cowherd_error *err)
{
        owned_answer struct cowherd_answer *usage = NULL;
        char name[NAME_BYTES];
        const char *key = word("name=%s", own(pair, "w", 1, name));

        if (say(pair->session->herd, pair->target, NULL, NULL, err, "clone_from_base", word("base=%s", pair->base), key, NULL) < 0 ||
            say(pair->session->herd, pair->target, NULL, &usage, err, "usage", key, NULL) < 0)
                return -1;
        series_add(&bytes->ours_allocated, answer_value(usage, "unique_bytes"));
        series_add(&bytes->ours_apparent, answer_value(usage, "apparent_bytes"));
        return delete_ours(pair, name, err);
}

static int weigh_raw(struct pair *pair, struct bytes *bytes, struct cowherd_error *err)
{
        double ms = 0, allocated = 0, apparent = -1;

        if (pair->raw->clone(pair, "w1", &ms, err) < 0 || pair->raw->measure(pair, "w1", &allocated, &apparent, err) < 0)
                return -1;
        series_add(&bytes->raw_allocated, allocated);
        if (apparent >= 0)
                series_add(&bytes->raw_apparent, apparent);
        return pair->raw->destroy(pair, "w1", err);
}

/* What a full copy is made of: the base's bytes, or where those can't be reached, the folder that they come from. NULL: neither. */
static char *copied_path(const struct pair *pair)
{
        if (pair->base_path != NULL && !str_equal(pair->store, "zfs"))
                return x_strdup(pair->base_path);
        return str_equal(pair->image->format, "tree") ? x_strdup(pair->image->path) : NULL;
}

/* How large a full copy of the base is, really made, once for all that are of this image. 1: there is nothing to copy. */
static int copy_really(struct pair *pair, double *ret, struct cowherd_error *err)
{
        json_t *known = json_object_get(pair->session->copies, pair->image->path);
        const struct raw *copy = pair->target == COWHERD_QEMU ? &raw_disk_copy : &raw_tree_copy;
        owned_str char *path = copied_path(pair);
        struct pair copied = *pair;
        double ms = 0, apparent = 0;

        if (known != NULL) {
                *ret = json_number_value(known);
                return 0;
        }
        if (path == NULL)
                return 1;
        copied.base_path = path;
        if (copy->clone(&copied, "full", &ms, err) < 0 || copy->measure(&copied, "full", ret, &apparent, err) < 0 || copy->destroy(&copied, "full", err) < 0)
                return -1;
        json_object_set_new(pair->session->copies, pair->image->path, json_real(*ret));
        return 0;
}

static void add_space(struct pair *pair, const struct bytes *bytes)
{
        struct cowherd_error err = {0};
        double clone = series_median(&bytes->ours_allocated), copy = 0;
        int got = copy_really(pair, &copy, &err);

        json_t *entry = json_pack("{s:s, s:s, s:I, s:I, s:I}", "engine", pair->engine, "store", pair->store, "base_bytes", (json_int_t)pair->base_bytes,
                                  "clone_bytes", (json_int_t)clone, "apparent_bytes", (json_int_t)series_median(&bytes->ours_apparent));
        if (got < 0)
                note_left_out(pair, "full_copy", "%s", err.text);
        json_object_set_new(entry, "full_copy_bytes", got == 0 ? json_integer((json_int_t)copy) : json_null());
        json_object_set_new(entry, "saved_percent", got == 0 && copy > 0 ? number_of(100 * (1 - clone / copy)) : json_null());
        json_array_append_new(json_object_get(pair->session->document, "space"), entry);
}

static void add_bytes(struct pair *pair, const struct bytes *bytes)
{
        struct figure figure = {.id = "bytes_allocated", .title = "bytes of a clone", .unit = "bytes", .raw_name = raw_name(pair),
                                .compared = "allocated for a fresh clone alone, as `usage` tells : for the raw tool's"};

        figure_add(pair, &figure, &bytes->ours_allocated, &bytes->raw_allocated, 0);
        figure.id = "bytes_apparent";
        figure.title = "apparent bytes of a clone";
        figure.compared = "the length of the files that are a fresh clone's own, holes included : of the raw tool's";
        figure_add(pair, &figure, &bytes->ours_apparent, &bytes->raw_apparent, 0);
        add_space(pair, bytes);
}

static void measure_bytes(struct pair *pair)
{
        unsigned runs = pair->session->options->quick ? 1 : 3;
        struct bytes bytes = {0};
        struct cowherd_error err = {0};
        bool raw_weighs = pair->raw != NULL && pair->raw->measure != NULL;

        for (unsigned run = 0; run < runs && !pair->broken; run++) {
                if (weigh_ours(pair, &bytes, &err) < 0) {
                        note_failed(pair, "bytes_allocated", &err);
                        pair->broken = true;
                } else if (raw_weighs && weigh_raw(pair, &bytes, &err) < 0) {
                        note_left_out(pair, "bytes_allocated", "the raw tool beside it: %s", err.text);
                        raw_weighs = false;
                }
        }
        if (!pair->broken)
                add_bytes(pair, &bytes);
        series_free(&bytes.ours_allocated);
        series_free(&bytes.ours_apparent);
        series_free(&bytes.raw_allocated);
        series_free(&bytes.raw_apparent);
}

/* ---- a burst ---- */

static int burst_ours(struct pair *pair, unsigned count, double *ret, struct cowherd_error *err)
{
        double ms = 0;

        if (say(pair->session->herd, pair->target, &ms, NULL, err, "clone_from_base", word("base=%s", pair->base), word("name=%s-b", pair->session->site->mark), word("count=%u", count), NULL) < 0)
                return -1;
        *ret = ms / count;
        return delete_ours(pair, word("%s-b-*", pair->session->site->mark), err);
}

static int burst_raw(struct pair *pair, unsigned count, double *ret, struct cowherd_error *err)
{
        char name[NAME_BYTES];
        double sum = 0, ms = 0;

        for (unsigned i = 0; i < count; i++) {
                if (pair->raw->clone(pair, number("b", i, name), &ms, err) < 0)
                        return -1;
                sum += ms;
        }
        for (unsigned i = 0; i < count; i++)
                if (pair->raw->destroy(pair, number("b", i, name), err) < 0)
                        return -1;
        *ret = sum / count;
        return 0;
}

/* One of the bursts that are taken in turn. */
static void measure_burst(struct pair *pair, unsigned count)
{
        struct series ours = {0}, raw = {0};
        struct cowherd_error err = {0};
        bool raw_runs = pair->raw != NULL;
        unsigned runs = pair->session->options->quick || (pair->raw != NULL && pair->raw->is_slow) ? 1 : 3;
        double value = 0;
        owned_str char *compared = x_asprintf("per clone of count=%u, all at once in this process : %s, %u in turn", count, raw_side(pair), count);
        const struct figure figure = {.id = "burst", .title = "clone in a burst, each", .unit = "ms", .compared = compared, .raw_name = raw_name(pair)};

        for (unsigned run = 0; run < runs && !pair->broken; run++) {
                if (burst_ours(pair, count, &value, &err) < 0) {
                        note_failed(pair, "burst", &err);
                        pair->broken = true;
                        break;
                }
                series_add(&ours, value);
                if (raw_runs && burst_raw(pair, count, &value, &err) < 0) {
                        note_left_out(pair, "burst", "the raw tool beside it: %s", err.text);
                        raw_runs = false;
                } else if (raw_runs) {
                        series_add(&raw, value);
                }
        }
        figure_add(pair, &figure, &ours, &raw, count);
        series_free(&ours);
        series_free(&raw);
}

/* The median of the clones that were taken last. */
static double last_median(const struct pair *pair)
{
        const json_t *figures = json_object_get(pair->session->document, "figures");
        const json_t *last = json_array_get(figures, json_array_size(figures) - 1);

        return json_number_value(json_object_get(json_object_get(last, "ours"), "median"));
}

void pair_measure_clones(struct pair *pair)
{
        const struct compare_options *options = pair->session->options;
        bool quick = options->quick, slow = pair->raw != NULL && pair->raw->is_slow;
        owned_str char *in_process = x_asprintf("in this process, with catalogue and identity, not synced : %s", raw_side(pair));
        owned_str char *whole = x_asprintf("cowherd, a whole process, not synced : %s", raw_side(pair));
        struct figure figure = {.id = "clone", .title = "clone, in-process", .unit = "ms", .compared = in_process, .raw_name = raw_name(pair),
                                .runs = slow ? 3 : quick ? 20 : COMPARE_RUNS_MAX, .least = 3, .budget_ms = quick ? 1500 : 15000, .warms = true,
                                .ours = clone_ours, .raw = pair->raw == NULL ? NULL : clone_raw};

        session_step(pair->session, pair->engine, pair->store, "clones", quick ? 2.5 : 10);
        if (!figure_take(pair, &figure))
                return;
        double median = last_median(pair);
        if (pair->session->program != NULL && !quick) {
                figure.id = "clone_process";
                figure.title = "clone, whole process";
                figure.compared = whole;
                figure.ours = process_ours;
                session_step(pair->session, pair->engine, pair->store, "whole processes", 8);
                if (!figure_take(pair, &figure))
                        return;
        } else if (!quick) {
                note_left_out(pair, "clone_process", "the program 'cowherd' is not found: it is neither this process nor installed");
        }
        session_step(pair->session, pair->engine, pair->store, "bytes", 1);
        measure_bytes(pair);
        if (pair->broken || (quick && options->clones == 0))
                return;
        unsigned count = options->clones != 0 ? options->clones : median > SLOW_MS ? BURST_OF_SLOW : BURST;
        session_step(pair->session, pair->engine, pair->store, "a burst", quick ? 3 : 10);
        measure_burst(pair, count);
}
