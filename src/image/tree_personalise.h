/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chosen identity is written into a tree before its first boot. What tree_neutralise took out is what is put in here.
 * All goes through openat2(RESOLVE_IN_ROOT): a planted symlink is replaced, never followed out; what is new belongs to
 * whom the folder around it belongs to, so a tree that is shown with shifted owners gets them right.
 */
#pragma once

#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>

/* Plain texts, borrowed. NULL leaves that part as it is. */
struct tree_identity {
        const char *hostname;    /* /etc/hostname, and a line of /etc/hosts */
        const char *machine_id;  /* 32 hex digits: /etc/machine-id; D-Bus's own where it was a file and no link */
        const char *random_seed; /* hex: the seed of systemd's random pool, and of sysvinit's where it has one */
        const char *host_key, *host_key_public; /* /etc/ssh/ssh_host_ed25519_key, where the tree has /etc/ssh or sshd */
        const char
                *instance_id; /* cloud-init's, where it is there: a NoCloud seed with hostname, ssh_key and user_data */
        const char *ssh_key;  /* one line that is added to root's authorized_keys, if it is not there yet */
        const char *user_data; /* cloud-init's user-data, its text */
};

/*
 * Writes it. Idempotent: the same identity again changes nothing that matters, and after a kill it is finished by doing
 * it again. *ret_written (may be NULL) gets the paths.
 */
int tree_personalise(int tree, const struct tree_identity *identity, struct strv *ret_written,
                     struct cowherd_error *err) must_check;

/* Whether a tree has something that reads user_data: cloud-init. */
bool tree_has_cloud_init(int tree);

/*
 * identity=keep: puts back into a tree what tree_neutralise kept in the folder `aside` of `aside_at`, where nothing
 * else has taken its place since. Without such a folder, nothing and success. Idempotent.
 */
int tree_keep_identity(int tree, int aside_at, const char *aside, struct cowherd_error *err) must_check;
