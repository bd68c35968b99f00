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
/* Of a clone, before each snapshot: "ID NAME" of that snapshot, which keeps it. One of another name is none of ours. */
#define LXD_TAG_SNAPSHOT "user.cowherd.snapshot"
/* Of a base: that no identity is in it. Copies inherit it; the first start takes it off. */
#define LXD_TAG_NEUTRAL "user.cowherd.neutral"
#define LXD_TAG_GUEST "user.cowherd.guest" /* what is inside, as words: see lxd_api/neutral.h */
#define LXD_TAG_CARDS "user.cowherd.cards" /* of its devices, apart by blanks, those by which network= was done */
#define LXD_TAG_HOSTNAME "user.cowherd.hostname" /* the hostname that was taken out of a base */
#define LXD_TAG_KEPT "user.cowherd.kept" /* other text that was taken out of a base: JSON, {path: text}; gone before a clone boots */
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
/* All of them, as an array, or 1 where there is no such instance. */
int lxd_snapshot_list(struct lxd_client *client, const char *name, json_t **ret, struct cowherd_error *err) must_check;
/* Deletes one; what is not there is success. */
int lxd_snapshot_delete(struct lxd_client *client, const char *name, const char *snapshot,
                        struct cowherd_error *err) must_check;
/* The stopped instance becomes what the snapshot is, its configuration as well. */
int lxd_snapshot_restore(struct lxd_client *client, const char *name, const char *snapshot,
                         struct cowherd_error *err) must_check;
/* The end of a log ("lxc.log") where it says why something failed, to be freed, or NULL. */
char *lxd_instance_complaint(struct lxd_client *client, const char *name);

/*
 * Files inside an instance, stopped or running. LXD resolves the paths within the instance's own root, symlinks as well. A path is absolute
 * and has no "..": else 77.
 */
#define LXD_FILE_BYTES (1u << 20)
/*
 * What is at a path: *ret_type "file", "directory" or "symlink" (static), *ret_mode its permissions (may be NULL). 1 where
 * there is nothing.
 */
int lxd_file_stat(struct lxd_client *client, const char *instance, const char *path, const char **ret_type,
                  unsigned *ret_mode, struct cowherd_error *err) must_check;
/* The target of a symlink, made absolute by LXD, to be freed; 1 where there is none. */
int lxd_file_read_link(struct lxd_client *client, const char *instance, const char *path, char **ret,
                       struct cowherd_error *err) must_check;
/* A regular file's content, whatever its size, given to `received` as it comes. 1 where there is none. */
int lxd_file_receive(struct lxd_client *client, const char *instance, const char *path,
                     int (*received)(void *context, const char *bytes, size_t length), void *context,
                     struct cowherd_error *err) must_check;
/* Makes a file of one of the host's, of whatever size; what was in its place is removed. */
int lxd_file_send(struct lxd_client *client, const char *instance, const char *path, const char *host_path,
                  unsigned mode, void (*sent)(void *context, uint64_t done_bytes, uint64_t total_bytes), void *context,
                  struct cowherd_error *err) must_check;
/* Makes a folder, owned by root; one that is there keeps its mode. 66 where the one above it is not there. */
int lxd_file_make_folder(struct lxd_client *client, const char *instance, const char *path, unsigned mode,
                         struct cowherd_error *err) must_check;
int lxd_file_make_link(struct lxd_client *client, const char *instance, const char *path, const char *target,
                       struct cowherd_error *err) must_check;
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
