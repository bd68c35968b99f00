/* SPDX-License-Identifier: Apache-2.0 */
/* The contract test's subject: one store, one kind, one folder; and its helpers, which end the run where they fail. */
#pragma once

#include "store/store.h"

#include <stdint.h>

struct subject {
        const struct store_driver *driver;
        enum store_kind kind;
        const char *format; /* of a disk's base: "raw" or "qcow2" */
        struct store_place place;
        bool full; /* the folder is small, and is to be filled to the brim */
        bool pool; /* the folder is a herd's root, and the store is to make a place in it */
        uint64_t next_id;
        char label[512];
};

/* Ends the run with "Bail out!": the helpers use it where the test itself can't go on. */
void bail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* Runs a program to its end; its failure ends the run, or where `may_fail` is told. Words end with NULL. */
bool run_tool(bool may_fail, const char *first, ...) __attribute__((sentinel));

/* ---- What is kept: tree.c and disk.c ---- */

/* The bytes of the file that every fixture holds, and of the one that a test writes. */
#define SAMPLE_BYTES (3u << 20)
#define WRITTEN_BYTES (1u << 20)

/* Fills an empty tree with one of everything: links, holes, modes, owners, attributes, a fifo, odd names. */
void tree_fill(const char *path);
/* A number for all that is in a tree: names, types, modes, owners, times, contents, link targets, attributes; not link
 * counts. */
uint64_t tree_hash(const char *path);
/* Changes a tree in each way there is, files that are hard links too, and leaves "usr/share/kept" alone. */
void tree_change(const char *path);
/* Writes WRITTEN_BYTES of noise. */
void tree_write(const char *path, const char *name);

void disk_fill(const char *path, const char *format);
uint64_t disk_hash(const char *path, const char *format);
void disk_write(const char *path, const char *format);
#define DISK_BYTES (16ull << 20)

uint64_t file_hash(const char *path);
uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t count);
/* Bytes that no filesystem can compress. */
void write_noise(int fd, size_t bytes, uint64_t seed);

/* ---- Objects: subject.c ---- */

struct store_object object_of(struct subject *subject, enum store_role role, const struct store_object *base);
/* A sealed base with the fixture's contents. The fingerprint is the caller's. */
struct store_object make_base(struct subject *subject);
void free_base(struct store_object *base);
struct store_object make_clone(struct subject *subject, const struct store_object *base);
/* Where the object can be read, activated first where the store does that. To be freed. */
char *open_object(struct subject *subject, const struct store_object *object);
void close_object(struct subject *subject, const struct store_object *object);
uint64_t hash_object(struct subject *subject, const struct store_object *object);
void change_object(struct subject *subject, const struct store_object *object);
void destroy_object(struct subject *subject, const struct store_object *object);
/* All there is below the place's folder, with subvolumes and mounts, and the datasets of its source. To be freed. */
char *list_place(struct subject *subject);
struct store_usage usage_of(struct subject *subject, const struct store_object *object);

/* ---- The cases: cases.c and faults.c ---- */

struct contract_case {
        const char *name;
        /* NULL where it holds, else what does not (static). */
        const char *(*run)(struct subject *subject);
        unsigned kinds; /* enum store_kind: whom it is for */
        bool mounting;  /* only for stores that activate what they keep */
};
#define ANY_KIND (STORE_DISK | STORE_TREE)
extern const struct contract_case contract_cases[], contract_faults[];
extern const size_t contract_case_count, contract_fault_count;
