/* SPDX-License-Identifier: Apache-2.0 */
/* Whether KVM really runs guests here. */
#pragma once

#include "base/error.h"

/*
 * "kvm" or "tcg" for this QEMU program. Runs a guest of 512 bytes against the clock (at most 2 s) where /dev/kvm opens,
 * once a boot: the result is kept in a file in the folder `cache`, which is made; NULL keeps nothing. Static.
 */
const char *qemu_acceleration(const char *program, const char *cache);
/* Where that is kept for this user: /run/cowherd or $XDG_RUNTIME_DIR/cowherd; NULL where there is none. To be freed. */
char *qemu_runtime_folder(void);
