/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs beside this have in common that call an engine function by function: words to read, results to tell. */
#pragma once

#include "base/mem.h"
#include "engine/engine.h"

/* What KEY=VALUE says among words that end with NULL; NULL where none does. Borrowed. */
const char *word_of(char **words, const char *key);

/* By whom a command is run inside a machine. */
struct runner {
        const struct engine_instance *instance;
        int (*execute)(const struct engine_instance *instance, const struct engine_command *command, struct engine_output *ret,
                       struct cowherd_error *err);
        int (*attach)(const struct engine_instance *instance, const struct engine_command *command,
                      const struct engine_streams *streams, int *ret_exit_code, struct cowherd_error *err);
        const char *const *environment;
        bool terminal; /* of attach */
};
/* execute|attach TIMEOUT-MS WORKING-DIR USER COMMAND…: "" for none; its stdin is passed on; no command is a shell. Tells its output. */
int run_words(const struct runner *runner, char **words, int *ret_status, struct cowherd_error *err) must_check;

/* HOSTNAME MACHINE-ID INSTANCE-ID SEED KEY-FILE SSH-KEY, borrowed; the host key is read from that file, its public half from KEY-FILE.pub. */
struct said_identity {
        struct engine_identity identity;
        char *key, *public_key;
};
void said_identity_free(struct said_identity *said);
define_owned(struct said_identity, said_identity_free)
int read_identity(char **words, struct said_identity *ret, struct cowherd_error *err) must_check;

/* NAME_ms=1.2, a line each. */
void tell_phases(const struct engine_phases *phases);
/* What a command that was to succeed said, which is freed; an exit code of its own is a failure. */
int tell_output(struct engine_output *output, struct cowherd_error *err) must_check;
/* The exit code of a program that failed, which it says. */
int tell_error(const struct cowherd_error *err);
