/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A life: clone, start, ready, `true`. One life gives a value of each of these figures, and of the memory; the first one of ours is looked at
 * for what isolates it, and, of a virtual machine with an agent, gives the live base that live clones are made of.
 */
#include "compare/pair.h"

#include "sys/clock.h"

#include <stdio.h>
#include <string.h>

#define LIVES_MAX 10u

struct lives {
        struct series clone, start, seen_start, ready, command, until_ready, all, memory;
};

static void lives_free(struct lives *lives)
{
        series_free(&lives->clone);
        series_free(&lives->start);
        series_free(&lives->seen_start);
        series_free(&lives->ready);
        series_free(&lives->command);
        series_free(&lives->until_ready);
        series_free(&lives->all);
        series_free(&lives->memory);
}
define_owned(struct lives, lives_free)

static void lives_add(struct lives *lives, const struct life *life)
{
        series_add(&lives->clone, life->clone_ms);
        series_add(&lives->start, life->start_ms);
        if (life->start_is_seen)
                series_add(&lives->seen_start, life->start_ms);
        series_add(&lives->ready, life->ready_ms);
        series_add(&lives->command, life->command_ms);
        series_add(&lives->until_ready, life->start_ms + life->ready_ms);
        series_add(&lives->all, life->clone_ms + life->start_ms + life->ready_ms + life->command_ms);
        if (life->memory_bytes > 0)
                series_add(&lives->memory, life->memory_bytes);
}

/* ---- one of ours ---- */

pid_t instance_process(struct pair *pair, const char *name, char *namespace, size_t size)
{
        owned_answer struct cowherd_answer *answer = NULL;
        struct cowherd_error ignored;

        namespace[0] = '\0';
        if (pair->target == COWHERD_QEMU) {
                if (say(pair->session->herd, pair->target, NULL, &answer, &ignored, "info", word("name=%s", name), NULL) < 0 || cowherd_answer_get(answer, "uuid") == NULL)
                        return 0;
                return process_with_word(cowherd_answer_get(answer, "uuid"));
        }
        if (say(pair->session->herd, pair->target, NULL, &answer, &ignored, "execute", word("name=%s", name), "command=readlink /proc/self/ns/pid", NULL) < 0)
                return 0;
        const char *said = cowherd_answer_get(answer, "stdout");
        (void)snprintf(namespace, size, "%.*s", said == NULL ? 0 : (int)strcspn(said, "\n"), said == NULL ? "" : said);
        return process_first_of(namespace);
}

static double memory_of(struct pair *pair, const char *name)
{
        char namespace[64];
        pid_t pid = instance_process(pair, name, namespace, sizeof namespace);

        if (pid == 0)
                return 0;
        return pair->target == COWHERD_QEMU ? process_memory(pid) : process_memory_of_all(namespace);
}

/* A guest that is up at all is up by then; one without acceleration on a busy machine takes long. */
static const char *patience_of(const struct pair *pair)
{
        bool slow = pair->target == COWHERD_QEMU && !str_equal(pair->session->acceleration, "kvm");

        return !pair->session->options->quick ? "timeout=180s" : slow ? "timeout=100s" : "timeout=40s";
}

static int live_through(struct pair *pair, const char *name, struct life *ret, struct cowherd_error *err)
{
        struct cowherd_herd *herd = pair->session->herd;
        const char *key = word("name=%s", name), *timeout = patience_of(pair);
        struct life life = {.start_is_seen = true};

        if (say(herd, pair->target, &life.clone_ms, NULL, err, "clone_from_base", word("base=%s", pair->base), key, NULL) < 0 ||
            say(herd, pair->target, &life.start_ms, NULL, err, "start", key, NULL) < 0 ||
            say(herd, pair->target, &life.ready_ms, NULL, err, "wait", key, "for=ready", timeout, NULL) < 0 ||
            say(herd, pair->target, &life.command_ms, NULL, err, "execute", key, "command=true", NULL) < 0)
                return -1;
        life.memory_bytes = memory_of(pair, name);
        *ret = life;
        return 0;
}

