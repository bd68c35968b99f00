/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this room: process_run without a replaced runner. */
#pragma once

#include "sys/process.h"

int process_run_really(const struct process *process, struct process_result *ret, struct cowherd_error *err) must_check;
