/* SPDX-License-Identifier: Apache-2.0 */
/* Text that grows, lists of text, and the few questions about text that several rooms ask. */
#pragma once

#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>

/* A growing text; {0} is an empty one. `data` is always NUL-terminated once anything was added. */
struct str {
        char *data;
        size_t length;
        size_t capacity;
};

void str_add(struct str *str, const char *text);
void str_add_bytes(struct str *str, const void *bytes, size_t count);
void str_add_char(struct str *str, char c);
void str_addf(struct str *str, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Gives the text away (never NULL) and leaves the str empty. */
char *str_take(struct str *str);
/* The text so far, "" where nothing was added. Borrowed. */
const char *str_text(const struct str *str);
void str_free(struct str *str);
define_owned(struct str, str_free)
#define owned_string owned_by(str_free)

/* A list of owned texts, NULL-terminated in `items` once anything was added; {0} is an empty one. */
struct strv {
        char **items;
        size_t count;
        size_t capacity;
};

void strv_add(struct strv *list, const char *text);
void strv_addf(struct strv *list, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Takes ownership of a malloc'ed text. */
void strv_take(struct strv *list, char *text);
bool strv_has(const struct strv *list, const char *text);
void strv_free(struct strv *list);
define_owned(struct strv, strv_free)
#define owned_strv owned_by(strv_free)

bool str_is_empty(const char *text); /* NULL or "" */
bool str_starts(const char *text, const char *prefix);
bool str_ends(const char *text, const char *suffix);
bool str_equal(const char *a, const char *b);      /* NULL equals NULL only */
bool str_equal_case(const char *a, const char *b); /* without regard to ASCII case */
/* Whether `word` is one of the blank-separated words of `words` (which may be NULL), without regard to case. */
bool str_in_words(const char *words, const char *word);
/* Whether a name matches a pattern of `*` and `?`, without regard to case. */
bool str_matches(const char *pattern, const char *name);
bool str_is_pattern(const char *text);
bool str_is_utf8(const char *text, size_t length);

/* How many edits (insert, delete, replace, swap of neighbours) turn one word into the other; at most 99. */
unsigned str_distance(const char *a, const char *b);
/*
 * The best of `count` candidates for a misspelt word: at most a third of its letters wrong (at least one, at most
 * three), or the word is the beginning of exactly one candidate. NULL where none is near. Borrowed from candidates.
 */
const char *str_nearest(const char *word, const char *const *candidates, size_t count);
