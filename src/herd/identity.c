/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The identity of a clone is chosen when its row is reserved and kept in it; it is applied at the first start, so none of
 * that is on the clone's hot path. What must not meet by chance is random (machine-id, UUIDs, seed: 122 bits or more).
 * A MAC has only 24 bits to itself, where chance would meet among a few thousand: there the id, which is never used again,
 * is spread over the 24 bits by an odd factor, so that no two of 16 million clones of one herd can be equal, and shifted
 * by the herd's own UUID, so that two herds on one network start elsewhere.
 */
#include "herd/herd.h"

#include "sys/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MACHINE_ID_BYTES 16
#define SEED_BYTES 32
#define HOSTNAME_MAX 63

/* The name as DNS takes it. */
static char *hostname_of(const char *name)
{
        char *hostname = x_strndup(name, HOSTNAME_MAX);

        for (char *at = hostname; *at != '\0'; at++) {
                if (*at >= 'A' && *at <= 'Z')
                        *at = (char)(*at - 'A' + 'a');
                else if (*at == '_' || *at == '.')
                        *at = '-';
        }
        return hostname;
}

static char *mac_of(uint64_t id, enum cowherd_target target, const char *herd_uuid)
{
        static const char *const vendors[] = {[COWHERD_QEMU] = "52:54:00", [COWHERD_LXD] = "00:16:3e", [COWHERD_NSPAWN] = "02:c0:37"};
        uint64_t shift = strtoull(herd_uuid, NULL, 16); /* its first eight digits */
        unsigned own = (unsigned)((id * UINT64_C(0x9e3779) + shift) & 0xffffff);

        return x_asprintf("%s:%02x:%02x:%02x", vendors[target], own >> 16, own >> 8 & 0xff, own & 0xff);
}

void identity_choose_machine(struct catalogue_row *row, const char *herd_uuid)
{
        char uuid[UUID_TEXT_BYTES];

        x_replace(&row->mac, NULL);
        row->mac = mac_of(row->id, row->target, herd_uuid);
        x_replace(&row->uuid, random_uuid(uuid));
        x_replace(&row->generation_id, random_uuid(uuid));
}

void identity_choose(struct catalogue_row *row, const char *herd_uuid)
{
        identity_choose_machine(row, herd_uuid);
        identity_choose_system(row, row->name);
}

void identity_choose_system(struct catalogue_row *row, const char *name)
{
        char uuid[UUID_TEXT_BYTES], machine_id[2 * MACHINE_ID_BYTES + 1], seed[2 * SEED_BYTES + 1];

        x_replace(&row->hostname, NULL);
        row->hostname = hostname_of(name);
        x_replace(&row->machine_id, random_hex(MACHINE_ID_BYTES, machine_id));
        x_replace(&row->random_seed, random_hex(SEED_BYTES, seed));
        x_replace(&row->instance_id, NULL);
        row->instance_id = x_asprintf("%s%s", row->target == COWHERD_LXD ? "" : "iid-", random_uuid(uuid)); /* LXD takes a UUID only */
}

const char *identity_pending(const struct catalogue_row *row)
{
        if (row->keep_identity || row->identity_applied)
                return "";
        if (row->target == COWHERD_QEMU)
                return "hostname machine-id mac ssh-host-keys dhcp-id random-seed instance-id uuid generation-id";
        return "hostname machine-id mac ssh-host-keys dhcp-id random-seed instance-id";
}
