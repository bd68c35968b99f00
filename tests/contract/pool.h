/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "subject.h"

/* Setup, attach and teardown of a store that makes its own place, in the subject's folder as the root of a herd. */
const char *pool_life(struct subject *subject);
