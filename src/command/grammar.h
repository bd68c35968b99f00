/* SPDX-License-Identifier: Apache-2.0 */
/* Words: a command taken apart, before anybody asks what its words mean. */
#pragma once

#include "base/error.h"
#include "base/str.h"
#include "command/verbs.h"

struct word {
        char *key;   /* as written, `-` made `_` in a shell's words; NULL: a bare word */
        char *value; /* unquoted */
};

struct words {
        char *verb; /* NULL: the command is empty */
        struct word *items;
        size_t count;
        size_t capacity;
        struct strv argv; /* the words behind `--`, where they are several: a program and its arguments, as they are */
};
void words_free(struct words *words);
define_owned(struct words, words_free)
#define owned_words owned_by(words_free)

/* Takes `VERB key=value …` apart. On failure (64) the words before the bad one are there, for their stem=. */
int grammar_split(const char *command, struct words *ret, struct cowherd_error *err) must_check;
/* The same of words that a shell has split; only there can bare words be. The verb must be known, for its flags. */
int grammar_take(size_t count, const char *const *words, struct words *ret, struct cowherd_error *err) must_check;
/* Replaces {{symbol}} in a value by the resolver's variables; *ret is the caller's. 64 where one is not set. */
int grammar_resolve(const char *value, const struct cowherd_resolver *resolver, char **ret,
                    struct cowherd_error *err) must_check;

/* Parameter of a name or alias in a verb, without regard to case: its index, or -1. */
int verb_parameter(const struct verb *verb, const char *name);
/* 64 for a verb that is not known, with the nearest one. Always -1. */
int fail_unknown_verb(struct cowherd_error *err, const char *word);
/* 64 for a parameter that a verb does not take, with the nearest one. Always -1. */
int fail_unknown_parameter(struct cowherd_error *err, const struct verb *verb, const char *word);
