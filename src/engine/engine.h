/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine runs instances. Each is one folder with one `const struct engine_driver`, listed in table.c. An absent
 * callback means that this engine can't; the herd answers 69 with the verb's name. Engines and stores never meet: the
 * herd hands an engine the path or the name that a store made.
 */
#pragma once

#include "base/error.h"
#include "cowherd.h"

#include <stdbool.h>
#include <stdint.h>

enum engine_state {
        ENGINE_UNKNOWN,
        ENGINE_STOPPED,
        ENGINE_RUNNING,
        ENGINE_PAUSED,
        ENGINE_MISSING, /* its bytes or its instance are gone, behind our back */
};
const char *engine_state_name(enum engine_state state);

struct engine_probe {
        bool available;
        char reason[256];       /* why not, and what to install or do; "" where available */
        char hint[256];
        char version[64];       /* "7.2.22", "5.0.2", "252.38" */
        char acceleration[32];  /* QEMU: "kvm" or "tcg"; else "" */
};

/* An instance, as the herd describes it to its engine. Borrowed. */
struct engine_instance {
        uint64_t id;
        const char *name;
        int folder;            /* the place's folder, opened (-1 for LXD): path is relative to it */
        const char *path;      /* its disk or tree, as store_object_path says */
        const char *herd_uuid; /* LXD: whose it must be; NULL: not compared */
};

struct engine_driver {
        const char *name;
        enum cowherd_target target;
        unsigned kinds;        /* enum store_kind it can run, or-ed: plain numbers here, the rooms don't meet */
        const char *default_stores; /* names in order of preference, apart by blanks */
        const char *runtime;   /* the original's word for it: "qemu", "lxd", "systemd-nspawn" */

        /* Whether the engine is usable here. Starts nothing that stays. Fails only on our own faults. */
        int (*probe)(struct engine_probe *ret, struct cowherd_error *err) must_check;
        /*
         * The real state of `count` instances at once, asked of the engine, into ret[i]. Costs one question for all.
         */
        int (*states)(const struct engine_instance *instances, size_t count, enum engine_state *ret, struct cowherd_error *err) must_check;
};

/* The driver of a target; 69 where its module can't be opened. */
int engine_find(enum cowherd_target target, const struct engine_driver **ret, struct cowherd_error *err) must_check;
