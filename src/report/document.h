/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading what `cowherd compare --json` prints. Nothing in it is taken for granted: a field that is absent, null or of another
 * type was not measured, and a number that is negative or beyond any sense counts as absent. All that is returned is borrowed
 * from the document.
 */
#pragma once

#include "base/error.h"
#include "base/mem.h"

#include <jansson.h>
#include <stdbool.h>

#define DOCUMENT_VERSION 1
#define DOCUMENT_LIMIT_BYTES (64u << 20)

static inline void document_release(json_t *const *slot)
{
        json_decref(*slot);
}
/* `owned_document json_t *it = NULL;` is released where its scope ends. */
#define owned_document __attribute__((cleanup(document_release)))

/* Reads a file that was printed by compare --json. 66 where there is none, 65 where it is something else. *ret is the caller's. */
int document_read(const char *path, json_t **ret, struct cowherd_error *err) must_check;
/* 65 where it is not a document of compare, or of a version that this program doesn't know. */
int document_check(const json_t *document, struct cowherd_error *err) must_check;

/* NULL where it is absent, null, empty or no text. */
const char *document_text(const json_t *object, const char *name);
/* As document_text, "" instead of NULL. */
const char *document_text_or_empty(const json_t *object, const char *name);
/* False where it was not measured; *ret is then untouched. */
bool document_number(const json_t *object, const char *name, double *ret);
bool document_flag(const json_t *object, const char *name);

struct spread {
        bool known;      /* the median is there */
        bool has_range;  /* and low and high */
        double median, low, high; /* p05 and p95 */
};

struct figure {
        const char *engine, *store, *figure, *title, *unit; /* never NULL */
        bool is_bytes;
        struct spread ours, raw;
        const char *raw_name;  /* "the raw tool" where it has none */
        const char *compared;  /* or NULL */
        double runs;           /* 0: not said */
        const json_t *samples, *raw_samples; /* or NULL */
};

/* Figure `index`; false past the last one. One without a median of ours has ours.known false. */
bool document_figure_at(const json_t *document, size_t index, struct figure *ret);
/* The figure of an engine and a store; false where it is not there or was not measured. */
bool document_figure_of(const json_t *document, const char *engine, const char *store, const char *figure, struct figure *ret);

/* An engine and a store of which something was measured. */
struct pair {
        const char *engine, *store;
};
#define DOCUMENT_PAIRS 32
/* All of them in the document's order, at most DOCUMENT_PAIRS; how many. */
size_t document_pairs(const json_t *document, struct pair ret[static DOCUMENT_PAIRS]);
