/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics: figures in Prometheus' text format (version 0.0.4), for node_exporter's textfile collector (file=) or for whatever reads a
 * program's output. The file is put into place whole, so that the collector never reads half of one; what a kill in that moment leaves beside
 * it, hidden and without the ending that a collector looks for, the next run takes along (sys/file_publish.c). Only what costs little is told:
 * bytes of disks, which are a question for a few files each; those of trees and of LXD's instances are `usage`'s to measure. Every figure is
 * there in every herd, as 0 where there is none, so that no series comes and goes.
 */
#include "herd/memory.h"
#include "herd/usage.h"
#include "herd/warm.h"

#include "sys/clock.h"
#include "sys/file.h"

#include <string.h>
#include <sys/statvfs.h>

#define FILE_MODE 0644

struct tally {
        uint64_t bases, live, clones[ENGINE_MISSING + 1], expired, sealed_bytes;
        uint64_t unique[2], shared[2]; /* of disks: bases, clones */
        struct warm_count warm;
        bool available;
};

struct metrics {
        struct call *call;
        struct str text;
        struct tally tallies[COWHERD_ENGINES];
        uint64_t commands; /* ever written into the audit */
        size_t unfinished;
        struct cowherd_error warning; /* the first */
};

static void metrics_free(struct metrics *metrics)
{
        str_free(&metrics->text);
}
define_owned(struct metrics, metrics_free)

static void head(struct metrics *metrics, const char *name, const char *type, const char *help)
{
        str_addf(&metrics->text, "# HELP cowherd_%s %s\n# TYPE cowherd_%s %s\n", name, help, name, type);
}

static void number(struct metrics *metrics, const char *name, const char *labels, uint64_t value)
{
        str_addf(&metrics->text, "cowherd_%s%s%s%s %llu\n", name, labels[0] == '\0' ? "" : "{", labels, labels[0] == '\0' ? "" : "}", (unsigned long long)value);
}

/* A label's value: backslash, quote and line feed are written out. To be freed. */
static char *escaped(const char *value)
{
        struct str text = {0};

        for (; *value != '\0'; value++)
                if (*value == '\\' || *value == '"')
                        str_addf(&text, "\\%c", *value);
                else if (*value == '\n')
                        str_add(&text, "\\n");
                else
                        str_add_char(&text, *value);
        return str_take(&text);
}

static void warn(struct metrics *metrics, const struct cowherd_error *err)
{
        if (metrics->warning.code == 0)
                metrics->warning = *err;
}

static void add_bytes(struct metrics *metrics, const struct catalogue_row *row)
{
        struct tally *tally = &metrics->tallies[row->target];
        size_t role = row->role == CATALOGUE_CLONE;
        struct measured measured = {0};
        struct cowherd_error why = {0};

        if (row->kind != STORE_DISK)
                return;
        int got = usage_measure(metrics->call->herd, row, &measured, &why);
        if (got < 0)
                warn(metrics, &why);
        if (got != 0)
                return;
        tally->unique[role] += measured.usage.unique_bytes;
        tally->shared[role] += measured.usage.shared_bytes;
}

static int count_bases(struct metrics *metrics, enum cowherd_target target, struct cowherd_error *err)
{
        struct tally *tally = &metrics->tallies[target];
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};

        if (catalogue_list(metrics->call->herd->catalogue, target, CATALOGUE_BASE, NULL, &rows, err) < 0)
                return -1;
        for (size_t i = 0; i < rows.count; i++) {
                tally->bases++;
                tally->live += memory_is_kept(&rows.items[i]);
                tally->sealed_bytes += rows.items[i].size_bytes;
                add_bytes(metrics, &rows.items[i]);
        }
        return rows.count == 0 || target == COWHERD_NSPAWN ? 0 : warm_count_all(metrics->call->herd, target, &tally->warm, err);
}

