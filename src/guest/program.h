/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside cowherd-guest: one process, one epoll, one event at a time; nothing is asked again and again. What takes time is done by
 * children. It writes no log and no file but those of an identity, so that it goes on where all filesystems are frozen.
 */
#pragma once

#include "base/str.h"
#include "guest/protocol.h"

#include <stdint.h>
#include <sys/types.h>

struct program {
        int epoll, root;   /* the root folder, opened; files of an identity are found in it */
        bool files_only;   /* for tests: nothing but files is changed */
        bool frozen;       /* by us */
        bool temporary;    /* it was brought: serves the ports, or ends */
        uint8_t nonce[GUEST_NONCE_BYTES]; /* in memory alone: whoever has it was not booted anew */
        sigset_t signals;  /* blocked, for children to let through */
};
extern struct program program;

/* ---- loop.c ---- */

struct source {
        int fd; /* -1: none */
        void (*ready)(struct source *source, uint32_t events);
        void *context;
        uint32_t watched; /* events of epoll, 0: not watched now */
};
/* Watches for events, or for none. */
void source_watch(struct source *source, uint32_t events);
/* Closes its descriptor; may be called from its own `ready`. */
void source_close(struct source *source);
/* Runs until a source says that it is over; its return value is the program's status. */
int loop_run(void);
void loop_end(int status);
double loop_now_ms(void);

/* ---- port.c: a way to the host, and the session on it ---- */

struct port;
/*
 * Finds the ports of this machine, now and whenever one comes. False with errno where the kernel can't tell of them, and for a temporary
 * one where another serves them.
 */
bool ports_find(void);
/* Uses what was opened. Its end ends the program. */
void port_add(int fd);
/* Says something on the port. */
void port_say(struct port *port, enum guest_type type, unsigned channel, const void *payload, size_t length);
void port_say_done(struct port *port, unsigned channel, uint64_t number);
void port_say_failed(struct port *port, unsigned channel, enum guest_failure failure, int os_errno, const char *text);
/* Whether so much waits to be sent that no more should be read. When that is over, runs_go_on is called. */
bool port_is_full(const struct port *port);
int ports_timeout(void); /* as runs_timeout */

/* ---- session.c: what is said, and who does it ---- */

void session_take(struct port *port, const struct guest_frame *frame);
void session_end(struct port *port);

/* ---- run.c, run_streams.c ---- */

void run_start(struct port *port, unsigned channel, struct guest_run *run); /* takes what is in it */
void run_input(struct port *port, unsigned channel, const void *bytes, size_t length);
void run_input_end(struct port *port, unsigned channel);
void run_signal(struct port *port, unsigned channel, uint32_t number);
void run_resize(struct port *port, unsigned channel, uint32_t rows, uint32_t columns);
void runs_end(const struct port *port); /* all of a session */
void runs_go_on(const struct port *port);
unsigned runs_of(const struct port *port);
void run_reap(void); /* a child has ended */
/* ms until the next timeout, -1: none; those that are over are dealt with. */
int runs_timeout(void);

/* ---- supervisor.c ---- */

struct launch {
        const struct guest_run *run;
        int input, output, errors, status; /* status: written by struct launch_report */
        bool terminal;
};
struct launch_report {
        uint32_t pid, failure, os_errno; /* enum guest_failure; 0: only the process id is told */
};
/* Fill in the command's ends, and ours: of a terminal, or of its input, output and errors. False with errno. */
bool launch_open_terminal(const struct guest_run *wanted, struct launch *launch, int *ret_master);
bool launch_open_pipes(const struct guest_run *wanted, struct launch *launch, int ours[3]);
void launch_close(struct launch *launch);
/* In a child of ours: starts the command and looks after it and all that it starts; ends as it does. */
void supervise(const struct launch *launch) __attribute__((noreturn));
/* What the supervisor is told: TERM ends the whole tree, SUPERVISOR_PASS has it pass on a signal, its value. */
#define SUPERVISOR_PASS (SIGRTMIN + 1)

/* ---- user.c ---- */

struct user {
        uid_t uid;
        gid_t gid;
        char *name, *home, *shell;
        gid_t *groups;
        size_t group_count;
};
void user_free(struct user *user);
define_owned(struct user, user_free)
#define owned_user owned_by(user_free)
/* By name or number, of /etc/passwd and /etc/group. */
bool user_find(const char *name, struct user *ret);

/* ---- files.c: in the root folder, whose links can't lead out of it ---- */

#define FILE_BYTES (256u << 10)
/* The text of a file; NULL where there is none, or it is too long. */
char *file_text(const char *path);
bool file_exists(const char *path);
/* 0, or an errno. A link in the file's place is replaced; its folder is followed, or made where `make`. */
int file_put(const char *path, const void *bytes, size_t length, mode_t mode, bool make);
/* The same, quicker, where it need not be whole after a power cut: an ordinary file is written over, its mode stays. */
int file_put_over(const char *path, const void *bytes, size_t length, mode_t mode, bool make);
void file_remove(const char *folder, const char *pattern); /* those of a folder that match, fnmatch(3) */

/* ---- identity.c (with identity.h), boot_id.c, link.c, renew.c ---- */

void identity_apply(struct port *port, unsigned channel, const struct guest_identity *identity);
void identity_reap(void); /* a child has ended */
/* Looks for what takes time to find, and lays the file of the boot id over the kernel's: who wakes from this moment on need not. */
void identity_prepare(void);
/* What was found then is good for so long, of this system's own time: to who wakes it is as old as it was when the machine was copied. */
#define PREPARED_MS 5000.0
/* Each 0, or an errno. */
int link_find(const char *wanted, char *ret, size_t bytes);
void link_prepare(void);
int boot_id_set(void); /* another than is shown */
/* Whether the last one could not be laid over the kernel's, of this boot. */
bool boot_id_is_owed(void);
void boot_id_prepare(void); /* the same as is shown; where it can't be laid all is as it was */
int link_set_address(const char *link, const char *mac);
/* Has the DHCP clients of a link ask again; returns what could be told, a name, or NULL. */
const char *dhcp_renew(const char *link);
void dhcp_prepare(void);

/* ---- freeze.c, address.c, power.c ---- */

void freeze_all(struct port *port, unsigned channel, uint32_t limit_ms);
void freeze_thaw(struct port *port, unsigned channel);
int freeze_timeout(void); /* as runs_timeout */
void address_tell(struct port *port, unsigned channel, bool wait);
void address_forget(const struct port *port); /* who waits */
int power_change(enum guest_power power);     /* 0, or an errno */

/* ---- spawn.c ---- */

/* Starts a program detached, its words NULL-terminated; it is not waited for. 0, or an errno. */
int spawn_detached(const char *const *argv);
bool is_program(const char *name);
#define PROCESS_NAME_BYTES 16 /* of which the kernel knows 15 */
/* The name of a process's command; false where there is none. */
bool process_name(pid_t pid, char ret[PROCESS_NAME_BYTES]);
/* Calls for each process with that. */
void processes_each(void (*each)(pid_t pid, const char *name, void *context), void *context);
