/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the catalogue share: a catalogue in a temporary folder, rows, and a look past the catalogue's own
 * code. */
#pragma once

#include "catalogue/connection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#undef fail /* cmocka has a macro of the name */

struct herd {
        char folder[64];
        int fd;
        struct catalogue *catalogue; /* NULL for those that begin without */
        struct cowherd_error err;
};

/* Fixtures of cmocka, with and without an open catalogue; *state is a struct herd. */
int begin_empty(void **state);
int begin(void **state);
int end(void **state);

/* Opens one more catalogue of that folder, or fails the test. */
struct catalogue *open_again(const struct herd *herd);
/* "FOLDER/catalogue.db" and a suffix, to be freed. */
char *path_of(const struct herd *herd, const char *suffix);
bool exists(const struct herd *herd, const char *suffix);
/* The bytes of such a file; the caller's. */
char *bytes_of(const struct herd *herd, const char *suffix, size_t *ret_length);
void write_file(const struct herd *herd, const char *suffix, const char *bytes, size_t length);
/* What SQLite answers to a question of one number, through a connection of its own. */
int64_t ask(const struct herd *herd, const char *sql);
/* Executes SQL through a connection of its own, which leaves the log as it is where `keep_log`. */
void tell(const struct herd *herd, const char *sql, bool keep_log);

/* Rows whose texts are the caller's: never given to catalogue_row_free. */
struct catalogue_row base_row(const char *name);
struct catalogue_row clone_row(const char *name, uint64_t base_id);
/* Reserves and settles such a row; its id. */
uint64_t make(const struct herd *herd, struct catalogue_row row);
uint64_t make_base(const struct herd *herd, const char *name);
uint64_t make_clone(const struct herd *herd, const char *name, uint64_t base_id);
/* Reserves one row as catalogue_reserve does; what is taken is only told. */
int reserve(struct herd *herd, struct catalogue_row *row);
/* How many clones the catalogue says a base has; checked against the rows themselves. */
uint64_t clones_of(const struct herd *herd, uint64_t id);
/* The phase of an object, -1 where there is none. */
int phase_of(const struct herd *herd, uint64_t id);

#define assert_fails(call, herd, expected, part)                                                                       \
        do {                                                                                                           \
                assert_int_equal((call), -1);                                                                          \
                assert_int_equal((herd)->err.code, (expected));                                                        \
                assert_non_null(strstr((herd)->err.text, (part)));                                                     \
        } while (0)
