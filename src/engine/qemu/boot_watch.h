/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the engine: whether a machine's firmware has given up, told by an event. */
#pragma once

#include "engine/engine.h"

#include <stddef.h>

struct boot_watch {
        int log;     /* what the serial console said since the start, or -1: nothing can be seen */
        int changes; /* readable when it said more, or -1 */
};
#define BOOT_WATCH_NONE {.log = -1, .changes = -1}

/* Begins to watch; where there is no log, or it can't be watched, nothing is ever seen. */
void boot_watch_begin(const struct engine_instance *instance, struct boot_watch *ret);
void boot_watch_end(struct boot_watch *watch);
/* Whether the firmware has found nothing to boot from, and stands still. Takes in what `changes` told. */
bool boot_watch_gave_up(const struct boot_watch *watch);

/* The same of a console's text, or the end of one. */
bool boot_text_gave_up(const char *text, size_t bytes);

#include "base/mem.h"
define_owned(struct boot_watch, boot_watch_end)
