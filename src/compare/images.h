/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this room: what is cloned. */
#pragma once

#include "compare/session.h"

/* Something that a base can be made of. */
struct image {
        char *path;          /* NULL: there is none */
        const char *word;    /* the parameter that takes it: "image", "rootfs" or "tarball" */
        const char *format;  /* "qcow2", "disk", "tree" or "tarball" */
        char *note;          /* where it comes from, for people */
        char *cannot_boot;   /* why figures that need a boot are left out, or NULL */
        uint64_t bytes;      /* allocated */
        uint64_t memory_bytes; /* of a machine, 0: the default */
};
struct images {
        struct image disk, tree;
};
void images_free(struct images *images);
define_owned(struct images, images_free)

/*
 * Chooses them: what was asked for (66 where it is neither a file nor a base of the herd), else the base of the caller's herd that has
 * most clones, else small ones made in the site's folder.
 */
int images_choose(const struct compare_options *options, const struct site *site, struct images *ret, struct cowherd_error *err) must_check;
/* The one that an engine takes. */
const struct image *image_of(const struct images *images, enum cowherd_target target);