static int end_ours(struct pair *pair, const char *name, struct cowherd_error *err)
{
        if (say(pair->session->herd, pair->target, NULL, NULL, err, "delete", word("name=%s", name), "force=true", NULL) < 0 && err->code != COWHERD_NOT_FOUND)
                return -1;
        return 0;
}

/* ---- live clones ---- */

static int live_clone(struct pair *pair, unsigned run, double *ret, struct cowherd_error *err)
{
        struct cowherd_herd *herd = pair->session->herd;
        const char *key = word("name=%s-a%u", pair->session->site->mark, run);
        double woken = 0, command = 0;

        if (say(herd, pair->target, &woken, NULL, err, "clone_from_base", "base=hot", key, NULL) < 0 ||
            say(herd, pair->target, &command, NULL, err, "execute", key, "command=true", NULL) < 0)
                return -1;
        *ret = woken + command;
        return say(herd, pair->target, NULL, NULL, err, "delete", key, "force=true", NULL);
}

static bool make_live_base(struct pair *pair, const char *name)
{
        struct cowherd_error err = {0};

        if (pair->target != COWHERD_QEMU || !str_equal(pair->store, "qcow2"))
                return false;
        session_step(pair->session, pair->engine, pair->store, "making a live base", 2);
        if (say(pair->session->herd, pair->target, NULL, NULL, &err, "promote", word("name=%s", name), "as=hot", "live=true", NULL) == 0)
                return true;
        if (err.code == COWHERD_UNAVAILABLE)
                note_left_out(pair, "live_clone", "%s", err.text);
        else
                note_failed(pair, "live_clone", &err);
        return false;
}

static void measure_live(struct pair *pair)
{
        bool quick = pair->session->options->quick;
        struct cowherd_error ignored;
        const struct figure figure = {.id = "live_clone", .title = "live clone, until its first command is done", .unit = "ms", .runs = quick ? 3 : 10, .least = 1,
                                      .budget_ms = quick ? 3000 : 30000, .ours = live_clone,
                                      .compared = "woken in a live base's memory, its identity fresh, and `true` done : no raw tool does this; first_command is the same by booting"};

        session_step(pair->session, pair->engine, pair->store, "live clones", quick ? 4 : 15);
        (void)figure_take(pair, &figure);
        ignore_result(say(pair->session->herd, pair->target, NULL, NULL, &ignored, "remove_base", "name=hot", NULL));
}

/* ---- all of it ---- */

/* An image that does not come up is no fault of the engine. */
static bool is_of_the_image(const struct cowherd_error *err)
{
        return err->code == COWHERD_BUSY || err->code == COWHERD_UNAVAILABLE || err->code == COWHERD_DATA;
}

/* One of ours, with what only the first one is asked for. */
static bool take_ours(struct pair *pair, unsigned run, struct lives *lives, bool *ret_live)
{
        struct cowherd_error err = {0}, undo = {0};
        struct life life = {0};
        char name[64];

        (void)snprintf(name, sizeof name, "%s-l%u", pair->session->site->mark, run);
        int done = live_through(pair, name, &life, &err);
        if (done == 0) {
                lives_add(lives, &life);
                if (run == 0) {
                        isolation_add(pair, name);
                        *ret_live = make_live_base(pair, name);
                }
        }
        int ended = end_ours(pair, name, &undo);
        if (done < 0 && run == 0 && is_of_the_image(&err))
                note_left_out(pair, "first_command", "what is cloned can't be booted here (%s): %s", pair->image->note, err.text);
        else if (done < 0 || ended < 0)
                note_failed(pair, "first_command", done < 0 ? &err : &undo);
        pair->broken = pair->broken || ended < 0 || (done < 0 && !is_of_the_image(&err));
        return done == 0 && ended == 0;
}

static bool take_raw(struct pair *pair, unsigned run, struct lives *lives)
{
        struct cowherd_error err = {0};
        struct life life = {0};
        char name[32];

        (void)snprintf(name, sizeof name, "l%u", run);
        if (raw_life(pair, name, &life, &err) < 0) {
                note_left_out(pair, "first_command", "the raw tool beside it: %s", err.text);
                return false;
        }
        lives_add(lives, &life);
        return true;
}

