/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A libcowherd that does nothing but remember what it was told and give the answers a test has laid ready, so that the
 * host's own logic is tested apart from herd and engines.
 */
#pragma once

#include "cowherd.h"

enum { FAKE_COMMANDS_MAX = 64 };

struct fake {
        int opened, closed;         /* how often */
        int refuse;                 /* the code with which cowherd_open is to fail, or 0 */
        char *root, *script_folder; /* what it was opened with */
        cowherd_progress_fn *progress;
        size_t commands;
        char *log[FAKE_COMMANDS_MAX]; /* "qemu clone base=b name=x", {{}} replaced */
};
extern struct fake fake;

void fake_reset(void);
/*
 * Lays an answer ready for the commands that begin so (the longest beginning wins). The answer is lines: "name=value",
 * "also name=value", "item" (begins one; its fields follow), "list" (makes it a list without items), "stem=out.",
 * "code=66", "text=…" for what cowherd_answer_text gives, "raise=2" for a signal while the command runs,
 * "raise_in_thread=2" for one that a thread of the herd gets. Without "success=0" it is a success. Where nothing was
 * laid ready the answer is a plain success.
 */
void fake_answer(const char *beginning, const char *lines);
