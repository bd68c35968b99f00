/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "herd/herd.h"

/* Takes away what instances that do not run, or that no row knows, have left under /run. What fails for one is counted. */
int runtime_sweep(struct cowherd_herd *herd, struct recovery *recovery, struct cowherd_error *err) must_check;
