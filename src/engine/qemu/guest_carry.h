/* SPDX-License-Identifier: Apache-2.0 */
/* A command under way with the caller's descriptors: what guest_attach.c (its beginning and its end) and guest_carry.c (what is between) share. */
#pragma once

#include "engine/qemu/guest.h"

enum { CARRY_SOCKET, CARRY_INPUT, CARRY_CONTROL, CARRY_OUTPUT, CARRY_ERRORS, CARRY_WAYS };

/* What comes by CARRY_CONTROL; its end is the sign that the relay is done. */
struct carry_order {
        uint32_t type, first, second; /* GUEST_SIGNAL, GUEST_RESIZE */
};

/* What waits to go out by a descriptor. */
struct carry_tank {
        struct str bytes;
        size_t gone;
};

struct carrier {
        struct guest *guest;
        const struct engine_command *command;
        unsigned channel;
        int fds[CARRY_WAYS]; /* the thread's ends; -1: closed */
        struct carry_tank to_guest, output, errors;
        size_t window;
        bool ended, failed;
        int code;
        struct cowherd_error err; /* where it failed */
};

/* The thread, of a struct carrier whose command runs: until it has ended and all was passed on, or the relay is done. NULL. */
void *guest_carry(void *carrier);
