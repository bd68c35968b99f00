/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image's fingerprint is the SHA-256 of its files, one after the other. It is computed before an upload: what LXD
 * has already need not be sent, must not be deleted afterwards, and can't be told by the reply of a refused upload.
 */
#include "lxd_api/image.h"

#include "base/mem.h"
#include "base/str.h"
#include "lxd_api/remote.h"
#include "lxd_api/sha256.h"

#include <string.h>

#define UPLOAD_MS 3600000u
#define DELETE_MS 120000u

void lxd_image_free(struct lxd_image *image)
{
        json_decref(image->source);
        free(image->server);
        free(image->fingerprint);
        *image = (struct lxd_image){0};
}

static void set_local(struct lxd_image *image, const char *fingerprint)
{
        image->source = json_pack("{s:s, s:s}", "type", "image", "fingerprint", fingerprint);
        image->fingerprint = x_strdup(fingerprint);
}

/* Looks an alias or (part of) a fingerprint up; 1 where LXD has no such image. */
static int find_local(struct lxd_client *client, const char *name, struct lxd_image *ret, struct cowherd_error *err)
{
        owned_str char *escaped = lxd_escape(name), *alias = x_asprintf("/1.0/images/aliases/%s", escaped);
        owned_str char *image = x_asprintf("/1.0/images/%s", escaped);
        owned_json json_t *found = NULL, *whole = NULL;
        int rc = lxd_get(client, alias, &found, err);

        if (rc == 0 && lxd_text(found, "target") != NULL) {
                set_local(ret, lxd_text(found, "target"));
                return 0;
        }
        if (rc < 0)
                return -1;
        rc = lxd_get(client, image, &whole, err);
        if (rc != 0)
                return rc;
        if (lxd_text(whole, "fingerprint") == NULL)
                return fail(err, COWHERD_SYSTEM, "LXD does not tell the fingerprint of image '%s'", name);
        set_local(ret, lxd_text(whole, "fingerprint"));
        return 0;
}

static int set_remote(const struct lxd_remote *remote, const char *alias, struct lxd_image *image,
                      struct cowherd_error *err)
{
        bool streams = str_equal(remote->protocol, "simplestreams");

        if (!streams && !remote->is_public) {
                (void)fail(err, COWHERD_UNAVAILABLE,
                           "image server '%s' is private: LXD can't fetch '%s' from it by itself", remote->name, alias);
                return fail_hint(err, "lxc image copy %s:%s local: --alias NAME, then use image=NAME", remote->name,
                                 alias);
        }
        image->server = x_strdup(remote->address);
        image->source = json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "image", "mode", "pull", "server",
                                  remote->address, "protocol", remote->protocol, "alias", alias);
        if (image->source == NULL)
                return fail(err, COWHERD_USAGE, "image '%s:%s' is not UTF-8", remote->name, alias);
        if (remote->certificate != NULL)
                (void)json_object_set_new(image->source, "certificate", json_string(remote->certificate));
        return 0;
}

/* Whether the server is Incus, whose client has files of its own. */
static bool is_incus(struct lxd_client *client)
{
        return strstr(lxd_client_socket(client), "incus") != NULL;
}

int lxd_image_find(struct lxd_client *client, const char *name, struct lxd_image *ret, struct cowherd_error *err)
{
        owned_remotes struct lxd_remotes remotes = {0};
        const struct lxd_remote *remote = NULL;
        const char *alias = NULL;

        if (lxd_remotes_load(is_incus(client), &remotes, err) < 0)
                return -1;
        if (lxd_remotes_resolve(&remotes, name, &remote, &alias, err) < 0)
                return -1;
        if (remote != NULL)
                return set_remote(remote, alias, ret, err);
        int rc = find_local(client, alias, ret, err);
        if (rc <= 0)
                return rc;
        (void)fail(err, COWHERD_NOT_FOUND, "image '%s' not found in LXD", name);
        return fail_hint(err, "lxc image list; an image of a server is REMOTE:NAME, such as ubuntu:22.04");
}

