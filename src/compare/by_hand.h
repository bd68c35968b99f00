/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Speaking with what was started by hand, systemd-nspawn and a guest's agent. The benches measure the same way, and take this from here: so it
 * includes nothing of the rooms.
 */
#pragma once

#include <cowherd.h>
#include <stddef.h>

/* A socket of no file, "@NAME", on which systemd-nspawn tells how it goes (sd_notify(3)). The caller's. */
int by_hand_listen(const char *name, int *ret_fd, struct cowherd_error *err) __attribute__((warn_unused_result));
/* Waits for a line that begins so, and copies its rest; 69 where it does not come within a minute. */
int by_hand_await(int fd, const char *line, char *ret, size_t size, struct cowherd_error *err) __attribute__((warn_unused_result));

/* Waits for the agent on a stream socket, by a question that it answers when it starts; 69 where it does not by `deadline` (clock_ms). */
int by_hand_synchronise(int fd, double deadline, struct cowherd_error *err) __attribute__((warn_unused_result));
/* Runs /bin/true by the agent, to its end. */
int by_hand_run_true(int fd, double deadline, struct cowherd_error *err) __attribute__((warn_unused_result));
