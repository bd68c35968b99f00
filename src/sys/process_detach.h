/* SPDX-License-Identifier: Apache-2.0 */
/* Starting what is to outlive us: a program in a session of its own, confined, and nobody's child once it is kept. */
#pragma once

#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>
#include <sys/types.h>

struct process_detach {
        struct strv argv;       /* argv.items[0] is looked for as process.h says; the environment is PATH, LC_ALL and what follows */
        struct strv environment; /* NAME=value */
        const int *descriptors; /* become 3, 4, 5 … of the program; it has no others besides 0 (/dev/null), 1 and 2 */
        size_t descriptor_count;
        int output;       /* its stdout and stderr */
        bool small_pages; /* it gets no transparent huge pages, asked for or not: of what it touches here and there no more is taken */
        bool confined;    /* root only: runs as `user`, a group of that number and `group`, without any capability */
        uid_t user;
        gid_t group;      /* one more group, 0: none */
};

/* A program that was started and is not kept yet. {0} is none. */
struct process_birth {
        pid_t pid;      /* the program's */
        pid_t guardian; /* the process between us and it, our child; 0: none */
        int channel;    /* to the guardian */
};

/*
 * Starts it. Until process_birth_keep it is bound to us: should we be killed, or the birth be freed, it is killed too. It
 * can't gain privileges (no_new_privs). 69 where there is no such program.
 */
int process_detach(const struct process_detach *what, struct process_birth *ret, struct cowherd_error *err) must_check;
/* Lets it live on by itself, as a child of init. */
int process_birth_keep(struct process_birth *birth, struct cowherd_error *err) must_check;
/*
 * Waits for the end of a program that is not kept. *ret_status is its exit status, or 128 + the signal; false where it did
 * not end within the time.
 */
bool process_birth_ended(struct process_birth *birth, int timeout_ms, int *ret_status);
/* Kills what is not kept, and waits until it is gone. */
void process_birth_free(struct process_birth *birth);

#include "base/mem.h"
define_owned(struct process_birth, process_birth_free)
#define owned_birth owned_by(process_birth_free)
