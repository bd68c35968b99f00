/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs: names, what they do, the parameters that each takes, and which of those a shell's bare words fill. A new
 * verb is a row here, its id in verbs.h, and its work in the herd; parser, help and manual pages then know it.
 */
#include "command/table.h"

#define USES(...) (const struct use[]){__VA_ARGS__, {.key = KEY_COUNT}}
#define BARE(...) .bare = {__VA_ARGS__}, .bare_count = sizeof((enum key[]){__VA_ARGS__}) / sizeof(enum key)

#define NAME_REQUIRED {.key = KEY_NAME, .required = true}
#define PATTERN_REQUIRED                                                                                               \
        {.key = KEY_NAME, .required = true, .type = "pattern",                                                         \
         .help = "The instance, or a pattern such as web-* for several."}
#define PATTERN                                                                                                        \
        {.key = KEY_NAME, .type = "pattern",                                                                           \
         .help = "The instance, or a pattern such as web-*; without it all of them."}
#define FORMAT_AND_COLUMNS                                                                                             \
        {.key = KEY_FORMAT, .type = "table|json|csv|tsv|plain", .fallback = "table",                                   \
         .help = "How the shell prints it; plain has no heading and is cut nowhere, for awk and read."},               \
                {.key = KEY_COLUMNS}
#define AS_REQUIRED {.key = KEY_AS, .required = true}
#define SAID_TO_SETUP "Taken, so that what was said to setup can be said again; it makes no difference."
#define POWER_USES                                                                                                     \
        USES(PATTERN_REQUIRED, {.key = KEY_WAIT}, {.key = KEY_TIMEOUT}, {.key = KEY_FORCE}, {.key = KEY_ATOMIC})
#define CLONE_KEYS                                                                                                     \
        {.key = KEY_NAME, .aliases = "destination", .help = "Name of the clone; made up where it is not given."},      \
                {.key = KEY_COUNT_OF}, {.key = KEY_START}, {.key = KEY_WAIT}, {.key = KEY_TTL}, {.key = KEY_MEMORY},   \
                {.key = KEY_CPUS}, {.key = KEY_DISK_SIZE}, {.key = KEY_NETWORK}, {.key = KEY_PORTS},                   \
                {.key = KEY_MOUNT}, {.key = KEY_SSH_KEY}, {.key = KEY_USER_DATA}, {.key = KEY_OS},                     \
                {.key = KEY_FIRMWARE}, {.key = KEY_ACCEL}, {.key = KEY_IDENTITY}, {.key = KEY_STORE},                  \
                {.key = KEY_DURABLE}, {.key = KEY_ATOMIC}, {.key = KEY_TIMEOUT}

