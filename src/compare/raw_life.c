/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A life by hand: the raw tool's clone, systemd-nspawn or LXD started on it, `true` run inside when it is up. What it takes then is looked
 * at as ours is.
 */
#include "compare/by_hand.h"
#include "compare/pair.h"

#include "sys/clock.h"
#include "sys/file.h"
#include "sys/process_detach.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_MS 60000
#define END_MS 10000

bool image_has_systemd(const struct image *image)
{
        owned_str char *path = x_asprintf("%s/usr/lib/systemd/systemd", image->path);

        return !str_equal(image->format, "tree") || access(path, F_OK) == 0;
}

/* ---- systemd-nspawn ---- */

static int start_nspawn(struct pair *pair, const char *tree, const char *machine, struct process_birth *ret, struct cowherd_error *err)
{
        struct process_detach what = {0};
        owned_str char *log = x_asprintf("%s/nspawn.log", pair->session->site->folder);
        owned_fd int output = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        if (output < 0)
                return fail_errno(err, "cannot open '%s'", log);
        what.output = output;
        static const char *const words[] = {"systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--link-journal=no", "--settings=no",
                                            "--console=read-only", "--boot", "--notify-ready=yes"};
        for (size_t i = 0; i < array_length(words); i++)
                strv_add(&what.argv, words[i]);
        strv_addf(&what.argv, "--machine=%s", machine);
        strv_addf(&what.argv, "--directory=%s", tree);
        strv_addf(&what.environment, "NOTIFY_SOCKET=@%s", machine);
        int done = process_detach(&what, ret, err);
        strv_free(&what.argv);
        strv_free(&what.environment);
        return done;
}

int raw_life_of_tree(struct pair *pair, const char *tree, const char *name, struct life *life, struct cowherd_error *err)
{
        struct process_birth nspawn owned_by(process_birth_free) = {.channel = -1};
        owned_str char *machine = x_asprintf("%s-%s", pair->session->site->mark, name);
        char leader[32] = "", said[32], namespace[64] = "";
        owned_fd int notify = -1;
        int status = 0;

        if (by_hand_listen(machine, &notify, err) < 0)
                return -1;
        double began = clock_ms();
        if (start_nspawn(pair, tree, machine, &nspawn, err) < 0 || by_hand_await(notify, "X_NSPAWN_LEADER_PID=", leader, sizeof leader, err) < 0)
                return -1;
        life->start_ms = clock_ms() - began;
        int done = image_has_systemd(pair->image) ? by_hand_await(notify, "READY=", said, sizeof said, err) : 0;
        life->ready_ms = clock_ms() - began - life->start_ms;
        if (done == 0)
                done = tool(&life->command_ms, NULL, err, "nsenter", "-t", leader, "-a", "/bin/true", NULL);
        pid_t pid = (pid_t)strtol(leader, NULL, 10);
        if (done == 0 && process_namespace(pid, "pid", namespace, sizeof namespace))
                life->memory_bytes = process_memory_of_all(namespace);
        if (pid > 1)
                (void)kill(pid, SIGKILL); /* the container's PID 1: nspawn then ends and tidies up */
        if (!process_birth_ended(&nspawn, END_MS, &status))
                process_end_below(pair->session->site->mark);
        return done;
}

/* ---- LXD ---- */

/* lxc can only ask again until the guest's systemd has its bus. */
static int await_lxd(const char *lxc, const char *instance, struct cowherd_error *err)
{
        for (double began = clock_ms(); clock_ms() - began < PATIENCE_MS;) {
                owned_str char *said = NULL;
                if (tool_output(&said, err, lxc, "exec", instance, "--", "systemctl", "is-system-running", "--wait", NULL) < 0)
                        return -1;
                if (str_starts(said, "running") || str_starts(said, "degraded"))
                        return 0;
        }
        return fail(err, COWHERD_UNAVAILABLE, "'%s', run by hand, was never up", instance);
}

static int raw_life_of_lxd(struct pair *pair, const char *instance, struct life *life, struct cowherd_error *err)
{
        const char *lxc = tool_of_lxd();
        owned_str char *link = NULL;

        double began = clock_ms();
        if (tool(NULL, NULL, err, lxc, "start", instance, NULL) < 0)
                return -1;
        life->start_ms = clock_ms() - began;
        if (image_has_systemd(pair->image) && await_lxd(lxc, instance, err) < 0)
                return -1;
        life->ready_ms = clock_ms() - began - life->start_ms;
        if (tool(&life->command_ms, NULL, err, lxc, "exec", instance, "--", "true", NULL) < 0 ||
            tool_output(&link, err, lxc, "exec", instance, "--", "readlink", "/proc/self/ns/pid", NULL) < 0)
                return -1;
        link[strcspn(link, "\n")] = '\0';
        life->memory_bytes = process_memory_of_all(link);
        return 0;
}

int raw_life(struct pair *pair, const char *name, struct life *ret, struct cowherd_error *err)
{
        struct life life = {.start_is_seen = pair->target != COWHERD_QEMU};
        struct cowherd_error undo = {0};

        if (pair->raw->clone(pair, name, &life.clone_ms, err) < 0)
                return -1;
        owned_str char *where = pair->raw->tree(pair, name);
        int done = pair->target == COWHERD_QEMU  ? raw_life_of_machine(pair, where, &life, err)
                   : pair->target == COWHERD_LXD ? raw_life_of_lxd(pair, where, &life, err)
                                                 : raw_life_of_tree(pair, where, name, &life, err);
        if (pair->raw->destroy(pair, name, &undo) < 0 && done == 0) {
                *err = undo;
                return -1;
        }
        if (done == 0)
                *ret = life;
        return done;
}
