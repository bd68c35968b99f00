/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request: one command, parsed, typed and checked against the verb table. Whoever holds one can rely on it: required
 * parameters are there, names are names, numbers are in range. Only facts (does the base exist?) are still open.
 */
#pragma once

#include "base/error.h"
#include "base/str.h"
#include "command/verbs.h"

struct value {
        bool given;      /* said by the caller; false: the text and number of the table's fallback, if it has one */
        char *text;      /* as written, unquoted, {{}} replaced; NULL where there is neither */
        uint64_t number; /* of a size (bytes), duration (ms), count or boolean (0/1) */
};

struct request {
        const struct verb *verb;
        enum cowherd_target target;
        struct value values[KEY_COUNT];
        struct strv argv; /* of a `command` that a shell gave as several words: those words, not to be split again. Else empty */
};
void request_free(struct request *request);
define_owned(struct request, request_free)
#define owned_request owned_by(request_free)

/*
 * Parses `VERB key=value …` (docs/language.md). 64 with the word, what was expected and the nearest known one. Where even
 * the verb is unknown ret->verb is NULL. `resolver` may be NULL. *ret is the caller's also on failure (for its stem=).
 */
int request_parse(enum cowherd_target target, const char *command, const struct cowherd_resolver *resolver,
                  struct request *ret, struct cowherd_error *err) must_check;
/* The same from words a shell has split: key=value, --key value, --key=value, --flag; a first bare word is `name`; after `--` the `command`. */
int request_parse_words(enum cowherd_target target, size_t count, const char *const *words, struct request *ret,
                        struct cowherd_error *err) must_check;

static inline bool request_has(const struct request *request, enum key key)
{
        return request->values[key].given;
}
/* NULL where it was not given and has no fallback. Borrowed. */
static inline const char *request_text(const struct request *request, enum key key)
{
        return request->values[key].text;
}
static inline uint64_t request_number(const struct request *request, enum key key)
{
        return request->values[key].number;
}
static inline bool request_flag(const struct request *request, enum key key)
{
        return request->values[key].number != 0;
}

/* The engine that engine= or the target says, COWHERD_ANY where neither does. */
enum cowherd_target request_engine(const struct request *request);

/* Whether a text is a name as docs/language.md defines it for this target; 64 with the rule that it breaks. */
int name_check(enum cowherd_target target, const char *name, struct cowherd_error *err) must_check;
