/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verb table: the one source of what can be said. Parser, help, manual pages, completion and tests read it; nothing
 * repeats it. A parameter is described once (parameters.c) and named by its key wherever a verb takes it.
 */
#pragma once

#include "cowherd.h"

#include <stdbool.h>
#include <stdint.h>

enum verb_id {
        VERB_STATUS, VERB_SETUP, VERB_TEARDOWN,
        VERB_REGISTER_BASE, VERB_LIST_BASES, VERB_INFO, VERB_REMOVE_BASE,
        VERB_CLONE_FROM_BASE, VERB_CREATE, VERB_LIST,
        VERB_START, VERB_STOP, VERB_RESTART, VERB_PAUSE, VERB_RESUME, VERB_START_IF_STOPPED, VERB_STOP_IF_RUNNING,
        VERB_WAIT, VERB_EXECUTE, VERB_COPY_TO, VERB_COPY_FROM,
        VERB_SNAPSHOT, VERB_RESTORE, VERB_LIST_SNAPSHOTS, VERB_DELETE_SNAPSHOT, VERB_PROMOTE, VERB_FLATTEN,
        VERB_RENAME, VERB_SHELL, VERB_DELETE, VERB_LOGS, VERB_USAGE, VERB_EXTEND, VERB_CLEANUP, VERB_SECURITY_AUDIT,
        VERB_RUN, VERB_DOCTOR, VERB_TREE, VERB_COMPARE, VERB_ADVISE, VERB_METRICS, VERB_COMPLETION, VERB_HELP,
        VERB_COUNT
};

/* One for each parameter of the language, whichever verbs take it. */
enum key {
        KEY_NAME, KEY_AS, KEY_BASE, KEY_COUNT_OF /* count= */,
        KEY_IMAGE, KEY_ROOTFS, KEY_TARBALL, KEY_DISTRO, KEY_RELEASE, KEY_MIRROR, KEY_VARIANT, KEY_PACKAGES, KEY_FROM, KEY_ADOPT, KEY_FORMAT, KEY_GUEST,
        KEY_STORE, KEY_SIZE, KEY_POOL, KEY_WARM, KEY_WARM_MEMORY,
        KEY_MEMORY, KEY_CPUS, KEY_DISK_SIZE, KEY_NETWORK, KEY_PORTS, KEY_MOUNT, KEY_SSH_KEY, KEY_USER_DATA, KEY_OS, KEY_FIRMWARE, KEY_ACCEL, KEY_IDENTITY, KEY_DURABLE, KEY_ATOMIC,
        KEY_START, KEY_WAIT, KEY_TTL, KEY_TIMEOUT, KEY_FORCE, KEY_ALL, KEY_FOR,
        KEY_COMMAND, KEY_WORKING_DIR, KEY_USER, KEY_ENV, KEY_STDIN, KEY_SHELL, KEY_LOCAL, KEY_REMOTE,
        KEY_SNAPSHOT, KEY_LIVE, KEY_FILE, KEY_TOPIC, KEY_LINES, KEY_NEED,
        KEY_ENGINE, KEY_COLUMNS, KEY_CLONES, KEY_QUICK, KEY_JSON, KEY_HTML, KEY_AGAINST,
        KEY_DRY_RUN, KEY_STEM, /* of every verb */
        KEY_COUNT
};

#define VERB_BARE_WORDS 3

struct verb {
        struct cowherd_verb public; /* what faces see; its parameters point into a table of this room */
        enum verb_id id;
        const enum key *keys;       /* of public.parameters, in the same order */
        enum key bare[VERB_BARE_WORDS]; /* which parameters a shell's bare words fill, in turn; ends with KEY_COUNT */
};

/* By id; never NULL. */
const struct verb *verb_of(enum verb_id id);
/* By name or alias, without regard to case; NULL where there is none. */
const struct verb *verb_find(const char *name);
