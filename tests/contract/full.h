/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "subject.h"

/* Fills the subject's filesystem, then clones: a clone that fails says 74 and leaves nothing, one that succeeds is
 * whole. */
const char *full_disk(struct subject *subject);