static const struct verb_row rows[VERB_COUNT] = {
        [VERB_STATUS] = {
                .public = {
                        .name = "status",
                        .summary = "tell whether the engine is usable here, and what it has",
                        .description = "For each engine: whether it can be used, and if not why; its version,"
                                       " the stores that work in this folder with the one that is taken, its "
                                       "acceleration, and how many bases and clones there are and how many "
                                       "run.",
                        .example = "status",
                        .available = true,
                },
        },
        [VERB_SETUP] = {
                .public = {
                        .name = "setup",
                        .summary = "make the engine ready",
                        .description = "Makes the root folder and, where a store is named, what it needs: "
                                       "store=btrfs size=20G makes an embedded pool, a btrfs file system in "
                                       "one file that is mounted whenever it is needed. On LXD the storage "
                                       "pool and the profile; and warm=4 keeps four clones of each base ready, "
                                       "so that a clone is only given a name: a helper makes others in the "
                                       "background after each use. On QEMU likewise of live bases, whose clones "
                                       "then stand ready, woken and stopped (see cowherd-live(7)). "
                                       "warm=0 takes them away. Safe to repeat.",
                        .example = "setup store=btrfs size=20G",
                        .example_engine = "nspawn",
                        .available = true,
                },
                .uses = USES({.key = KEY_STORE}, {.key = KEY_SIZE}, {.key = KEY_POOL}, {.key = KEY_WARM}, {.key = KEY_WARM_MEMORY},
                             {.key = KEY_BASE, .help = "The base for which warm= is meant; without it, all that have none of their own."}),
        },
        [VERB_TEARDOWN] = {
                .public = {
                        .name = "teardown",
                        .summary = "undo what setup made",
                        .description = "Removes the embedded pool, the LXD pool and profile that setup made. "
                                       "While a base or a clone lies in it the answer is 75 and nothing is "
                                       "removed.",
                        .example = "teardown store=btrfs",
                        .example_engine = "nspawn",
                        .available = true,
                },
                .uses = USES({.key = KEY_STORE, .help = "Only the pool of this store; without it whatever setup made for the engine."},
                             {.key = KEY_SIZE, .help = SAID_TO_SETUP}, {.key = KEY_POOL, .help = SAID_TO_SETUP}, {.key = KEY_WARM, .help = SAID_TO_SETUP}),
        },
        [VERB_REGISTER_BASE] = {
                .public = {
                        .name = "register_base",
                        .summary = "make an immutable base of an image, a folder, an archive or a distribution",
                        .description = "Exactly one source is given: image, rootfs, tarball, distro or from. "
                                       "The base is a reflink or a copy of it, so the source may change or go"
                                       " afterwards; adopt=true takes the file itself. Every base is "
                                       "read-only and has no identity of its own left: no machine-id, no host"
                                       " keys. A relative image is looked for in the current folder, then in "
                                       "the script's. from= makes it of a clone, and with live=true of a running virtual "
                                       "machine with its memory, as promote does.",
                        .example = "register_base name=vm-base image=debian.qcow2",
                        .available = true,
                },
                .uses = USES({.key = KEY_NAME, .required = true, .help = "Name of the new base."},
                             {.key = KEY_IMAGE, .aliases = "disk"}, {.key = KEY_ROOTFS}, {.key = KEY_TARBALL},
                             {.key = KEY_DISTRO}, {.key = KEY_RELEASE}, {.key = KEY_MIRROR}, {.key = KEY_VARIANT},
                             {.key = KEY_PACKAGES}, {.key = KEY_FROM}, {.key = KEY_LIVE}, {.key = KEY_ADOPT}, {.key = KEY_FORMAT}, {.key = KEY_GUEST}, {.key = KEY_WARM},
                             {.key = KEY_STORE},
                             {.key = KEY_MEMORY, .help = "Memory of its clones, where they do not say."},
                             {.key = KEY_CPUS, .help = "Processors of its clones, where they do not say."},
                             {.key = KEY_OS}, {.key = KEY_FIRMWARE}, {.key = KEY_DURABLE}),
                BARE(KEY_NAME, KEY_IMAGE),
        },
        [VERB_LIST_BASES] = {
                .public = {
                        .name = "list_bases",
                        .summary = "list the bases",
                        .example = "list_bases",
                        .available = true,
                },
                .uses = USES({.key = KEY_NAME, .type = "pattern",
                              .help = "The base, or a pattern such as web-*; without it all of them."},
                             {.key = KEY_ALL}, FORMAT_AND_COLUMNS),
                BARE(KEY_NAME),
        },
        [VERB_INFO] = {
                .public = {
                        .name = "info",
                        .summary = "tell all about a base or a clone",
                        .example = "info name=vm-1",
                        .available = true,
                },
                .uses = USES({.key = KEY_NAME, .required = true, .type = "pattern",
                              .help = "The base or the instance, or a pattern such as web-* for several."}),
                BARE(KEY_NAME),
        },
        [VERB_REMOVE_BASE] = {
                .public = {
                        .name = "remove_base",
                        .summary = "remove a base",
                        .description = "Its name is free at once. Where clones still stand on it, its bytes "
                                       "go with the last of them.",
                        .example = "remove_base name=vm-base",
                        .available = true,
                },
                .uses = USES({.key = KEY_NAME, .required = true, .help = "Name of the base."}),
                BARE(KEY_NAME),
        },
        [VERB_CLONE_FROM_BASE] = {
                .public = {
                        .name = "clone_from_base",
                        .aliases = "clone copy",
                        .summary = "make copy-on-write clones of a base",
                        .description = "A clone shares its base's blocks until it writes. With count=3 and "
                                       "name=web the clones are web-1, web-2 and web-3: their names are taken all "
                                       "or none, what fails later fails alone, and atomic=true undoes all. "
                                       "start=true starts them at once, several in parallel; one that can't be "
                                       "started is not made. wait=true answers when they are ready, or 75 after "
                                       "timeout (two minutes): such a one is left running. Clones of a live base wake in "
                                       "its memory at once and are ready when the answer comes; start=false makes plain "
                                       "clones of its disk, which boot.",
                        .example = "clone_from_base base=vm-base name=vm-1",
                        .available = true,
                },
                .uses = USES({.key = KEY_BASE, .required = true, .aliases = "source"}, CLONE_KEYS),
                BARE(KEY_BASE, KEY_NAME),
        },
        [VERB_CREATE] = {
                .public = {
                        .name = "create",
                        .summary = "register an image and clone it, in one go",
                        .description = "As register_base and then clone_from_base. The base that is made for it "
                                       "has no name of its own afterwards and goes with its last clone.",
                        .example = "create image=debian.qcow2 name=vm-1 start=true wait=true",
                        .available = true,
                },
                .uses = USES({.key = KEY_IMAGE, .required = true, .aliases = "disk"}, CLONE_KEYS),
                BARE(KEY_IMAGE, KEY_NAME),
        },
        [VERB_LIST] = {
                .public = {
                        .name = "list",
                        .summary = "list the instances with their real state",
                        .description = "The state is asked of the engine, never remembered. What another herd"
                                       " or another tool made is left out unless all=true asks for it. columns= says "
                                       "which fields are wanted, those of info among them; format= how the shell prints "
                                       "them: a table fits the terminal, csv and tsv have every value whole.",
                        .example = "list name=web-*",
                        .available = true,
                },
                .uses = USES(PATTERN, {.key = KEY_ALL}, FORMAT_AND_COLUMNS),
                BARE(KEY_NAME),
        },
        [VERB_START] = {
                .public = {
                        .name = "start",
                        .summary = "start instances",
                        .description = "Returns once the engine runs it; its guest may still boot. wait=true "
                                       "answers only when it is ready (its init says that it is up, or its agent "
                                       "answers), at most timeout (two minutes) later; where that never comes the "
                                       "answer is 75, and the instance was left running. The first start puts the "
                                       "fresh identity in. What runs already is 75; start_if_stopped skips it. "
                                       "With a pattern several start at once: each has its own fields, failed=n "
                                       "tells how many could not, and atomic=true stops the others again.",
                        .example = "start name=vm-1 wait=true",
                        .available = true,
                },
                .uses = POWER_USES,
                BARE(KEY_NAME),
        },
        [VERB_STOP] = {
                .public = {
                        .name = "stop",
                        .summary = "stop instances in order, or at once with force=true",
                        .description = "The guest is asked to shut down; after timeout (30 seconds), or at once "
                                       "with force=true, it is ended (forced=1). What is stopped already is 75; "
                                       "stop_if_running skips it.",
                        .example = "stop name=web-*",
                        .available = true,
                },
                .uses = POWER_USES,
                BARE(KEY_NAME),
        },
        [VERB_RESTART] = {
                .public = {
                        .name = "restart",
                        .summary = "stop and start instances",
                        .description = "Stops what runs as stop does, then starts it as start does. What is "
                                       "stopped is started.",
                        .example = "restart name=vm-1",
                        .available = true,
                },
                .uses = POWER_USES,
                BARE(KEY_NAME),
        },
        [VERB_PAUSE] = {
                .public = {
                        .name = "pause",
                        .summary = "freeze running instances",
                        .description = "Its processors stand still, its memory stays. What does not run is 75.",
                        .example = "pause name=vm-1",
                        .available = true,
                },
                .uses = POWER_USES,
                BARE(KEY_NAME),
        },
        [VERB_RESUME] = {
                .public = {
                        .name = "resume",
                        .summary = "let paused instances go on",
                        .description = "What is not paused is 75.",
                        .example = "resume name=vm-1",
                        .available = true,
                },
                .uses = POWER_USES,
                BARE(KEY_NAME),
        },
        [VERB_START_IF_STOPPED] = {
                .public = {
                        .name = "start_if_stopped",
                        .summary = "start instances, skipping those that run",
                        .description = "As start, but what runs or is paused is left alone, with skipped=1 in the "
                                       "answer.",
                        .example = "start_if_stopped name=vm-1",
                        .available = true,
                },
                .uses = POWER_USES,
                BARE(KEY_NAME),
        },
        [VERB_STOP_IF_RUNNING] = {
                .public = {
                        .name = "stop_if_running",
                        .summary = "stop instances, skipping those that do not run",
                        .description = "As stop, but what is stopped is left alone, with skipped=1 in the answer.",
                        .example = "stop_if_running name=vm-1",
                        .available = true,
                },
                .uses = POWER_USES,
                BARE(KEY_NAME),
        },
        [VERB_WAIT] = {
                .public = {
                        .name = "wait",
                        .summary = "wait until instances are what is asked for",
                        .description = "for=running: the engine runs it; for=ready: its init says that it is up, "
                                       "or its agent answers; for=address: it has a global address, which the "
                                       "answer tells; for=stopped. It is told by an event, not by asking again and "
                                       "again. After timeout (two minutes) the answer is 75, and the instance as "
                                       "it was. A pattern waits for all of them at once.",
                        .example = "wait name=vm-1 for=ready timeout=30s",
                        .available = true,
                },
                .uses = USES(PATTERN_REQUIRED, {.key = KEY_FOR}, {.key = KEY_TIMEOUT}),
                BARE(KEY_NAME),
        },
        [VERB_EXECUTE] = {
                .public = {
                        .name = "execute",
                        .aliases = "exec",
                        .summary = "run a command inside an instance",
                        .description = "A shell of the guest runs it, never one of the host: /bin/sh -c, on "
                                       "os=windows cmd.exe /c, or shell= with -c. In the shell form, one word "
                                       "behind -- is such a command line; several are a program and its arguments, "
                                       "which arrive as they are. The answer has stdout, stderr (in stdout_base64 "
                                       "and stderr_base64 where they are no text) and exit_code, at most 16 MiB of "
                                       "each (else cut=1). That it ran is success, and its exit code is RC; after "
                                       "timeout the command is ended inside the guest, and the answer is 75. "
                                       "'cowherd exec' passes the caller's own input and output through, a "
                                       "terminal with its keys and its size, and exits with the command's exit "
                                       "code, or 125 for an error of cowherd itself.",
                        .example = "execute name=vm-1 command='apt update && apt upgrade -y'",
                        .available = true,
                },
                .uses = USES({.key = KEY_NAME, .required = true, .aliases = "vm container"},
                             {.key = KEY_COMMAND, .required = true}, {.key = KEY_TIMEOUT}, {.key = KEY_WORKING_DIR},
                             {.key = KEY_USER}, {.key = KEY_ENV}, {.key = KEY_STDIN}, {.key = KEY_SHELL}),
                BARE(KEY_NAME, KEY_COMMAND),
        },
        [VERB_COPY_TO] = {
                .public = {
                        .name = "copy_to",
                        .summary = "copy a file or a folder into an instance",
                        .description = "A file or a folder, with modes and symlinks kept; it belongs to root "
                                       "there. A folder that remote names takes the thing under its own name, "
                                       "anything else is its new name. A symlink that local names is followed.",
                        .example = "copy_to name=vm-1 local=app.tar remote=/tmp/app.tar",
                        .available = true,
                },
                .uses = USES(NAME_REQUIRED, {.key = KEY_LOCAL, .required = true},
                             {.key = KEY_REMOTE, .required = true}),
                BARE(KEY_NAME, KEY_LOCAL, KEY_REMOTE),
        },
        [VERB_COPY_FROM] = {
                .public = {
                        .name = "copy_from",
                        .summary = "copy a file or a folder out of an instance",
                        .description = "A folder that local names takes the thing under its own name, anything "
                                       "else is its new name; a folder is merged into one that is there. It "
                                       "belongs to the caller. What a guest sends is not trusted: names that lead "
                                       "out, devices, setuid bits and capabilities do not get through.",
                        .example = "copy_from name=vm-1 remote=/var/log/syslog local=syslog",
                        .available = true,
                },
                .uses = USES(NAME_REQUIRED, {.key = KEY_LOCAL, .required = true},
                             {.key = KEY_REMOTE, .required = true}),
                BARE(KEY_NAME, KEY_REMOTE, KEY_LOCAL),
        },
        [VERB_SNAPSHOT] = {
                .public = {
                        .name = "snapshot",
                        .summary = "keep a named point in time of an instance",
                        .description = "By the store's own means, of a running instance too: it stands still for some "
                                       "milliseconds, its file systems frozen where something inside can do that "
                                       "(frozen=1). Its memory is not kept.",
                        .example = "snapshot name=vm-1 snapshot=clean",
                        .available = true,
                },
                .uses = USES(NAME_REQUIRED,
                             {.key = KEY_SNAPSHOT, .aliases = "snapshot_name",
                              .help = "Name of the snapshot; made up where it is not given."}),
                BARE(KEY_NAME, KEY_SNAPSHOT),
        },
        [VERB_RESTORE] = {
                .public = {
                        .name = "restore",
                        .summary = "take an instance back to a snapshot",
                        .description = "What it was is gone; the snapshot stays. A running instance is stopped, "
                                       "restored and started again.",
                        .example = "restore name=vm-1 snapshot=clean",
                        .available = true,
                },
                .uses = USES(NAME_REQUIRED,
                             {.key = KEY_SNAPSHOT, .aliases = "snapshot_name",
                              .help = "Name of the snapshot; without it the last one."}),
                BARE(KEY_NAME, KEY_SNAPSHOT),
        },
        [VERB_LIST_SNAPSHOTS] = {
                .public = {
                        .name = "list_snapshots",
                        .summary = "list instances' snapshots",
                        .example = "list_snapshots name=vm-1",
                        .available = true,
                },
                .uses = USES(PATTERN_REQUIRED,
                             {.key = KEY_SNAPSHOT, .aliases = "snapshot_name", .type = "pattern",
                              .help = "Only those that match a pattern."},
                             FORMAT_AND_COLUMNS),
                BARE(KEY_NAME, KEY_SNAPSHOT),
        },
        [VERB_DELETE_SNAPSHOT] = {
                .public = {
                        .name = "delete_snapshot",
                        .summary = "delete an instance's snapshot",
                        .description = "Its name is free at once. Its bytes stay while something stands on them: the "
                                       "instance itself, a later snapshot, a clone.",
                        .example = "delete_snapshot name=vm-1 snapshot=clean",
                        .available = true,
                },
                .uses = USES(NAME_REQUIRED, {.key = KEY_SNAPSHOT, .required = true, .aliases = "snapshot_name"}),
                BARE(KEY_NAME, KEY_SNAPSHOT),
        },
        [VERB_PROMOTE] = {
                .public = {
                        .name = "promote",
                        .summary = "make a base of a clone",
                        .description = "The clone goes on, as a clone of that new base. A tree is freed of its "
                                       "identity, as any base; the clone gets its own again at its next start. "
                                       "live=true keeps the memory of a running virtual machine too: it stands still "
                                       "for the moment that takes (pause_ms), and the clones of that live base do not boot "
                                       "but wake where it stood (see cowherd-live(7)). Where only the guest agent is inside, it "
                                       "starts cowherd-guest for them, in memory alone; guest=keep leaves it out.",
                        .example = "promote name=vm-1 as=vm-configured",
                        .available = true,
                },
                .uses = USES(NAME_REQUIRED, {.key = KEY_AS, .required = true, .help = "Name of the new base."},
                             {.key = KEY_LIVE}, {.key = KEY_WARM}, {.key = KEY_GUEST}),
                BARE(KEY_NAME, KEY_AS),
        },
        [VERB_FLATTEN] = {
                .public = {
                        .name = "flatten",
                        .summary = "cut a clone loose from its base",
                        .description = "It gets bytes of its own of all that it reads through its base. A base that was "
                                       "removed, and that nothing else stands on, goes with that.",
                        .example = "flatten name=vm-1",
                        .available = true,
                },
                .uses = USES(NAME_REQUIRED),
                BARE(KEY_NAME),
        },
        [VERB_RENAME] = {
                .public = {
                        .name = "rename",
                        .summary = "give a base or an instance another name",
                        .example = "rename name=vm-1 as=web-1",
                        .available = true,
                },
                .uses = USES({.key = KEY_NAME, .required = true, .help = "The name it has."}, AS_REQUIRED),
                BARE(KEY_NAME, KEY_AS),
        },
        [VERB_SHELL] = {
                .public = {
                        .name = "shell",
                        .summary = "a terminal inside an instance (from the shell only)",
                        .description = "A login shell of root, or of user. Keys, signals and the window's size are "
                                       "passed on; its exit code is that of cowherd, 125 an error of cowherd "
                                       "itself.",
                        .example = "shell name=vm-1",
                        .available = true,
                },
                .uses = USES(NAME_REQUIRED, {.key = KEY_USER}),
                BARE(KEY_NAME),
        },
        [VERB_DELETE] = {
                .public = {
                        .name = "delete",
                        .aliases = "remove",
                        .summary = "delete instances with all that belongs to them",
                        .description = "The instance, its disk, its sockets, its mounts. A pattern matches this "
                                       "herd's clones only, and the answer says how many it matched. A running "
                                       "instance is refused (75) unless force=true, which ends it. What does not "
                                       "exist is 66; what its engine lost behind cowherd's back is deleted.",
                        .example = "delete name=web-* force=true",
                        .available = true,
                },
                .uses = USES(PATTERN_REQUIRED, {.key = KEY_FORCE}),
                BARE(KEY_NAME),
        },
        [VERB_LOGS] = {
                .public = {
                        .name = "logs",
                        .summary = "an instance's console",
                        .description = "What the guest printed on its console since it was started last. 66 where "
                                       "it never was.",
                        .example = "logs name=vm-1 lines=20",
                        .available = true,
                },
                .uses = USES(NAME_REQUIRED, {.key = KEY_LINES}),
                BARE(KEY_NAME),
        },
        [VERB_USAGE] = {
                .public = {
                        .name = "usage",
                        .summary = "bytes that are an instance's alone, and bytes that it shares",
                        .example = "usage name=vm-1",
                        .available = true,
                },
                .uses = USES({.key = KEY_NAME, .type = "pattern",
                              .help = "The base or the instance, or a pattern such as web-*; without it all of them."}),
                BARE(KEY_NAME),
        },
        [VERB_EXTEND] = {
                .public = {
                        .name = "extend",
                        .summary = "let instances live longer",
                        .description = "The instance lives for ttl from now on, where it would have ended earlier, "
                                       "or would not have ended at all.",
                        .example = "extend name=vm-1 ttl=2h",
                        .available = true,
                },
                .uses = USES(PATTERN_REQUIRED, {.key = KEY_TTL, .required = true}),
                BARE(KEY_NAME, KEY_TTL),
        },
        [VERB_CLEANUP] = {
                .public = {
                        .name = "cleanup",
                        .summary = "remove what expired, and settle what was interrupted",
                        .description = "Finishes or undoes what a killed command left behind, and deletes clones "
                                       "whose ttl is over, ending what runs. A pattern says which of those. What "
                                       "another herd or another tool made is never touched. A timer unit for "
                                       "systemd is shipped: cowherd-cleanup.timer.",
                        .example = "cleanup dry_run=true",
                        .available = true,
                },
                .uses = USES(PATTERN),
                BARE(KEY_NAME),
        },
        [VERB_SECURITY_AUDIT] = {
                .public = {
                        .name = "security_audit",
                        .summary = "list what was refused, when and why",
                        .description = "Words that were refused (64), images and data that were (65), and what was "
                                       "not permitted (77), of the commands that change something; the last 10,000 "
                                       "commands are kept.",
                        .example = "security_audit",
                        .available = true,
                },
                .uses = USES(PATTERN, FORMAT_AND_COLUMNS),
                BARE(KEY_NAME),
        },
        [VERB_RUN] = {
                .public = {
                        .name = "run",
                        .summary = "run a REXX script",
                        .description = "The script starts in the environment COWHERD; ADDRESS QEMU, ADDRESS "
                                       "LXD and ADDRESS NSPAWN lead to the engines. With --safe it can run no"
                                       " command of the host and write no file. The exit status is the "
                                       "script's.",
                        .example = "run file=examples/seed.rexx",
                        .of_self = true,
                        .available = true,
                },
                .uses = USES({.key = KEY_FILE, .required = true}),
                BARE(KEY_FILE),
        },
        [VERB_DOCTOR] = {
                .public = {
                        .name = "doctor",
                        .summary = "check this host and this herd, and tell what to do",
                        .description = "Each engine: whether it can be used, and else what is missing and the command for "
                                       "it; the root folder, its room and what is shared there; rights, acceleration, "
                                       "kernel, installation; health of the pools (errors of btrfs devices, zpool status, "
                                       "room); what cleanup would take; and whether all bases and snapshots are still what "
                                       "they were. A note is no problem. The code is 0 where there is no problem, and 69 "
                                       "where there is one, where no engine can be used, or where the engine that was asked "
                                       "for can't.",
                        .example = "doctor",
                        .of_self = true,
                        .available = true,
                },
                .uses = USES({.key = KEY_ENGINE}),
                BARE(KEY_ENGINE),
        },
        [VERB_TREE] = {
                .public = {
                        .name = "tree",
                        .summary = "show bases and clones as a tree",
                        .description = "Each base with its clones, and clones of clones under those, by engine; with "
                                       "the bytes that are each one's own (which it frees when it goes) and those that it "
                                       "shares. A removed base whose bytes wait for its last clone is shown. A name or a "
                                       "pattern shows what matches with all below it, and what it stands on. The answer's "
                                       "items come parents first, with parent_id and depth.",
                        .example = "tree",
                        .of_self = true,
                        .available = true,
                },
                .uses = USES({.key = KEY_NAME, .type = "pattern",
                              .help = "The base or the instance, or a pattern such as web-*; without it all of them."},
                             {.key = KEY_ENGINE}),
                BARE(KEY_NAME),
        },
        [VERB_COMPARE] = {
                .public = {
                        .name = "compare",
                        .summary = "measure the engines and stores of this host side by side",
                        .description = "Clones, bursts, bytes, starts, memory and live clones of every engine and "
                                       "store that works here, each in turn with the raw tool that does the same by "
                                       "hand: medians and their spread, what isolates an instance, and what each "
                                       "store that does not work lacks. Without image=, the base that has most "
                                       "clones is taken, or small images that are made for it. It works in a herd "
                                       "of its own, which is gone when it ends; cleanup finds what a kill left. An "
                                       "engine that breaks is told, the others go on, and the status is 71.",
                        .example = "compare quick=true",
                        .of_self = true,
                        .available = true,
                },
                .uses = USES({.key = KEY_ENGINE}, {.key = KEY_STORE, .help = "One store alone."},
                             {.key = KEY_IMAGE,
                              .help = "What is cloned: a disk image, a folder or a tarball, or a base of this herd; of a disk and a tree "
                                      "both, with a comma between them."},
                             {.key = KEY_CLONES}, {.key = KEY_QUICK}, {.key = KEY_JSON}, {.key = KEY_HTML}, {.key = KEY_AGAINST}),
        },
        [VERB_ADVISE] = {
                .public = {
                        .name = "advise",
                        .summary = "tell which engine and store suits this host and these needs best",
                        .description = "Looks at what works on this host, as status does, and ranks every engine with every "
                                       "store for what is needed, with the reason for each place, and the commands to begin. "
                                       "Without need= it is speed, space, isolation and simple. from= takes a file that "
                                       "compare printed as JSON: what was measured then counts instead of what is generally so.",
                        .example = "advise need=speed,ci",
                        .of_self = true,
                        .available = true,
                },
                .uses = USES({.key = KEY_NEED},
                             {.key = KEY_FROM, .type = "path", .help = "A file that 'cowherd compare' printed as JSON."}),
                BARE(KEY_NEED),
        },
        [VERB_METRICS] = {
                .public = {
                        .name = "metrics",
                        .summary = "figures for a monitoring system",
                        .description = "In Prometheus' text format: bases, clones by engine and state, bytes of disks, "
                                       "what expired, what is kept warm, and what the audit has counted. file= writes it "
                                       "for node_exporter's textfile collector, whole or not at all; without it it is "
                                       "printed. Bytes of trees and of LXD's instances take long to measure: usage tells "
                                       "them.",
                        .example = "metrics",
                        .of_self = true,
                        .available = true,
                },
                .uses = USES({.key = KEY_FILE, .help = "The file to write, such as /var/lib/prometheus/node-exporter/cowherd.prom."}),
                BARE(KEY_FILE),
        },
        [VERB_COMPLETION] = {
                .public = {
                        .name = "completion",
                        .summary = "a completion script for a shell",
                        .description = "It completes verbs, keys, values, files, and the names of bases, instances and "
                                       "snapshots. 'make install' puts it where the shells look for it; otherwise say "
                                       "source <(cowherd completion bash), the same with zsh behind its compinit, or "
                                       "cowherd completion fish | source.",
                        .example = "completion shell=bash",
                        .of_self = true,
                        .available = true,
                },
                .uses = USES({.key = KEY_SHELL, .required = true, .type = "bash|zsh|fish", .help = "The shell."}),
                BARE(KEY_SHELL),
        },
        [VERB_HELP] = {
                .public = {
                        .name = "help",
                        .summary = "explain a verb or a topic",
                        .example = "help topic=clone_from_base",
                        .of_self = true,
                        .available = true,
                },
                .uses = USES({.key = KEY_TOPIC}),
                BARE(KEY_TOPIC),
        },
};

const struct verb_row *verb_row_of(enum verb_id id)
{
        return &rows[id];
}
