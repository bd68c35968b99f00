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

/* ---- What an instance is, besides its bytes. All of it borrowed by every callback. ---- */

enum engine_network {
        ENGINE_NETWORK_DEFAULT, /* the engine's own: QEMU user, LXD what its profile says, nspawn host */
        ENGINE_NETWORK_NONE,
        ENGINE_NETWORK_USER,   /* out through the host, in by `ports` only */
        ENGINE_NETWORK_HOST,   /* the host's own network */
        ENGINE_NETWORK_BRIDGE, /* a bridge of the host, by name */
};

struct engine_port {
        const char *address; /* of the host, to listen on; NULL: 127.0.0.1 */
        uint16_t host, guest;
        bool udp;
};

struct engine_mount {
        const char *host, *guest; /* absolute both */
        bool read_only;
};

enum engine_os { ENGINE_OS_LINUX, ENGINE_OS_WINDOWS, ENGINE_OS_OTHER };
enum engine_firmware { ENGINE_FIRMWARE_DEFAULT, ENGINE_FIRMWARE_BIOS, ENGINE_FIRMWARE_UEFI };

/* One file of a disk's chain. */
struct engine_layer {
        const char *path;   /* relative to the instance's folder: "clones/5/disk.qcow2" */
        const char *format; /* "qcow2" or "raw", never asked of the file */
};

/*
 * The memory of a live base. A machine that is started with it does not boot: it goes on where the base's source stood, upon a
 * private view of that memory, with its link down until its identity is its own. All of it borrowed.
 */
struct engine_live {
        const char *base;        /* the base's name, for sentences */
        const char *runtime;     /* "/run/cowherd/4f1c2a9e/base-7": what belongs to the base's memory in use; made where it is not there */
        const char *ram, *state; /* relative to the instance's folder: "bases/7/ram", "bases/7/state" */
        const char *facts;       /* as capture told them: JSON, an object */
        bool may_stand_by;       /* the machine may stand ready (stand_by): then that one is taken */
};

/* What was asked for; 0 and NULL leave it to the engine. */
struct engine_machine {
        uint64_t memory_bytes, cpus;
        enum engine_network network;
        const char *bridge; /* of ENGINE_NETWORK_BRIDGE */
        const struct engine_port *ports;
        size_t port_count;
        const struct engine_mount *mounts;
        size_t mount_count;
        enum engine_os os;             /* QEMU: which devices its stock installation has drivers for */
        enum engine_firmware firmware; /* QEMU */
        const char *acceleration;      /* QEMU: "kvm" or "tcg"; NULL: what the probe found */
        const struct engine_layer *layers; /* QEMU: the disk, its topmost file first, down to one without a backing file */
        size_t layer_count;
        const struct engine_live *live; /* QEMU: it wakes from this instead of booting. NULL: it boots */
};

/* The identity that the catalogue has chosen. `fresh` is false for identity=keep: the rest is then not looked at. */
struct engine_identity {
        bool fresh;
        bool applied; /* an earlier start has: only what is not kept inside (MAC, UUIDs, hostname) is said again */
        const char *hostname, *machine_id, *mac, *uuid, *generation_id, *instance_id;
        const char *random_seed;                    /* hex */
        const char *host_key, *host_key_public;     /* an SSH ed25519 key in OpenSSH's two file formats; NULL once applied */
        const char *ssh_key;   /* a public key that may log in, or NULL; whatever `fresh` is */
        const char *user_data; /* cloud-init's user-data, its text, or NULL */
};

/* An instance, as the herd describes it to its engine. Borrowed. */
struct engine_instance {
        uint64_t id;
        const char *name;
        int folder;            /* the place's folder, opened (-1 for LXD): path is relative to it */
        const char *path;      /* its disk or tree, as store_object_path says */
        const char *herd_uuid; /* LXD: whose it must be; NULL: not compared */
        /*
         * "/run/cowherd/4f1c2a9e/12": what belongs to the running instance (sockets, pids, logs of the console). start makes
         * it, tidy removes it, a reboot empties it. NULL only in unit tests.
         */
        const char *runtime;
        const char *root;      /* nspawn: the absolute path where its tree was activated; else NULL */
        const struct engine_machine *machine;   /* NULL where only the state is asked */
        const struct engine_identity *identity; /* likewise */
};

