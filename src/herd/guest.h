/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done inside one running instance: execute, shell, copy_to, copy_from. Nothing is owned meanwhile, as nothing of the
 * catalogue changes: what is stopped or deleted under a command ends that command.
 */
#pragma once

#include "herd/live.h"

/* Opens the instance that name= says; 66 where it is not there (any more), 75 where it does not run. Its state is in the answer. */
int guest_open(struct call *call, struct live *live, struct cowherd_error *err) must_check;
/* id, name, engine: the fields that such an answer begins with. */
void guest_fields(struct call *call, const struct live *live);

/*
 * The argv of a command: the words that a shell gave apart, or a shell of the guest with the command line. NULL-terminated; its
 * items are the request's.
 */
#define GUEST_ARGV_SHELL 4
const char *const *guest_argv(const struct request *request, enum engine_os os, const char *shell_argv[GUEST_ARGV_SHELL]);
/* `NAME=value NAME="two words"`, taken apart; 64 with the word that is none. */
int guest_environment(const char *text, struct strv *ret, struct cowherd_error *err) must_check;
