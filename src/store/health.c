/* SPDX-License-Identifier: Apache-2.0 */
/* Room in a pool: when it is too little, the next clone that writes fails, so it is told before. */
#include "store/health.h"

#include "base/number.h"

#include <inttypes.h>
#include <stdio.h>

#define ENOUGH_BYTES (1ull << 30)

void store_health_room(struct store_health *health, uint64_t free_bytes, uint64_t total_bytes)
{
        char free_text[NUMBER_TEXT_BYTES], total_text[NUMBER_TEXT_BYTES];

        health->ok = free_bytes >= ENOUGH_BYTES || free_bytes >= total_bytes / 20;
        (void)snprintf(health->detail, sizeof health->detail, "%s of %s free", number_format_size(free_bytes, free_text),
                       number_format_size(total_bytes, total_text));
        if (!health->ok)
                (void)snprintf(health->advice, sizeof health->advice, "delete what is not needed, or make it larger");
}