/* How long the parts of a long operation took, in the order in which they were done. */
#define ENGINE_PHASES 8
struct engine_phases {
        struct {
                const char *name; /* static: "spawn", "running", "agent", "identity", "address" … */
                double ms;
        } items[ENGINE_PHASES];
        size_t count;
};
/* Adds one; more than fit are left out. */
void engine_phase(struct engine_phases *phases, const char *name, double ms);

struct engine_started {
        bool identity_applied;  /* all of it is inside now */
        char pending[256];      /* else what still waits, names apart by blanks, and for what: told to people */
        char note[256];         /* what people should know of it, a sentence, or "" */
        /*
         * Of a start with machine->live: what it has of its own by now, and what it reads of memory that it shares. Its phases are
         * "memory" (the base's was brought into use), "spawn", "restore", "agent", "identity" and "ready".
         */
        uint64_t private_bytes, shared_bytes;
        bool stood_by; /* it was one that stood ready */
        struct engine_phases phases;
};

/* How a running machine's memory is kept as a live base's. */
struct engine_capture {
        const char *ram, *state; /* relative to instance->folder, in a folder that is there; both are made (0400), neither may be there */
        const char *runtime;     /* as engine_live.runtime, for the first clone to find the memory in use already; or NULL */
        const char *next;        /* as switch_disk, done while the machine stands still; or NULL */
        bool bring;              /* cowherd-guest is started in a guest that has only the agent, which wakes faster */
        int (*disk)(void *context, struct cowherd_error *err); /* the store's part, done after that; may be NULL */
        void *context;
};
struct engine_captured {
        char *facts;           /* for engine_live.facts; the caller's */
        bool switched;         /* it goes on with `next`; told of a failure too */
        bool fresh_random;     /* its clones' random pools are made anew by the guest's kernel itself (generation id) */
        bool brought;          /* cowherd-guest was started in it */
        char note[256];        /* why not, a sentence, or "" */
        double pause_ms;       /* how long it stood still */
        uint64_t memory_bytes; /* of the guest */
        uint64_t ram_bytes, state_bytes; /* what of it is kept */
        struct engine_phases phases;
};
void engine_captured_free(struct engine_captured *captured);

enum engine_event { ENGINE_EVENT_RUNNING, ENGINE_EVENT_READY, ENGINE_EVENT_STOPPED, ENGINE_EVENT_ADDRESS };

struct engine_waited {
        char address[64];      /* of ENGINE_EVENT_ADDRESS: the first global one, IPv4 before IPv6; "" for others */
        bool identity_applied; /* what waited for the guest was done meanwhile */
        struct engine_phases phases;
};

#define ENGINE_LOG_BYTES (4u << 20)     /* of what a console said: its end */
#define ENGINE_OUTPUT_BYTES (16u << 20) /* of each of stdout and stderr; more is cut off, and said */

/* A command inside the guest. */
struct engine_command {
        const char *const *argv; /* NULL-terminated; argv[0] absolute or looked for in the guest's own PATH */
        const char *const *environment; /* NAME=value, NULL-terminated, or NULL */
        const char *working_dir; /* NULL: the user's home or "/" */
        const char *user;        /* a name or a number of the guest; NULL: root */
        const char *input;       /* what it reads, or NULL: nothing */
        size_t input_length;
        uint64_t timeout_ms;     /* 0: none. After it the command and its children are ended inside the guest: 75 */
};
struct engine_output {
        int exit_code; /* its own, or 128 + the signal */
        char *out, *errors; /* NUL added; the caller's */
        size_t out_length, errors_length;
        bool cut;      /* more than ENGINE_OUTPUT_BYTES */
        double ms;
};
void engine_output_free(struct engine_output *output);

