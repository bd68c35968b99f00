/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine that only notes what it is told: in place of engine/table.c, for tests of the herd. Its instances' states lie in memory
 * that survives a fork, so that a command can be killed in the middle of a step. Its stores and its catalogue are real.
 */
#pragma once

#include "engine/engine.h"

#include <pthread.h>
#include <stdbool.h>

#define FAKE_IDS 64

struct fake_instance {
        enum engine_state state; /* UNKNOWN here is a stopped one: the memory begins as zeros */
        unsigned starts, stops, ends, tidies, pauses, resumes, executes;
        bool runtime_left;       /* what tidy takes away */
        char identity[64];       /* the machine-id it was started with */
        char host_key[64];       /* the beginning of the host key it was started with, or that a wait was told */
        bool applied_before;     /* identity->applied as its last start saw it */
        char memory[32], words[256]; /* what its last start was told of the machine */
        char live[256];          /* and of the memory that it was to wake from */
        bool switched;           /* it goes on with its next disk */
        unsigned captures, quiets;
        bool stands_by;          /* it was woken and stopped, to be taken */
        char hostname[64], uuid[64]; /* what it was last told */
};

struct fake_engine {
        pthread_mutex_t mutex;
        struct fake_instance instances[FAKE_IDS]; /* by id */
        unsigned at_once, at_once_max;            /* starts at the same time */
        bool meets;                               /* a start stays until another has begun beside it: that they do is seen, not hoped for */
        /* what is to go wrong */
        char fail[32], fail_name[64];   /* callback and instance ("" any) that fails … */
        int fail_code;                  /* … with this */
        char kill[32];                  /* callback in which the process dies: "start" before it runs, "started" after */
        bool absent;                    /* no callbacks but probe and states */
        char released[128];             /* the runtime folder that was last brought out of use */
        unsigned releases;
        bool keeps_pending;             /* a start does not apply the identity; a wait does */
        char output[64];                /* of execute */
        size_t output_length;
        int exit_code;
        char executed[512];             /* argv and all of the last execute */
};
extern struct fake_engine *fake_engine;

void fake_engine_begin(void); /* before any herd is opened */
void fake_engine_reset(void);
void fake_engine_fail(const char *callback, const char *name, int code);
