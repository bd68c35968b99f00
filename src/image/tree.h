/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Root filesystem trees: made from a folder, a tarball or a distribution's packages; made neutral, so that no clone is
 * born with another machine's identity. All that is done inside a tree goes through openat2(RESOLVE_IN_ROOT).
 */
#pragma once

#include "base/error.h"
#include "base/str.h"
#include "sys/file.h"

/*
 * Takes the identity out of a tree: /etc/machine-id is emptied, /var/lib/dbus/machine-id, SSH host keys, DHCP leases
 * and ids, random seeds, cloud-init's instance state and udev's persistent net rules are removed. What was there is
 * kept in the folder `aside` (made if anything is) for identity=keep. *ret_removed (may be NULL) gets the paths.
 */
int tree_neutralise(int tree, int aside_at, const char *aside, struct strv *ret_removed,
                    struct cowherd_error *err) must_check;

/* What a tree says it is (os-release's ID and VERSION_ID or VERSION_CODENAME), the caller's, NULL where it doesn't. */
int tree_identify(int tree, char **ret_distro, char **ret_release, struct cowherd_error *err) must_check;

/* Whether a tree could be a root filesystem (has /etc and a /bin or /usr/bin, or an init); 65 with what is missing. */
int tree_check(int tree, const char *name, struct cowherd_error *err) must_check;

struct tree_bootstrap {
        const char *distro;   /* "debian" or "ubuntu" */
        const char *release;  /* NULL: the newest stable one known: bookworm, jammy */
        const char *mirror;   /* NULL: the distribution's own */
        const char *variant;  /* mmdebstrap's; NULL: minbase */
        const char *packages; /* more packages, apart by commas or blanks; NULL: none */
        int lock;             /* a descriptor that mmdebstrap inherits, and so keeps should we be killed; 0: none */
};
/*
 * Fills the empty folder `path`, an absolute one, by mmdebstrap (systemd, dbus and an init are always in it). Takes
 * minutes; `line` (may be NULL) is told what it says. On failure the folder may be half full.
 */
int tree_bootstrap(const struct tree_bootstrap *wanted, const char *path, void (*line)(void *context, const char *text),
                   void *context, struct cowherd_error *err) must_check;