/* The caller's own descriptors, for a command that is used by a person or a pipe. */
struct engine_streams {
        int input, output, errors;
        bool terminal; /* input and output are a terminal: the command gets one, its size follows, keys go through */
};

/*
 * Files between host and guest. Folders travel as tar where the engine has no better way: pack and unpack are the herd's
 * (this room knows no archives), safe against hostile names, links and devices.
 */
struct engine_copy {
        int folder;         /* of the host, opened: the entry `name` is in it (in), or is to be made in it (out) */
        const char *name;   /* one component */
        const char *remote; /* absolute, of the guest. In: an existing folder there takes `name`; else it is the new name */
        void (*report)(void *context, uint64_t done_bytes, uint64_t total_bytes); /* may be NULL */
        /* Told of each device, fifo, socket or mount in a folder, which is left out. NULL: such a folder is refused (65). */
        void (*left_out)(void *context, const char *path);
        void *context;
        /* Writes folder/name as a tar stream, its top entry called `as`, to `to`. */
        int (*pack)(int folder, const char *name, const char *as, int to, struct cowherd_error *err);
        /* Makes folder/name of a tar stream whose one top entry is `as`. Refuses what leads out (77) and what is damaged (65). */
        int (*unpack)(int from, const char *as, int folder, const char *name, struct cowherd_error *err);
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

        /*
         * By how much the owners of an instance's tree are to be shown shifted while it runs: what its store is told (id_shift) when its
         * tree is activated for a start. 0: not at all. NULL: never.
         */
        uint32_t (*id_shift)(const struct engine_instance *instance);
        /* 0, or -1 and why this machine can't be had here (64, 69, 75, 77): asked before anything is made. May be NULL. */
        int (*check)(const struct engine_instance *instance, struct cowherd_error *err) must_check;
        /*
         * Starts a stopped instance, detached from us; returns once the engine runs it (its guest may still boot). A failure
         * leaves it stopped and tidy. The caller holds the instance's lock, which what stays running must not inherit. 1 with
         * live->may_stand_by only: none stood ready (any more), it is stopped and tidy, and its disk is to be made anew.
         */
        int (*start)(const struct engine_instance *instance, struct engine_started *ret, struct cowherd_error *err) must_check;
        /*
         * Asks the guest to shut down and waits for the fact; after timeout_ms, or at once where `force`, ends it.
         * *ret_forced tells. What is stopped already is success. Ends with tidy.
         */
        int (*stop)(const struct engine_instance *instance, uint64_t timeout_ms, bool force, bool *ret_forced,
                    struct cowherd_error *err) must_check;
        int (*pause)(const struct engine_instance *instance, struct cowherd_error *err) must_check;
        int (*resume)(const struct engine_instance *instance, struct cowherd_error *err) must_check;
        /*
         * Waits for the event, within 50 ms of the fact; 75 after timeout_ms (0: at once if it is not so yet), the instance as
         * it was; 69 with what to install where it can never come (no agent in the guest). READY: the guest's init says that
         * it is up, or its agent answers, and its identity is its own.
         */
        int (*wait)(const struct engine_instance *instance, enum engine_event what, uint64_t timeout_ms,
                    struct engine_waited *ret, struct cowherd_error *err) must_check;
        /* Runs a command in a running guest to its end. 69 with what to install where nothing inside can do it. */
        int (*execute)(const struct engine_instance *instance, const struct engine_command *command,
                       struct engine_output *ret, struct cowherd_error *err) must_check;
        /* The same with the caller's descriptors; argv NULL: the user's login shell (or the console, where it is all there is). */
        int (*attach)(const struct engine_instance *instance, const struct engine_command *command,
                      const struct engine_streams *streams, int *ret_exit_code, struct cowherd_error *err) must_check;
        /* Modes and links kept, owners become root's (in) and ours (out). */
        int (*copy_in)(const struct engine_instance *instance, const struct engine_copy *copy, struct cowherd_error *err) must_check;
        int (*copy_out)(const struct engine_instance *instance, const struct engine_copy *copy, struct cowherd_error *err) must_check;
        /* The last `lines` lines of the console since it was started, *ret the caller's. 66 where it was never started. */
        int (*logs)(const struct engine_instance *instance, uint64_t lines, char **ret, struct cowherd_error *err) must_check;

