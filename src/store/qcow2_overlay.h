/* SPDX-License-Identifier: Apache-2.0 */
/* An empty qcow2 overlay, written by ourselves: the one format that the hot path does not leave to a tool. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qcow2_overlay {
        uint64_t virtual_bytes;     /* rounded up to whole sectors, as QEMU does with a raw disk */
        const char *backing_name;   /* as the overlay's folder sees it; at most 1023 bytes */
        const char *backing_format; /* "qcow2" or "raw": always said, so that nobody probes what a guest wrote */
};

#define QCOW2_OVERLAY_HEADER_BYTES 2048u
/* The header with its extensions and the backing name, into buffer. Returns its length. */
size_t qcow2_overlay_header(const struct qcow2_overlay *overlay, unsigned char buffer[QCOW2_OVERLAY_HEADER_BYTES]);

/*
 * Fills the empty file `fd`, holes where there is nothing to say: three blocks are allocated. `name` is for messages.
 * 65 where the virtual size is 0 or beyond what an overlay can show; 74 where there is no space.
 */
int qcow2_overlay_write(int fd, const char *name, const struct qcow2_overlay *overlay,
                        struct cowherd_error *err) must_check;

#define QCOW2_BACKING_TEXT_BYTES 1024u
/* What a header says. */
struct qcow2_seen {
        uint64_t virtual_bytes;
        char backing_name[QCOW2_BACKING_TEXT_BYTES]; /* "" where it has none */
};
/*
 * Reads the header of an overlay in use, which QEMU has written since we made it: 65 where it is none, is encrypted, or keeps its
 * data in another file, which no clone's does.
 */
int qcow2_overlay_read(int fd, const char *name, struct qcow2_seen *ret, struct cowherd_error *err) must_check;
/* Whether nothing was written through it: it has the length that qcow2_overlay_write gave it. -1 only on failure. */
int qcow2_overlay_is_fresh(int fd, const char *name, bool *ret, struct cowherd_error *err) must_check;
