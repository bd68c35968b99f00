/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the LXD engine. All it does goes by LXD's REST; it keeps nothing of its own on the host. */
#pragma once

#include "engine/engine.h"
#include "lxd_api/instance.h"

/* An instance as LXD has it. */
struct lxd_target {
        struct lxd_client *client; /* this thread's */
        json_t *instance;          /* what LXD says of it */
        const char *name;          /* its name there, borrowed from the above */
};
void lxd_target_free(struct lxd_target *target);
define_owned(struct lxd_target, lxd_target_free)
#define owned_target owned_by(lxd_target_free)

        /* Finds it: by its name and tags, else (a rename cut short) by its tags. 66 where LXD has none. */
        int lxd_target_find(const struct engine_instance *instance, struct lxd_target *ret,
                            struct cowherd_error *err) must_check;
/* The same, which must run (not paused): else 75. */
int lxd_target_running(const struct engine_instance *instance, struct lxd_target *ret,
                       struct cowherd_error *err) must_check;
/* Asks again what LXD says of it. */
int lxd_target_refresh(struct lxd_target *target, struct cowherd_error *err) must_check;
/* The state of an instance as LXD describes it. */
enum engine_state lxd_state_of(const json_t *instance);
/* Whether one of the words of what is known to be inside is this; false where nothing is known. */
bool lxd_target_has(const struct lxd_target *target, const char *word);

/* ---- machine.c: what was asked for, as LXD's configuration and devices ---- */

/* What must be changed. {0} is nothing. */
struct lxd_changes {
        json_t *config, *devices; /* what is to be set, NULL or empty where nothing is */
        struct strv removed;      /* devices of ours that nobody wants any more */
        bool renews_instance_id;  /* LXD draws a new cloud-init instance-id because of them */
};
void lxd_changes_free(struct lxd_changes *changes);
define_owned(struct lxd_changes, lxd_changes_free)
#define owned_changes owned_by(lxd_changes_free)
/*
 * What is to be changed of `now` (an instance as LXD describes it) to have the machine and the identity. `bridge` is what
 * network=user is on, else NULL. `shifted`: mounts show the host's owners as they are.
 */
void lxd_machine_changes(const struct engine_instance *instance, const json_t *now, const char *bridge, bool shifted,
                         struct lxd_changes *ret);
/* Makes them, by one request where that is enough. */
int lxd_machine_apply(struct lxd_target *target, const struct lxd_changes *changes, struct cowherd_error *err) must_check;
/* The instance-id as LXD takes it: a UUID, without the "iid-" before it. Borrowed; NULL where it is none. */
const char *lxd_instance_id(const struct engine_identity *identity);

/* ---- identity.c: what has to lie in the guest's own files before it boots ---- */
int lxd_identity_write(const struct engine_instance *instance, struct lxd_target *target, bool *ret_wrote,
                       struct cowherd_error *err) must_check;

/* ---- user.c ---- */

/* Who runs a command, in the guest's own numbers. */
struct lxd_user {
        uint32_t user, group;
        char *name, *home, *shell; /* NULL where not known */
};
void lxd_user_free(struct lxd_user *user);
define_owned(struct lxd_user, lxd_user_free)
#define owned_user owned_by(lxd_user_free)
/* By the guest's /etc/passwd. `who` is a name or a number; 66 where there is no such name. */
int lxd_user_find(const struct lxd_target *target, const char *who, struct lxd_user *ret, struct cowherd_error *err) must_check;
/* The entry of `who` in the text of a passwd file, or 1. */
int lxd_user_parse(const char *passwd, const char *who, struct lxd_user *ret);

/* ---- command.c ---- */

struct lxd_exec;
/* The command's words, environment and folder as lxd_exec takes them, `environment` filled and borrowed by it. */
void lxd_command_fill(const struct engine_command *command, const struct lxd_user *user, struct strv *environment,
                      struct lxd_exec *exec);

/* ---- copy.c ---- */

/* Where something of the guest is, or is to be. */
struct lxd_place {
        char *path;   /* absolute, whole, without slashes at its end */
        char *parent; /* "/a/b" of "/a/b/c", "/" of "/a" */
        char *name;   /* "c" */
        const char *type; /* "file", "directory", "other"; NULL: there is nothing */
        unsigned mode;
};
void lxd_place_free(struct lxd_place *place);
define_owned(struct lxd_place, lxd_place_free)
#define owned_guest_place owned_by(lxd_place_free)
/* Looks a path up, symlinks followed as the guest would. 64 where it is not absolute or has "..". */
int lxd_place_find(const struct lxd_target *target, const char *path, struct lxd_place *ret,
                   struct cowherd_error *err) must_check;
/* "/a" and "b" as "/a/b". To be freed. */
char *lxd_path_in(const char *folder, const char *name);
/* Whether it runs, and has a tar to talk to. */
int lxd_has_tar(const struct lxd_target *target, bool *ret, struct cowherd_error *err) must_check;
/* A tar stream from the herd's pack into the guest's `parent`, and out of it to the herd's unpack. Its top entry is `as`. */
int lxd_tar_in(const struct lxd_target *target, const struct engine_copy *copy, const char *parent, const char *as,
               struct cowherd_error *err) must_check;
int lxd_tar_out(const struct lxd_target *target, const struct engine_copy *copy, const char *parent, const char *as,
                struct cowherd_error *err) must_check;

/* Callbacks of the driver, by file. */
int lxd_check(const struct engine_instance *instance, struct cowherd_error *err) must_check;
int lxd_start(const struct engine_instance *instance, struct engine_started *ret, struct cowherd_error *err) must_check;
int lxd_stop(const struct engine_instance *instance, uint64_t timeout_ms, bool force, bool *ret_forced,
             struct cowherd_error *err) must_check;
int lxd_pause(const struct engine_instance *instance, struct cowherd_error *err) must_check;
int lxd_resume(const struct engine_instance *instance, struct cowherd_error *err) must_check;
int lxd_wait(const struct engine_instance *instance, enum engine_event what, uint64_t timeout_ms,
             struct engine_waited *ret, struct cowherd_error *err) must_check;
int lxd_execute(const struct engine_instance *instance, const struct engine_command *command, struct engine_output *ret,
                struct cowherd_error *err) must_check;
int lxd_attach(const struct engine_instance *instance, const struct engine_command *command,
               const struct engine_streams *streams, int *ret_exit_code, struct cowherd_error *err) must_check;
int lxd_copy_in(const struct engine_instance *instance, const struct engine_copy *copy, struct cowherd_error *err) must_check;
int lxd_copy_out(const struct engine_instance *instance, const struct engine_copy *copy, struct cowherd_error *err) must_check;
int lxd_logs(const struct engine_instance *instance, uint64_t lines, char **ret, struct cowherd_error *err) must_check;
int lxd_tidy(const struct engine_instance *instance, struct cowherd_error *err) must_check;
