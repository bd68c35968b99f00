/* SPDX-License-Identifier: Apache-2.0 */
/* What makes a machine this one and no other, taken out of an instance; and what else is inside, found on the way. */
#pragma once

#include "lxd_api/client.h"

/* What was found. */
struct lxd_neutral {
        char *guest;    /* words: "systemd" is its init; "sshd", "cloud-init" are installed; "-" where it is none of them */
        char *hostname; /* that was taken out; NULL where none was */
        json_t *kept;   /* text of other files that were taken out, by path: for identity=keep; or NULL */
};
void lxd_neutral_free(struct lxd_neutral *it);
static inline void lxd_neutral_free_at(struct lxd_neutral *it)
{
        lxd_neutral_free(it);
}
#define owned_neutral __attribute__((cleanup(lxd_neutral_free_at)))

/* Takes the identity out of an instance that is stopped, and will next boot as if it had none. Idempotent. */
int lxd_neutralise(struct lxd_client *client, const char *instance, struct lxd_neutral *ret,
                   struct cowherd_error *err) must_check;
/* What it found, and that it was done, into an instance's configuration. */
void lxd_neutral_set(const struct lxd_neutral *it, json_t *config);