static int count_clones(struct metrics *metrics, enum cowherd_target target, struct cowherd_error *err)
{
        struct cowherd_herd *herd = metrics->call->herd;
        struct tally *tally = &metrics->tallies[target];
        struct catalogue_rows rows owned_by(catalogue_rows_free) = {0};
        struct cowherd_error why = {0};
        uint64_t now = clock_wall_ms();

        if (catalogue_list(herd->catalogue, target, CATALOGUE_CLONE, NULL, &rows, err) < 0)
                return -1;
        owned_mem enum engine_state *states = x_calloc(rows.count, sizeof *states);
        if (rows.count > 0 && herd_states(herd, rows.items, rows.count, states, &why) < 0)
                warn(metrics, &why);
        for (size_t i = 0; i < rows.count; i++) {
                tally->clones[states[i]]++;
                tally->expired += rows.items[i].expires_ms != 0 && rows.items[i].expires_ms <= now;
                add_bytes(metrics, &rows.items[i]);
        }
        return 0;
}

static int count_all(struct metrics *metrics, struct cowherd_error *err)
{
        struct catalogue_rows unfinished owned_by(catalogue_rows_free) = {0};

        for (int target = 0; target < COWHERD_ENGINES; target++)
                if (count_bases(metrics, (enum cowherd_target)target, err) < 0 || count_clones(metrics, (enum cowherd_target)target, err) < 0)
                        return -1;
        if (catalogue_unfinished(metrics->call->herd->catalogue, &unfinished, err) < 0)
                return -1;
        metrics->unfinished = unfinished.count;
        return 0;
}

static void ask_engines(struct metrics *metrics)
{
        for (int target = 0; target < COWHERD_ENGINES; target++) {
                const struct engine_driver *engine = NULL;
                struct engine_probe probe = {0};
                struct cowherd_error ignored;
                metrics->tallies[target].available =
                        engine_find((enum cowherd_target)target, &engine, &ignored) == 0 && engine->probe(&probe, &ignored) == 0 && probe.available;
        }
}

/* A figure with a value for each engine. */
static void by_engine(struct metrics *metrics, const char *name, const char *help, uint64_t (*value)(const struct tally *))
{
        head(metrics, name, "gauge", help);
        for (int target = 0; target < COWHERD_ENGINES; target++) {
                owned_str char *labels = x_asprintf("engine=\"%s\"", cowherd_target_name((enum cowherd_target)target));
                number(metrics, name, labels, value(&metrics->tallies[target]));
        }
}

static uint64_t available_of(const struct tally *tally)
{
        return tally->available;
}
static uint64_t bases_of(const struct tally *tally)
{
        return tally->bases;
}
static uint64_t live_of(const struct tally *tally)
{
        return tally->live;
}
static uint64_t expired_of(const struct tally *tally)
{
        return tally->expired;
}
static uint64_t sealed_of(const struct tally *tally)
{
        return tally->sealed_bytes;
}
static uint64_t wanted_of(const struct tally *tally)
{
        return tally->warm.wanted;
}
static uint64_t ready_of(const struct tally *tally)
{
        return tally->warm.ready;
}

static void tell_clones(struct metrics *metrics)
{
        head(metrics, "clones", "gauge", "Clones, by the state that their engine tells now.");
        for (int target = 0; target < COWHERD_ENGINES; target++)
                for (int state = ENGINE_UNKNOWN; state <= ENGINE_MISSING; state++) {
                        owned_str char *labels = x_asprintf("engine=\"%s\",state=\"%s\"", cowherd_target_name((enum cowherd_target)target),
                                                            engine_state_name((enum engine_state)state));
                        number(metrics, "clones", labels, metrics->tallies[target].clones[state]);
                }
}

static void tell_bytes(struct metrics *metrics, const char *name, const char *help, bool unique)
{
        head(metrics, name, "gauge", help);
        for (int role = 0; role < 2; role++) {
                const struct tally *tally = &metrics->tallies[COWHERD_QEMU];
                owned_str char *labels = x_asprintf("engine=\"qemu\",role=\"%s\"", role == 0 ? "base" : "clone");
                number(metrics, name, labels, unique ? tally->unique[role] : tally->shared[role]);
        }
}

static void tell_command(void *context, const char *operation, int code, uint64_t count)
{
        struct metrics *metrics = context;
        owned_str char *name = escaped(operation == NULL ? "" : operation);
        owned_str char *labels = x_asprintf("operation=\"%s\",code=\"%d\"", name, code);

        number(metrics, "recent_commands", labels, count);
}

