/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at an instance's files by SFTP (draft-ietf-secsh-filexfer-02, version 3), which LXD offers beside its files API:
 * 0.1 ms a question instead of 3, names as the bytes that they are, symlinks as they were written; and it tells a pipe or a
 * device from a file, which the files API opens to see, and then hangs. Paths are resolved in the instance's own root.
 */
#pragma once

#include "lxd_api/client.h"

#include "base/str.h"

#include <sys/types.h>

struct lxd_sftp;

/* For an instance, running or stopped. *ret is the caller's. */
int lxd_sftp_open(struct lxd_client *client, const char *instance, struct lxd_sftp **ret,
                  struct cowherd_error *err) must_check;
/* One that speaks already, on a stream socket that is taken over. *ret is the caller's. */
int lxd_sftp_adopt(int fd, struct lxd_sftp **ret, struct cowherd_error *err) must_check;
void lxd_sftp_close(struct lxd_sftp *sftp);
static inline void lxd_sftp_close_at(struct lxd_sftp **slot)
{
        lxd_sftp_close(*slot);
}
#define owned_sftp __attribute__((cleanup(lxd_sftp_close_at)))

/* Type and permissions of what is at a path, a symlink's own. 1 where there is nothing. */
int lxd_sftp_stat(struct lxd_sftp *sftp, const char *path, mode_t *ret, struct cowherd_error *err) must_check;
/* The target of a symlink, as it was written, to be freed. 1 where there is none. */
int lxd_sftp_read_link(struct lxd_sftp *sftp, const char *path, char **ret, struct cowherd_error *err) must_check;
/* The names in a folder, without "." and "..". What is no single name is 77, more than `most` 65. 1 where there is no folder. */
int lxd_sftp_list(struct lxd_sftp *sftp, const char *path, size_t most, struct strv *ret,
                  struct cowherd_error *err) must_check;
