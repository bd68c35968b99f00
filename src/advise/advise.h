/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which engine and store suits which needs. A pure function: facts of a host and needs go in, places with their reasons and the
 * commands to begin come out. Nothing here looks at the host; who calls it does.
 *
 * Every pair of engine and store has a mark from 0 to 10 for each need, with the reason for it (marks.c); where the caller has
 * measured figures, marks for time and space come of those. The place is the mean of the marks, the first need counting twice,
 * less what is still to be done (1 for a command of cowherd's, 4 for something to be installed). A mark of 0 is "can't".
 */
#pragma once

#include "base/error.h"
#include "base/str.h"
#include "cowherd.h"

enum advise_need {
        ADVISE_SPEED, ADVISE_SPACE, ADVISE_ISOLATION, ADVISE_SIMPLE, ADVISE_WINDOWS, ADVISE_LIVE, ADVISE_ANY_FILESYSTEM, ADVISE_CI,
        ADVISE_NEEDS
};
const char *advise_need_name(enum advise_need need);

/* Needs in the order in which they were said, each once. */
struct advise_needs {
        enum advise_need items[ADVISE_NEEDS];
        size_t count;
};
/*
 * "speed,ci" (commas or blanks; `_` is as good as `-`). NULL or "" are speed, space, isolation and simple. 64 with the
 * nearest one for what is none of them, or is said twice.
 */
int advise_parse_needs(const char *text, struct advise_needs *ret, struct cowherd_error *err) must_check;

enum advise_state {
        ADVISE_READY,   /* works here, now */
        ADVISE_SETUP,   /* a command of cowherd's, or root, is wanting */
        ADVISE_INSTALL, /* something has to be installed or started first */
        ADVISE_NEVER,   /* can't work on this host */
};
const char *advise_state_name(enum advise_state state);

/* One pair on this host. Its texts are borrowed by the advice. */
struct advise_option {
        enum cowherd_target engine;
        const char *store;   /* as store= takes it */
        enum advise_state state;
        const char *lacking; /* what is wanting, or why not; "" where READY */
        const char *command; /* that mends it, or NULL: nobody knows one */
        /* Measured here, by compare; below zero: not measured. */
        double start_ms;      /* a clone and its start until it is ready */
        double saved_percent; /* of a full copy */
};
#define ADVISE_OPTIONS 16

struct advise_facts {
        bool is_root;
        bool has_acceleration; /* of the processor, for virtual machines */
        struct advise_option options[ADVISE_OPTIONS];
        size_t count;
};

struct advice {
        const struct advise_option *option;
        unsigned place;        /* 1, 2, …; 0: not for these needs */
        double mark;           /* 0 to 10 */
        struct strv reasons;   /* "speed: a clone is …" for each need, in order; where place is 0 only why not */
        struct strv commands;  /* to begin with; empty where place is 0 */
};
struct advices {
        struct advice items[ADVISE_OPTIONS]; /* best first; those of place 0 last, in the order of the options */
        size_t count;
        const char *stack; /* "development", "production" or "CI" where the first place is that stack of the comparison, else NULL */
};
void advices_free(struct advices *advices);
define_owned(struct advices, advices_free)

/* Ranks them. The advice borrows from the facts. */
void advise_rank(const struct advise_facts *facts, const struct advise_needs *needs, struct advices *ret);