/* Commands that changed something, or were refused. Successful clones are not among them: their rows tell. */
static int tell_commands(struct metrics *metrics, struct cowherd_error *err)
{
        struct catalogue *catalogue = metrics->call->herd->catalogue;

        head(metrics, "recent_commands", "gauge", "Commands among the last 10000 of the audit, by their code (0: done).");
        if (catalogue != NULL && catalogue_audit_counts(catalogue, tell_command, metrics, &metrics->commands, err) < 0)
                return -1;
        head(metrics, "audited_commands_total", "counter", "Commands that the audit has written down since the herd was made.");
        number(metrics, "audited_commands_total", "", metrics->commands);
        return 0;
}

static void tell_herd(struct metrics *metrics)
{
        const struct cowherd_herd *herd = metrics->call->herd;
        owned_str char *root = escaped(herd->root);
        owned_str char *labels = x_asprintf("version=\"%s\",root=\"%s\",herd=\"%s\"", COWHERD_VERSION, root, herd->catalogue == NULL ? "" : catalogue_uuid(herd->catalogue));
        struct statvfs room;

        head(metrics, "info", "gauge", "The program and its herd; always 1.");
        number(metrics, "info", labels, 1);
        head(metrics, "unfinished", "gauge", "Objects that a command works on now, or that a killed one left.");
        number(metrics, "unfinished", "", metrics->unfinished);
        if (herd->fd < 0 || fstatvfs(herd->fd, &room) < 0)
                return;
        head(metrics, "root_free_bytes", "gauge", "Room in the file system of the root folder.");
        number(metrics, "root_free_bytes", "", (uint64_t)room.f_bavail * room.f_frsize);
        head(metrics, "root_size_bytes", "gauge", "Size of the file system of the root folder.");
        number(metrics, "root_size_bytes", "", (uint64_t)room.f_blocks * room.f_frsize);
}

static int tell_all(struct metrics *metrics, struct cowherd_error *err)
{
        tell_herd(metrics);
        by_engine(metrics, "engine_available", "Whether the engine can be used here.", available_of);
        by_engine(metrics, "bases", "Bases.", bases_of);
        by_engine(metrics, "live_bases", "Bases that keep a memory.", live_of);
        by_engine(metrics, "bases_size_bytes", "Bytes of the bases when they were registered.", sealed_of);
        tell_clones(metrics);
        by_engine(metrics, "clones_expired", "Clones whose ttl is over, which cleanup would delete.", expired_of);
        by_engine(metrics, "warm_wanted", "Clones that are to be kept warm.", wanted_of);
        by_engine(metrics, "warm_ready", "Clones that are warm.", ready_of);
        tell_bytes(metrics, "disk_unique_bytes", "Bytes of disks that are one object's alone.", true);
        tell_bytes(metrics, "disk_shared_bytes", "Bytes of disks that are read through what others have too, counted for each.", false);
        return tell_commands(metrics, err);
}

int verb_metrics(struct call *call, struct cowherd_error *err)
{
        struct metrics metrics owned_by(metrics_free) = {.call = call};
        const char *file = request_text(call->request, KEY_FILE);
        int got = herd_open(call->herd, false, err);

        if (got < 0 || (got == 0 && count_all(&metrics, err) < 0))
                return -1;
        ask_engines(&metrics);
        if (tell_all(&metrics, err) < 0)
                return -1;
        answer_text(call->answer, "warning", metrics.warning.code == 0 ? NULL : metrics.warning.text);
        if (file == NULL) {
                answer_text(call->answer, "metrics", str_text(&metrics.text));
                answer_done(call->answer, "the metrics of the herd at '%s'", call->herd->root);
                return 0;
        }
        answer_text(call->answer, "file", file);
        if (request_flag(call->request, KEY_DRY_RUN)) {
                answer_done(call->answer, "nothing done: the metrics would be written to '%s'", file);
                return 0;
        }
        if (file_publish(file, str_text(&metrics.text), FILE_MODE, err) < 0)
                return fail_while(err, "writing the metrics");
        answer_done(call->answer, "metrics written to '%s'", file);
        return 0;
}
