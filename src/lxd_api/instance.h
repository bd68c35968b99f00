/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instances of LXD, their files while they are stopped, and the tags that say whose they are.
 *
 * Everything that a herd makes in LXD bears four keys in its configuration: user.cowherd.herd (the herd's UUID), .id,
 * .role ("base" or "clone") and .name. LXD copies user.* keys when anybody copies an instance, so a thing is ours only
 * where all of them match, and the name it bears in LXD is the one in its tag.
 */
#pragma once

#include "base/str.h"
#include "lxd_api/client.h"

#define LXD_TAG_HERD "user.cowherd.herd"
#define LXD_TAG_ID "user.cowherd.id"
#define LXD_TAG_ROLE "user.cowherd.role"
#define LXD_TAG_NAME "user.cowherd.name"
#define LXD_TAG_FORMER "user.cowherd.former" /* the old name, while it is being renamed */
#define LXD_TAG_SETUP "user.cowherd.setup"   /* on a pool or profile that `setup` made: the herd's UUID */

/* Whose an instance is. Borrowed. */
struct lxd_tags {
        const char *herd; /* NULL: not compared */
        uint64_t id;
        const char *role; /* "base" or "clone" */
        const char *name;
};
/* Puts the tags into a configuration. */
void lxd_tags_set(const struct lxd_tags *tags, json_t *config);
/* Whether an instance, as LXD describes it, bears these tags and its own name. `tags->name` is not compared. */
bool lxd_tags_match(const struct lxd_tags *tags, const json_t *instance);

/* One instance, or 1 where there is none of that name. *ret is the caller's. */
int lxd_instance_get(struct lxd_client *client, const char *name, json_t **ret, struct cowherd_error *err) must_check;
/* All of them, as an array. */
int lxd_instance_list(struct lxd_client *client, json_t **ret, struct cowherd_error *err) must_check;
/* Makes one, as the body of POST /1.0/instances says. */
int lxd_instance_create(struct lxd_client *client, const json_t *body, const struct lxd_patience *patience,
                        struct cowherd_error *err) must_check;
/* Sets keys of its configuration; "" takes one away. */
int lxd_instance_configure(struct lxd_client *client, const char *name, const json_t *config,
                           struct cowherd_error *err) must_check;
/* "start" or "stop" (at once: no shutdown inside). Where it is in that state already, that is success. */
int lxd_instance_change(struct lxd_client *client, const char *name, const char *action,
                        struct cowherd_error *err) must_check;
/* Deletes a stopped one. What is not there is success. */
int lxd_instance_delete(struct lxd_client *client, const char *name, struct cowherd_error *err) must_check;
int lxd_instance_rename(struct lxd_client *client, const char *name, const char *new_name,
                        struct cowherd_error *err) must_check;
int lxd_instance_snapshot(struct lxd_client *client, const char *name, const char *snapshot,
                          struct cowherd_error *err) must_check;
/* One snapshot, or 1 where there is none. */
int lxd_snapshot_get(struct lxd_client *client, const char *name, const char *snapshot, json_t **ret,
                     struct cowherd_error *err) must_check;
/* The end of a log ("lxc.log") where it says why something failed, to be freed, or NULL. */
char *lxd_instance_complaint(struct lxd_client *client, const char *name);

/*
 * Files inside an instance. LXD resolves the paths within the instance's own root, symlinks as well. A path is absolute
 * and has no "..": else 77.
 */
#define LXD_FILE_BYTES (1u << 20)
/* The names in a folder into *ret, or 1 where there is no folder of that path (a symlink to one is none). */
int lxd_file_list(struct lxd_client *client, const char *instance, const char *path, struct strv *ret,
                  struct cowherd_error *err) must_check;
/* The content of a regular file, to be freed, or 1 where there is none. */
int lxd_file_read(struct lxd_client *client, const char *instance, const char *path, char **ret,
                  struct cowherd_error *err) must_check;
/* Writes a file anew, owned by root; what was in its place, a symlink too, is removed. */
int lxd_file_write(struct lxd_client *client, const char *instance, const char *path, const char *text, unsigned mode,
                   struct cowherd_error *err) must_check;
/* Removes a file, a symlink or an empty folder; what is not there is success. *ret_removed (may be NULL) tells. */
int lxd_file_remove(struct lxd_client *client, const char *instance, const char *path, bool *ret_removed,
                    struct cowherd_error *err) must_check;
/* Removes all that is in a folder, not itself; bounded in depth and number (65). What is not there is success. */
int lxd_file_empty(struct lxd_client *client, const char *instance, const char *path,
                   struct cowherd_error *err) must_check;
