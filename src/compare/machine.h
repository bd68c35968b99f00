/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this room: the host that is measured on. */
#pragma once

#include "compare/session.h"

/* {"kernel", "os", "processor", …}: the document's "machine", without load_after. The caller's. */
json_t *machine_describe(const char *root);
/* The load of the last minute. */
double machine_load(void);
/* Bytes that could be had without swapping. */
uint64_t machine_available_bytes(void);
/* [{"name":"qemu","version":…}, …]: what is installed. The caller's. */
json_t *machine_tools(void);
