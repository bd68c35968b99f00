/* SPDX-License-Identifier: Apache-2.0 */
/* What cloud-init reads at the first boot of a clone: a NoCloud seed. */
#pragma once

#include "engine/engine.h"

#include "base/str.h"

/* Whether there is anything to tell the guest: an identity of its own, a key or data of the user's. */
bool qemu_seed_is_wanted(const struct engine_instance *instance);
/* The image: label "cidata", with meta-data, user-data, vendor-data and network-config. `seconds`: its time, since 1970. */
void qemu_seed_make(const struct engine_instance *instance, int64_t seconds, struct str *ret);
