/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands inside a running instance, their input and output over websockets: one for each of stdin, stdout and stderr (or
 * one for a terminal), and one by which signals and the window's size are told. The cheaper way without websockets
 * (record-output) can neither be fed nor ended.
 */
#pragma once

#include "lxd_api/client.h"

#include "base/str.h"

#include <sys/types.h>

struct lxd_session; /* a command that runs */

struct lxd_exec {
        const char *const *argv;        /* NULL-terminated; looked for in the instance's PATH */
        const char *const *environment; /* NAME=value, NULL-terminated, or NULL */
        const char *working_dir;        /* NULL: LXD's choice */
        uid_t user;
        gid_t group;
        bool terminal;                  /* stdin and stdout are one terminal there, of this size */
        unsigned columns, rows;
        int input;                      /* a descriptor to read from, or -1: `bytes` is all it gets */
        const char *bytes;
        size_t length;
        uint64_t timeout_ms;            /* 0: none; then it is killed, with all its children */
        /* Gets what it writes to stream 1 or 2, as it comes. */
        int (*wrote)(void *context, int stream, const char *bytes, size_t length, struct cowherd_error *err);
        void (*fed)(void *context, uint64_t bytes); /* told how much of the input has gone so far; may be NULL */
        int wake; /* a descriptor to wait for besides, or -1: `woken` is called when it can be read */
        int (*woken)(void *context, struct lxd_session *session, struct cowherd_error *err);
        void *context;
};

struct lxd_exec_result {
        int exit_code; /* 128 + the signal that ended it; 127 where there is no such program, 126 where it can't be run */
        bool timed_out;
};

/* Runs it to its end. 66 where the instance is not there, 75 where it does not run. */
int lxd_exec_run(struct lxd_client *client, const char *instance, const struct lxd_exec *exec,
                 struct lxd_exec_result *ret, struct cowherd_error *err) must_check;
/* Sends the command a signal; tells its terminal a new size. For `woken`. */
int lxd_session_signal(struct lxd_session *session, int number, struct cowherd_error *err) must_check;
int lxd_session_resize(struct lxd_session *session, unsigned columns, unsigned rows, struct cowherd_error *err) must_check;

/* The same without input, with what it writes kept, each of both at most `limit_bytes` (the rest is left out). */
struct lxd_exec_output {
        int exit_code;
        struct str out, errors;
        bool cut, timed_out;
};
void lxd_exec_output_free(struct lxd_exec_output *output);
define_owned(struct lxd_exec_output, lxd_exec_output_free)
#define owned_exec_output owned_by(lxd_exec_output_free)
        int lxd_exec_collect(struct lxd_client *client, const char *instance, const struct lxd_exec *exec,
                             size_t limit_bytes, struct lxd_exec_output *ret, struct cowherd_error *err) must_check;
