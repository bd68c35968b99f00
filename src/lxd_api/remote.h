/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Remotes: which image servers names such as "ubuntu:22.04" mean. As `lxc` (and `incus`) has it: the client's own
 * config.yml, then the system's, then those built in.
 */
#pragma once

#include "base/error.h"
#include "base/str.h"

struct lxd_remote {
        char *name;
        char *address;  /* "https://…" or "unix://…" */
        char *protocol; /* "simplestreams", "lxd", "incus" */
        bool is_public;
        char *certificate; /* the server's, PEM, where the client has pinned one; else NULL */
};

struct lxd_remotes {
        struct lxd_remote *items;
        size_t count;
        char *fallback; /* the remote of a name without one; never NULL once loaded */
        char *file;     /* where the first came from, for messages; NULL for none */
};
void lxd_remotes_free(struct lxd_remotes *remotes);
define_owned(struct lxd_remotes, lxd_remotes_free)
#define owned_remotes owned_by(lxd_remotes_free)

        /* Reads them for this user. `incus`: that client's files. A file that can't be parsed is 78 with its line. */
        int lxd_remotes_load(bool incus, struct lxd_remotes *ret, struct cowherd_error *err) must_check;
/* Adds those of one config.yml; a remote that is known already stays as it is. `folder` has its servercerts/, or NULL.
 */
int lxd_remotes_parse(struct lxd_remotes *remotes, const char *text, size_t length, const char *file,
                      const char *folder, struct cowherd_error *err) must_check;
/* Adds those that every client knows. */
void lxd_remotes_add_built_in(struct lxd_remotes *remotes, bool incus);

/*
 * What an image's name means: *ret_remote borrowed from `remotes` (NULL: this LXD itself), *ret_alias borrowed from
 * `image` or static. "ubuntu:22.04" is alias 22.04 of remote ubuntu; "ubuntu:" its default. 66 with the known ones
 * where the remote is not known.
 */
int lxd_remotes_resolve(const struct lxd_remotes *remotes, const char *image, const struct lxd_remote **ret_remote,
                        const char **ret_alias, struct cowherd_error *err) must_check;
