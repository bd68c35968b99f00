/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A clone for one command: kept (`systemd-nspawn --template=`), or gone with it (`--ephemeral`). Those two clone, start and run in one process, so only
 * the whole can be set beside ours; and they boot nothing, the command is PID 1, where ours starts the clone's init first: what stands on each side
 * says so. Both take the very base that ours is a clone of, and make a snapshot of it on btrfs, a copy elsewhere.
 *
 * What --ephemeral makes is hidden beside the base, in the comparison's own herd; it and the machine's name end with the tool, which
 * holds the lock of this place (tool.c).
 */
#include "compare/pair.h"

#include "sys/file.h"

#include <fcntl.h>

#define RUNS 5u
#define LEAST 2u
#define BUDGET_MS 8000

/* ---- systemd-nspawn ---- */

/* One of them to its end; `how` is the word that says what is cloned where. */
static int nspawn(const struct pair *pair, const char *how, const char *directory, unsigned run, double *ret, struct cowherd_error *err)
{
        owned_str char *machine = x_asprintf("--machine=%s-j%u", pair->session->site->mark, run), *where = x_asprintf("--directory=%s", directory);

        return tool(ret, NULL, err, "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--link-journal=no", "--settings=no", machine, how, where, "/bin/true", NULL);
}

int raw_ephemeral(struct pair *pair, unsigned run, double *ret, struct cowherd_error *err)
{
        return nspawn(pair, "--ephemeral", pair->base_path, run, ret, err);
}

/* Where it makes one; on btrfs that has to be in the filesystem of the base. */
static char *place_of(struct pair *pair, const char *name)
{
        return str_equal(pair->store, "btrfs") ? pair->raw->tree(pair, name) : x_asprintf("%s/%s", pair->session->site->raw, name);
}

int raw_template(struct pair *pair, unsigned run, double *ret, struct cowherd_error *err)
{
        owned_str char *name = x_asprintf("j%u", run), *directory = place_of(pair, name), *how = x_asprintf("--template=%s", pair->base_path);

        return nspawn(pair, how, directory, run, ret, err) < 0 ? -1 : file_remove_tree(AT_FDCWD, directory, err);
}

/* ---- ours ---- */

static int run_job(struct pair *pair, const char *stem, unsigned run, bool deletes, double *ret, struct cowherd_error *err)
{
        struct cowherd_herd *herd = pair->session->herd;
        const char *key = word("name=%s-%s%u", pair->session->site->mark, stem, run);
        double clone = 0, start = 0, command = 0, removal = 0;

        if (say(herd, pair->target, &clone, NULL, err, "clone_from_base", word("base=%s", pair->base), key, NULL) < 0 ||
            say(herd, pair->target, &start, NULL, err, "start", key, NULL) < 0 || say(herd, pair->target, &command, NULL, err, "execute", key, "command=true", NULL) < 0 ||
            say(herd, pair->target, &removal, NULL, err, "delete", key, "force=true", NULL) < 0)
                return -1;
        *ret = clone + start + command + (deletes ? removal : 0);
        return 0;
}

static int kept_ours(struct pair *pair, unsigned run, double *ret, struct cowherd_error *err)
{
        return run_job(pair, "k", run, false, ret, err);
}

static int gone_ours(struct pair *pair, unsigned run, double *ret, struct cowherd_error *err)
{
        return run_job(pair, "g", run, true, ret, err);
}

void pair_measure_jobs(struct pair *pair)
{
        bool raw_clones = pair->raw != NULL && !str_equal(pair->store, "zfs");
        const char *makes = str_equal(pair->store, "btrfs") ? "a snapshot" : "a copy of every file";
        owned_str char *kept = x_asprintf("clone, start (init and a user namespace), `true`, in this process : one process that makes %s and runs `true` in it, without an init and a user namespace", makes);
        owned_str char *gone = x_asprintf("the same, and the clone deleted : the same, and %s removed", str_equal(pair->store, "btrfs") ? "the snapshot" : "the copy");
        struct figure figure = {.id = "job", .title = "a new clone and one command in it", .unit = "ms", .compared = kept, .raw_name = "systemd-nspawn --template",
                                .runs = RUNS, .least = LEAST, .budget_ms = BUDGET_MS, .ours = kept_ours, .raw = raw_clones ? raw_template : NULL};

        if (!raw_clones)
                note_left_out(pair, "job", "the raw tool beside it: systemd-nspawn makes no clones on ZFS");
        session_step(pair->session, pair->engine, pair->store, "clones for one command", 8);
        if (!figure_take(pair, &figure))
                return;
        figure.id = "throwaway";
        figure.title = "a new clone, one command in it, and the clone gone";
        figure.compared = gone;
        figure.raw_name = "systemd-nspawn --ephemeral";
        figure.ours = gone_ours;
        figure.raw = raw_clones ? raw_ephemeral : NULL;
        (void)figure_take(pair, &figure);
}
