/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QMP, QEMU's control protocol (qemu-qmp-ref(7)): a line of JSON for each command, reply and event. Replies are bounded, and
 * each wait has a time: 75 when it is over, 71 with QEMU's own words where it refuses.
 */
#pragma once

#include "base/error.h"
#include "base/str.h"

#include <jansson.h>
#include <stdint.h>

#define QMP_LINE_BYTES (4u << 20)  /* a longer reply is refused */
#define QMP_EVENTS 64              /* kept while a reply is awaited; older ones are dropped */
#define QMP_TIMEOUT_MS 20000       /* for what QEMU does at once */

struct qmp {
        int fd;
        uint64_t commands; /* sent so far; the number of each is its id */
        struct str text;   /* received, not parsed yet */
        json_t *events;    /* an array of those not asked for yet */
};
void qmp_free(struct qmp *qmp);
define_owned(struct qmp, qmp_free)
#define owned_qmp owned_by(qmp_free)

/*
 * Speaks on a connected socket, which becomes ret's whatever comes: greeting, capabilities. Where nobody listens any more at its
 * other end, 75.
 */
int qmp_begin(int fd, uint64_t timeout_ms, struct qmp *ret, struct cowherd_error *err) must_check;
/*
 * Executes a command; `arguments` (may be NULL) are taken over. *ret_value (may be NULL) is what it returned, the caller's.
 * `fd`, unless -1, goes with it.
 */
int qmp_execute(struct qmp *qmp, const char *command, json_t *arguments, int fd, uint64_t timeout_ms, json_t **ret_value,
                struct cowherd_error *err) must_check;
/* The same for commands that need no more than their name and the usual time. */
int qmp_command(struct qmp *qmp, const char *command, struct cowherd_error *err) must_check;
/* Waits for the next event, or takes one that came already: {"event": …, "data": …}, the caller's. */
int qmp_event(struct qmp *qmp, uint64_t timeout_ms, json_t **ret, struct cowherd_error *err) must_check;
/* query-status's word: "running", "paused", "shutdown" … into status[bytes]. */
int qmp_status(struct qmp *qmp, char *status, size_t bytes, uint64_t timeout_ms, struct cowherd_error *err) must_check;

/*
 * The next whole line of what was received, parsed: 1 and *ret, 0 where there is none yet, -1 where it is none of QMP's. For
 * callers that read many sockets at once.
 */
int qmp_take_line(struct str *text, json_t **ret, struct cowherd_error *err) must_check;
