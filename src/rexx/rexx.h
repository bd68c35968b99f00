/* SPDX-License-Identifier: Apache-2.0 */
/* The REXX face: runs a script against a herd, by libregina and cowherd.h alone. */
#pragma once

#include "cowherd.h"

#include <stdbool.h>

struct cowherd_rexx_options {
        const char *file; /* the script's path */
        int argc;         /* what followed the path; PARSE ARG sees them as one string, joined by blanks */
        const char *const *argv;
        const char *root;              /* the herd's root folder, as in cowherd_options; NULL: the default */
        bool safe;                     /* no ADDRESS SYSTEM, no files written by the script: only our own commands */
        cowherd_progress_fn *progress; /* given to the herd, or NULL */
        void *progress_context;
};

/*
 * Runs a script in a herd that it opens and closes itself: the herd must know the script's folder (a relative image= is
 * looked for there), and that is said when a herd is opened. What goes wrong is told on standard error.
 *
 * The exit status of the process is returned: the script's own EXIT or RETURN value (0 where it gave none; 255 for a
 * whole number outside 0–255, so that 256 is no success; 64 and a message for what is no whole number), else 64      no
 * script was named 65      the script is not REXX, or stopped at a REXX error (its file and line are told) 66      it
 * is not there, or cannot be read 77, 78  the herd cannot be opened 128 + n a signal ended it (INT, TERM or HUP) and
 * the script had no SIGNAL ON HALT of its own
 *
 * Once at a time in a process: Regina's halt and the signal handlers are the process's.
 */
int cowherd_rexx_run(const struct cowherd_rexx_options *options);