static json_t *phases_of(const struct lives *lives)
{
        if (lives->all.count == 0)
                return json_null();
        return json_pack("[{s:s, s:o}, {s:s, s:o}, {s:s, s:o}, {s:s, s:o}]", "name", "clone", "ms", number_of(series_median(&lives->clone)), "name", "start", "ms",
                         number_of(series_median(&lives->start)), "name", "ready", "ms", number_of(series_median(&lives->ready)), "name", "command", "ms",
                         number_of(series_median(&lives->command)));
}

/* What is on each side, for the sentences. */
static const char *raw_start_of(const struct pair *pair)
{
        return pair->target == COWHERD_QEMU  ? "qemu-system and its agent's first answer, by hand, no sandbox and no user of its own"
               : pair->target == COWHERD_LXD ? "lxc start, by hand"
                                             : "systemd-nspawn --boot, by hand, without a user namespace";
}

static void add_figures(struct pair *pair, const struct lives *ours, const struct lives *raw)
{
        const char *raw_name = pair->target == COWHERD_QEMU ? "qemu-system" : pair->target == COWHERD_LXD ? "lxc start" : "systemd-nspawn";
        owned_str char *side = x_asprintf("from the request to start until it runs : %s", raw_start_of(pair));
        owned_str char *whole = x_asprintf("clone, start, ready, `true`, its identity fresh : %s, %s, `true`", pair->raw == NULL ? "" : pair->raw->name,
                                           raw_start_of(pair));
        struct figure figure = {.id = "start", .title = "start", .unit = "ms", .raw_name = raw_name, .compared = side};

        figure_add(pair, &figure, &ours->seen_start, &raw->seen_start, 0);
        figure.id = "ready";
        figure.title = "start until ready";
        figure.compared = "from the request to start until its init or agent says that it is up : the same by hand";
        figure_add(pair, &figure, &ours->until_ready, &raw->until_ready, 0);
        figure.id = "first_command";
        figure.title = "clone until its first command is done";
        figure.compared = whole;
        figure_add(pair, &figure, &ours->all, &raw->all, 0);
        figure.id = "memory";
        figure.title = "memory of a running clone";
        figure.unit = "bytes";
        figure.compared = pair->target == COWHERD_QEMU ? "PSS of the QEMU process after `true` : of one run by hand" : "PSS of all processes in it after `true` : of one run by hand";
        figure_add(pair, &figure, &ours->memory, &raw->memory, 0);
        json_array_append_new(json_object_get(pair->session->document, "phases"),
                              json_pack("{s:s, s:s, s:s, s:o, s:o}", "engine", pair->engine, "store", pair->store, "of", "first_command", "ours", phases_of(ours), "raw", phases_of(raw)));
}

bool pair_measure_life(struct pair *pair)
{
        struct lives ours owned_by(lives_free) = {0}, raw owned_by(lives_free) = {0};
        bool quick = pair->session->options->quick, raw_lives = pair->raw != NULL && pair->raw->tree != NULL, live = false;
        double budget = quick ? 2000 : 60000, began = clock_ms();

        if (pair->image->cannot_boot != NULL) {
                note_left_out(pair, "first_command", "%s", pair->image->cannot_boot);
                return false;
        }
        if (!raw_lives)
                note_left_out(pair, "first_command", "the raw tool beside it: %s", pair->raw == NULL ? "there is none" : "what it makes can't be booted as it is");
        for (unsigned run = 0; run < LIVES_MAX && (run == 0 || clock_ms() - began < budget); run++) {
                session_step(pair->session, pair->engine, pair->store, "a start", run == 0 ? (pair->target == COWHERD_QEMU ? 12 : 3) : 0);
                if (!take_ours(pair, run, &ours, &live))
                        break;
                session_step(pair->session, pair->engine, pair->store, "a start by hand", run == 0 ? (pair->target == COWHERD_QEMU ? 8 : 2) : 0);
                raw_lives = raw_lives && take_raw(pair, run, &raw);
        }
        if (ours.all.count > 0)
                add_figures(pair, &ours, &raw);
        if (live && !pair->broken)
                measure_live(pair);
        return ours.all.count > 0;
}