static int fingerprint_of(const char *metadata, const char *rootfs, char *buffer, struct cowherd_error *err)
{
        struct sha256_ctx sum;

        sha256_init(&sum);
        if (sha256_add_file(&sum, metadata, err) < 0 || (rootfs != NULL && sha256_add_file(&sum, rootfs, err) < 0))
                return -1;
        (void)sha256_text(&sum, buffer);
        return 0;
}

static int send(struct lxd_client *client, struct lxd_request *request, const char *properties, const char *fingerprint,
                struct cowherd_error *err)
{
        static const struct lxd_patience patience = {.quiet_ms = UPLOAD_MS};
        owned_str char *lxd_properties = x_asprintf("X-LXD-properties: %s", properties);
        owned_str char *incus_properties = x_asprintf("X-Incus-properties: %s", properties);
        owned_str char *lxd_fingerprint = x_asprintf("X-LXD-fingerprint: %s", fingerprint);
        owned_str char *incus_fingerprint = x_asprintf("X-Incus-fingerprint: %s", fingerprint);
        const char *const headers[] = {lxd_properties, incus_properties, lxd_fingerprint, incus_fingerprint, NULL};
        owned_reply struct lxd_reply reply = {0};

        request->headers = headers;
        if (lxd_send(client, request, &reply, err) < 0)
                return -1;
        return reply.operation != NULL ? lxd_await(client, reply.operation, &patience, err) : 0;
}

int lxd_image_upload(struct lxd_client *client, const char *metadata, const char *rootfs, const char *properties,
                     void (*sent)(void *context, uint64_t done_bytes, uint64_t total_bytes), void *context,
                     struct lxd_image *ret, struct cowherd_error *err)
{
        struct lxd_request request = {
                .method = "POST", .path = "/1.0/images", .timeout_ms = UPLOAD_MS, .sent = sent, .context = context};
        char fingerprint[SHA256_TEXT_BYTES];
        struct cowherd_error why;

        if (fingerprint_of(metadata, rootfs, fingerprint, err) < 0)
                return -1;
        int rc = find_local(client, fingerprint, ret, err);
        if (rc <= 0)
                return rc;
        if (rootfs == NULL) {
                request.file = metadata;
        } else {
                memcpy(request.parts, ((const char *const[2][2]){{"metadata", metadata}, {"rootfs", rootfs}}),
                       sizeof request.parts);
        }
        ret->uploaded = send(client, &request, properties, fingerprint, &why) == 0;
        /* Somebody else may have sent the same image meanwhile: then it is theirs. */
        if (!ret->uploaded && why.code != COWHERD_EXISTS) {
                *err = why;
                return fail_while(err, "uploading '%s'", rootfs != NULL ? rootfs : metadata);
        }
        set_local(ret, fingerprint);
        return 0;
}

int lxd_image_delete(struct lxd_client *client, const char *fingerprint, struct cowherd_error *err)
{
        static const struct lxd_patience patience = {.quiet_ms = DELETE_MS};
        owned_str char *escaped = lxd_escape(fingerprint), *path = x_asprintf("/1.0/images/%s", escaped);
        struct cowherd_error why;

        if (lxd_do(client, "DELETE", path, NULL, &patience, &why) == 0 || why.code == COWHERD_NOT_FOUND)
                return 0;
        *err = why;
        return -1;
}

static bool is_marked(const json_t *image, const char *const (*properties)[2], size_t count)
{
        const json_t *own = json_object_get(image, "properties");

        for (size_t i = 0; i < count; i++)
                if (!str_equal(lxd_text(own, properties[i][0]), properties[i][1]))
                        return false;
        return true;
}

int lxd_image_delete_marked(struct lxd_client *client, const char *const (*properties)[2], size_t count,
                            struct cowherd_error *err)
{
        owned_json json_t *images = NULL;

        int rc = lxd_get(client, "/1.0/images?recursion=1", &images, err);
        if (rc != 0)
                return rc < 0 ? -1 : 0;
        for (size_t i = 0; i < json_array_size(images); i++) {
                const json_t *image = json_array_get(images, i);
                const char *fingerprint = lxd_text(image, "fingerprint");
                if (fingerprint != NULL && is_marked(image, properties, count) &&
                    lxd_image_delete(client, fingerprint, err) < 0)
                        return -1;
        }
        return 0;
}
