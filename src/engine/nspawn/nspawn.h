/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this folder: what a container is called, where its traces are, and what the files of this driver share. */
#pragma once

#include "engine/engine.h"
#include "engine/nspawn/cgroup.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdbool.h>
#include <sys/types.h>

#define NSPAWN_PROGRAM "systemd-nspawn"
#define NSPAWN_NAME_BYTES 64

/* ---- names.c ---- */

/* "cowherd-4f1c2a9e-12": what nspawn calls it, and machinectl. Returns buffer. */
const char *nspawn_machine(const struct engine_instance *instance, char buffer[NSPAWN_NAME_BYTES]);
/*
 * Its control group, below the roots of the hierarchies: "cowherd/4f1c2a9e/12", or where systemd manages them,
 * "machine.slice/cowherd-4f1c2a9e-12.scope". Returns buffer.
 */
const char *nspawn_cgroup(const struct engine_instance *instance, char buffer[CGROUP_PATH_BYTES]);
/* Whether systemd is PID 1 here and manages control groups. */
bool nspawn_under_systemd(void);
/* The first of the 65536 users of an instance's user namespace. */
uint32_t nspawn_id_shift(const struct engine_instance *instance);
/* The container's PID 1, as this pid namespace numbers it, and a pidfd of it; false where it is not to be found. */
struct nspawn_leader {
        pid_t pid;
        int pidfd;
};
bool nspawn_find_leader(const struct engine_instance *instance, struct nspawn_leader *ret);
void nspawn_leader_close(struct nspawn_leader *leader);
define_owned(struct nspawn_leader, nspawn_leader_close)
#define owned_leader owned_by(nspawn_leader_close)
        /* The root folder of a running container, as its own processes see it; or of a stopped one, its tree. O_PATH,
           the caller's. */
        int nspawn_open_root(const struct engine_instance *instance, int *ret_fd, struct cowherd_error *err) must_check;
/* "bytes/of/its/runtime/NAME", to be freed. */
char *nspawn_runtime_file(const struct engine_instance *instance, const char *name);
/* A line "NAME=value" of the runtime's file "state", to be freed, or NULL. */
char *nspawn_recall(const struct engine_instance *instance, const char *name);

enum engine_state nspawn_state(const struct engine_instance *instance);
/* 75 unless it runs (and is not paused). */
int nspawn_expect_running(const struct engine_instance *instance, struct cowherd_error *err) must_check;

/* ---- argv.c ---- */

enum nspawn_owners {
        NSPAWN_OWNERS_HOST,    /* no user namespace: the filesystem can't show owners shifted */
        NSPAWN_OWNERS_MAPPED,  /* nspawn mounts the tree shifted, for itself */
        NSPAWN_OWNERS_SHIFTED, /* the tree is shown shifted already */
};

struct nspawn_plan {
        enum nspawn_owners owners;
        uint32_t shift;
        const char *init;          /* its own, which boots: "systemd", "busybox" or "other"; NULL: there is none */
        const char *idle[4];       /* else: what it runs, NULL-terminated */
        const bool *mounts_mapped; /* of each mount: its owners can be shown shifted; NULL: none can */
};
/* The whole command line, to argv. */
void nspawn_arguments(const struct engine_instance *instance, const struct nspawn_plan *plan, struct strv *argv);
/* As nspawn_arguments, below systemd-run, which makes it a scope with the limits. */
void nspawn_scope_arguments(const struct engine_instance *instance, const struct cgroup_limits *limits,
                            struct strv *argv);

/* ---- plan.c ---- */

/* Looks at the tree and the host: what there is to boot, who can own what. 65 or 69 where nothing can be run. */
int nspawn_make_plan(const struct engine_instance *instance, struct nspawn_plan *ret, bool *ret_mounts_mapped,
                     struct cowherd_error *err) must_check;
/* What people should know of a plan, a sentence or "". */
void nspawn_note(const struct nspawn_plan *plan, char *buffer, size_t bytes);

/* ---- prepare_tree.c ---- */

/* Makes what nspawn would make in the tree, and can't where owners are shown shifted. */
int nspawn_prepare_tree(const struct engine_instance *instance, struct cowherd_error *err) must_check;

/* ---- wait.c ---- */

/*
 * Waits until the systemd of a container listens, and takes signals, which it does some milliseconds after it is born.
 * 1 where it does not by the deadline (clock_ms).
 */
int nspawn_wait_listening(const struct engine_instance *instance, int ended, double deadline,
                          struct cowherd_error *err) must_check;

/* ---- check.c, start.c, stop.c, wait.c, execute.c, attach.c, copy.c, logs.c: callbacks ---- */

int nspawn_check(const struct engine_instance *instance, struct cowherd_error *err) must_check;
int nspawn_start(const struct engine_instance *instance, struct engine_started *ret,
                 struct cowherd_error *err) must_check;
int nspawn_stop(const struct engine_instance *instance, uint64_t timeout_ms, bool force, bool *ret_forced,
                struct cowherd_error *err) must_check;
int nspawn_pause(const struct engine_instance *instance, struct cowherd_error *err) must_check;
int nspawn_resume(const struct engine_instance *instance, struct cowherd_error *err) must_check;
int nspawn_quiesce(const struct engine_instance *instance, bool quiet, bool *ret_frozen,
                   struct cowherd_error *err) must_check;
int nspawn_tidy(const struct engine_instance *instance, struct cowherd_error *err) must_check;
int nspawn_wait(const struct engine_instance *instance, enum engine_event what, uint64_t timeout_ms,
                struct engine_waited *ret, struct cowherd_error *err) must_check;
int nspawn_execute(const struct engine_instance *instance, const struct engine_command *command,
                   struct engine_output *ret, struct cowherd_error *err) must_check;
int nspawn_attach(const struct engine_instance *instance, const struct engine_command *command,
                  const struct engine_streams *streams, int *ret_exit_code, struct cowherd_error *err) must_check;
int nspawn_copy_in(const struct engine_instance *instance, const struct engine_copy *copy,
                   struct cowherd_error *err) must_check;
int nspawn_copy_out(const struct engine_instance *instance, const struct engine_copy *copy,
                    struct cowherd_error *err) must_check;
int nspawn_trim_log(const struct engine_instance *instance, struct cowherd_error *err) must_check;
int nspawn_logs(const struct engine_instance *instance, uint64_t lines, char **ret,
                struct cowherd_error *err) must_check;
