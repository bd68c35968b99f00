/* SPDX-License-Identifier: Apache-2.0 */
/* What the stores' health callbacks share. */
#pragma once

#include "store/store.h"

/* "1.2 GiB of 10.0 GiB free", and not ok where less than a twentieth and less than 1 GiB is. */
void store_health_room(struct store_health *health, uint64_t free_bytes, uint64_t total_bytes);
