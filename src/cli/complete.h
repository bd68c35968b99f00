/* SPDX-License-Identifier: Apache-2.0 */
/* A command line in the making, as complete_read.c understands it and complete.c goes on from there. */
#pragma once

#include "cli/cli.h"

enum { PARAMETERS_MAX = 64, WORD_MAX = 256 };

struct completion {
        const struct cli_output *output;
        const char *const *words; /* those before the current one */
        size_t count;
        const char *current;
        const char *root;
        enum cowherd_target target;
        const struct cowherd_verb *verb;
        bool given[PARAMETERS_MAX]; /* the verb's parameters that were given by their key */
        const char *name;           /* value of the verb's `name`, or NULL: whose snapshots are meant */
        size_t bare;                /* bare words behind the verb */
        const char *pending;        /* a `--key` before the current word, whose value that is; or NULL */
        bool ended;                 /* behind `--` */
        const char *prefix;         /* what stands before a value: "base=", "--base=" or "" */
};

/* Whether a word is among those of a list, apart by blanks; not so for NULL and "". */
bool complete_is_one_of(const char *list, const char *word);
/* The verb's parameter of a key in which '-' may stand for '_', `length` bytes long: its index, or -1. */
int complete_parameter_of(const struct cowherd_verb *verb, const char *key, size_t length);
/* The parameter that bare word number `turn` (from 0) fills, past those given by their keys; -1 for none. */
int complete_bare_parameter(const struct completion *completion, size_t turn);
/* Reads the words before the current one into all else of the struct. */
void complete_read(struct completion *completion);
