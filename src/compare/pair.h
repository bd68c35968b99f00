/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this room: one engine with one store, what is measured of it, and the raw tool beside it. */
#pragma once

#include "compare/images.h"
#include "compare/session.h"

struct raw;

struct pair {
        struct session *session;
        enum cowherd_target target;
        const char *engine, *store;
        const struct image *image;
        const struct raw *raw;  /* NULL: no tool does this by itself */
        char *pool;             /* of ZFS */
        char *base;             /* its name in the herd of the comparison */
        char *base_path;        /* where its bytes are, NULL where nobody can look (LXD) */
        char *source;           /* what the raw tool clones, where that is not the path: a ZFS or LXD snapshot */
        uint64_t base_bytes;
        bool cannot_boot;
        bool broken;            /* something failed: the rest of it is left alone */
};

/*
 * A raw tool. Each makes and removes its clone "NAME" by itself; what is timed is the making. They are to leave nothing behind but
 * what site_remove finds.
 */
struct raw {
        enum cowherd_target target;
        const char *store;
        const char *name;       /* "qemu-img create -b" */
        const char *side;       /* for the sentence that tells what is on each side */
        int (*clone)(struct pair *pair, const char *name, double *ret_ms, struct cowherd_error *err);
        int (*destroy)(struct pair *pair, const char *name, struct cowherd_error *err);
        /* Bytes of its own; what can't be told is left as it is. NULL: nothing can. */
        int (*measure)(struct pair *pair, const char *name, double *ret_allocated, double *ret_apparent, struct cowherd_error *err);
        /* Where its tree can be booted from, to be freed; NULL: it can't. */
        char *(*tree)(struct pair *pair, const char *name);
        bool is_slow;           /* a copy of everything: few runs, no burst */
};
const struct raw *raw_of(enum cowherd_target target, const char *store);
extern const struct raw raw_qcow2, raw_disk_reflink, raw_disk_copy, raw_btrfs, raw_zfs, raw_overlay, raw_tree_reflink, raw_tree_hardlink, raw_tree_copy, raw_lxd;

/* A life, step by step. */
struct life {
        double clone_ms, start_ms, ready_ms, command_ms; /* each by itself, in this order */
        bool start_is_seen;                              /* something tells when it runs; else that is a part of ready_ms */
        double memory_bytes;                             /* 0: not known */
};
/* Boots a clone by hand and ends it; 69 where that can't be done here. */
int raw_life(struct pair *pair, const char *name, struct life *ret, struct cowherd_error *err) must_check;

int raw_life_of_machine(struct pair *pair, const char *disk, struct life *life, struct cowherd_error *err) must_check;
int raw_life_of_tree(struct pair *pair, const char *tree, const char *name, struct life *life, struct cowherd_error *err) must_check;
/* Whether an init of the image says when it is up. */
bool image_has_systemd(const struct image *image);

/* ---- jobs.c: the raw side of clones for one command ---- */

/* Each is one process, whose time is told: what it makes stays until then, and is taken away; or it goes with it. */
int raw_template(struct pair *pair, unsigned run, double *ret, struct cowherd_error *err) must_check;
int raw_ephemeral(struct pair *pair, unsigned run, double *ret, struct cowherd_error *err) must_check;

/* ---- figures.c ---- */

struct figure {
        const char *id, *title, *unit, *compared;
        const char *raw_name;
        unsigned runs;     /* at most */
        unsigned least;    /* at least, however long that takes */
        double budget_ms;  /* no further run when this is spent */
        bool warms;        /* one run of each first that isn't counted */
        int (*ours)(struct pair *pair, unsigned run, double *ret, struct cowherd_error *err);
        int (*raw)(struct pair *pair, unsigned run, double *ret, struct cowherd_error *err); /* or NULL */
};
/* Takes ours and the raw tool's in turn and adds the figure. What fails is written down; false where ours did, and pair->broken. */
bool figure_take(struct pair *pair, const struct figure *figure);
/* Adds one of values that were taken already; raw may be empty. */
void figure_add(struct pair *pair, const struct figure *figure, const struct series *ours, const struct series *raw, unsigned burst);
void note_failed(struct pair *pair, const char *figure, const struct cowherd_error *err);
void note_left_out(struct pair *pair, const char *figure, const char *format, ...) format_like(3, 4);

/* ---- the parts ---- */

void pair_measure(struct pair *pair);
void pair_measure_clones(struct pair *pair);
/* Whether one of ours lived: it was booted, and did its command. */
bool pair_measure_life(struct pair *pair);
void pair_measure_jobs(struct pair *pair);
/* Adds what holds a running instance of ours, while it runs. */
void isolation_add(struct pair *pair, const char *name);
/* The process to look at: QEMU's, or the container's PID 1; *namespace is its PID namespace where it is a container. */
pid_t instance_process(struct pair *pair, const char *name, char *namespace, size_t size);

/* Finds out what works here and measures it. */
int pairs_measure_all(struct session *session, const struct images *images, struct cowherd_error *err) must_check;
/* How many pairs and stores of an engine will be measured, of those that work. */
bool pair_is_wanted(const struct compare_options *options, const char *engine, const char *store, const char *first);