        /*
         * Makes a running guest quiet around a snapshot of its store (its filesystems frozen where it can do that, its
         * processors stopped), and lets it go on. May be NULL: the store does it itself. *ret_frozen: the filesystems were.
         */
        int (*quiesce)(const struct engine_instance *instance, bool quiet, bool *ret_frozen, struct cowherd_error *err) must_check;
        /*
         * QEMU: goes on, while it runs, with the overlay at `next` (relative to instance->folder), whose backing is the disk it has
         * used so far; both files may be renamed afterwards. NULL where the store's snapshot needs nothing of the engine.
         */
        int (*switch_disk)(const struct engine_instance *instance, const char *next, struct cowherd_error *err) must_check;
        /* QEMU: copies all that the running disk reads through its backing files into it. */
        int (*flatten)(const struct engine_instance *instance, void (*report)(void *context, uint64_t done, uint64_t total),
                       void *context, struct cowherd_error *err) must_check;

        /*
         * QEMU: keeps a running machine's memory and devices beside its disk, of one moment, and has it go on. A failure before its
         * disk was switched (ret->switched, which is set on failure too) leaves it going on as it was, and neither file; after that
         * it goes on too, upon `next`. 69 where this machine's memory can't be kept, with why.
         */
        int (*capture)(const struct engine_instance *instance, const struct engine_capture *how, struct engine_captured *ret,
                       struct cowherd_error *err) must_check;
        /*
         * QEMU: brings the memory of a live base out of use: nothing of it stays but what its running clones have. `runtime` as
         * engine_live.runtime; what is not in use is success. For cleanup, teardown and before the base is removed.
         */
        int (*release_live)(const char *runtime, struct cowherd_error *err) must_check;
        /* Whether that memory is in use now, so that a clone need not wait for it to be read. May be NULL. */
        bool (*live_in_use)(const char *runtime);
        /*
         * QEMU: wakes a machine with machine->live, gives it its identity, has it run a command, and leaves it standing still then, detached,
         * its link down all the while, for a start with may_stand_by. That may come with another hostname, seed and instance-id, with a host
         * key and with ports. A failure leaves nothing. It is ended as any machine is (stop, tidy).
         */
        int (*stand_by)(const struct engine_instance *instance, struct cowherd_error *err) must_check;
        /* Whether one stands so; *ret_private_bytes (may be NULL, 0 where it can't be told) is the memory that it has of its own. May be NULL. */
        bool (*stands_by)(const struct engine_instance *instance, uint64_t *ret_private_bytes);

        /*
         * Removes what a stopped instance has left of itself (its runtime folder, cgroups, mounts of the engine's own, a
         * half-started process). What is not there is success. Asked after a crash too, so it relies on nothing but the instance.
         */
        int (*tidy)(const struct engine_instance *instance, struct cowherd_error *err) must_check;
        /*
         * Gives back the space of what the console of a running instance said long ago, so that no guest fills the host by printing: at
         * least the last ENGINE_LOG_BYTES stay. NULL: the engine sees to it.
         */
        int (*trim_log)(const struct engine_instance *instance, struct cowherd_error *err) must_check;
};

/* The driver of a target; 69 where its module can't be opened. */
int engine_find(enum cowherd_target target, const struct engine_driver **ret, struct cowherd_error *err) must_check;
