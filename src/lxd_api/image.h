/* SPDX-License-Identifier: Apache-2.0 */
/* Images: what an instance is made from. */
#pragma once

#include "lxd_api/client.h"

/* What an instance is to be made from. */
struct lxd_image {
        json_t *source;    /* the "source" of POST /1.0/instances */
        char *server;      /* the server's address where LXD has to fetch it, else NULL */
        char *fingerprint; /* where it is known before */
        bool uploaded;     /* by us, so that it is ours to delete */
};
void lxd_image_free(struct lxd_image *image);
static inline void lxd_image_free_at(struct lxd_image *image)
{
        lxd_image_free(image);
}
#define owned_image __attribute__((cleanup(lxd_image_free_at)))

/*
 * The image of a name as `lxc` takes it: "REMOTE:ALIAS", or an alias or fingerprint (or the beginning of one) of this
 * LXD. Only what is local is looked up here; a remote one is found and fetched by LXD when the instance is made. 66
 * where there is none.
 */
int lxd_image_find(struct lxd_client *client, const char *name, struct lxd_image *ret,
                   struct cowherd_error *err) must_check;
/* Sees that an image server answers; one that is silent is 75 after 15 s. Any answer will do, a refusal too. */
int lxd_image_reach(struct lxd_client *client, const char *server, struct cowherd_error *err) must_check;
/*
 * The image of local files: `metadata` (a tarball with metadata.yaml) and `rootfs` (a tarball or squashfs; NULL where
 * metadata is the whole image). Used where LXD has it already, else uploaded and marked with `properties`
 * (URL-encoded: "a=b&c=d"), by which lxd_image_delete_marked finds it after a crash.
 */
int lxd_image_upload(struct lxd_client *client, const char *metadata, const char *rootfs, const char *properties,
                     void (*sent)(void *context, uint64_t done_bytes, uint64_t total_bytes), void *context,
                     struct lxd_image *ret, struct cowherd_error *err) must_check;
/* Deletes an image; what is not there is success. */
int lxd_image_delete(struct lxd_client *client, const char *fingerprint, struct cowherd_error *err) must_check;
/* Deletes all images that bear these `count` properties with these values: {name, value} each. */
int lxd_image_delete_marked(struct lxd_client *client, const char *const (*properties)[2], size_t count,
                            struct cowherd_error *err) must_check;
