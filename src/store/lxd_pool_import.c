/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a base of an image: create, start once (LXD then shifts the owners of the whole root filesystem), stop at
 * once, take out what that boot left, snapshot. The instance bears its tags from the request that makes it, so that
 * whatever is cut short is found again and removed.
 */
#include "lxd_api/image.h"
#include "lxd_api/neutral.h"
#include "store/lxd_pool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Without a word of progress. A server that accepts and is silent is given up sooner than a slow disk. */
#define UNPACK_QUIET_MS 600000u
#define FETCH_QUIET_MS 60000u

struct importing {
        struct lxd_client *client;
        const struct store_place *place;
        const struct store_object *base;
        const struct store_import *source;
        char *name; /* of the instance */
        struct lxd_image image;
        uint64_t sent_hundredths;
};

static void importing_free(struct importing *it)
{
        free(it->name);
        lxd_image_free(&it->image);
}
define_owned(struct importing, importing_free)

        /* Told at each hundredth only. */
static void on_sent(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
        struct importing *it = context;
        uint64_t hundredths = done_bytes * 100 / total_bytes;

        if (it->source->progress == NULL || hundredths == it->sent_hundredths)
                return;
        it->sent_hundredths = hundredths;
        it->source->progress(it->source->context, "uploading the image to LXD", done_bytes, total_bytes);
}

static void on_told(void *context, const char *what)
{
        const struct importing *it = context;

        if (it->source->progress != NULL)
                it->source->progress(it->source->context, what, 0, 0);
}

static int explain_remote(const struct importing *it, struct cowherd_error *err)
{
        (void)fail_while(err, "image '%s' of server '%s'", it->source->image, it->image.server);
        if (err->code == COWHERD_NOT_FOUND)
                return fail_hint(err, "lxc image list %.*s: shows what there is", (int)strcspn(it->source->image, ":"),
                                 it->source->image);
        return fail_hint(
                err,
                "LXD's daemon must reach that server; for a site without network, map '%s' to files in sources.conf",
                it->source->image);
}

static int find_image(struct importing *it, struct cowherd_error *err)
{
        const struct store_import *source = it->source;

        if (source->image != NULL && lxd_image_find(it->client, source->image, &it->image, err) < 0)
                return -1;
        if (it->image.server != NULL && lxd_image_reach(it->client, it->image.server, err) < 0)
                return explain_remote(it, err);
        if (source->image != NULL)
                return 0;
        if (source->metadata == NULL)
                return fail(err, COWHERD_INTERNAL, "base '%s' is to be made of no image", it->base->name);
        owned_str char *properties =
                x_asprintf("%s=%s&%s=%" PRIu64, LXD_TAG_HERD, it->place->herd_uuid, LXD_TAG_ID, it->base->id);
        return lxd_image_upload(it->client, source->metadata, source->rootfs, properties, on_sent, it, &it->image, err);
}

static int create(struct importing *it, struct cowherd_error *err)
{
        const struct lxd_patience patience = {.quiet_ms = it->image.server != NULL ? FETCH_QUIET_MS : UNPACK_QUIET_MS,
                                              .told = on_told,
                                              .context = it};
        const struct lxd_tags tags = lxd_pool_tags(it->place, it->base, it->name);
        owned_choice struct lxd_pool_choice choice = {0};
        owned_json json_t *config = json_object(), *devices = json_object();
        int rc = lxd_pool_choose(it->client, it->place->source, it->place->herd_uuid, &choice, err);

        if (rc < 0)
                return -1;
        if (rc > 0) {
                (void)fail(err, COWHERD_UNAVAILABLE, "LXD has no storage pool to make base '%s' in", it->base->name);
                return fail_hint(err, "run 'cowherd lxd setup' to make one");
        }
        lxd_tags_set(&tags, config);
        if (!choice.root_in_profile)
                (void)json_object_set_new(
                        devices, "root",
                        json_pack("{s:s, s:s, s:s}", "type", "disk", "path", "/", "pool", choice.pool));
        owned_json json_t *body = json_pack("{s:s, s:[s], s:O, s:O, s:O}", "name", it->name, "profiles", choice.profile,
                                            "config", config, "devices", devices, "source", it->image.source);
        if (lxd_instance_create(it->client, body, &patience, err) == 0)
                return 0;
        if (it->image.server != NULL)
                return explain_remote(it, err);
        return fail_while(err, "making base '%s' of '%s'", it->base->name,
                          it->source->image != NULL    ? it->source->image
                          : it->source->rootfs != NULL ? it->source->rootfs
                                                       : it->source->metadata);
}

/* What `lxc start` does not tell: the last complaint in the container's own log. */
static int explain_start(struct importing *it, struct cowherd_error *err)
{
        owned_str char *complaint = lxd_instance_complaint(it->client, it->name);

        (void)fail_while(err, "starting base '%s' once", it->base->name);
        if (complaint != NULL)
                return fail_hint(err, "the container's log ends: %s", complaint);
        return fail_hint(err, "its image must hold an init, and LXD must be able to start containers here");
}

static int start_once(struct importing *it, struct cowherd_error *err)
{
        if (lxd_instance_change(it->client, it->name, "start", err) < 0)
                return explain_start(it, err);
        if (lxd_instance_change(it->client, it->name, "stop", err) < 0)
                return fail_while(err, "stopping base '%s'", it->base->name);
        return 0;
}

/* "Debian" of one image is "debian" of another. */
static char *lower_case(const char *text)
{
        char *copy = x_strdup(text);

        for (char *at = copy; at != NULL && *at != '\0'; at++)
                if (*at >= 'A' && *at <= 'Z')
                        *at = (char)(*at - 'A' + 'a');
        return copy;
}

/* What LXD knows of the image, from the instance's copy of its properties. */
static int describe(const struct importing *it, struct store_imported *ret, struct cowherd_error *err)
{
        owned_json json_t *instance = NULL;
        int rc = lxd_instance_get(it->client, it->name, &instance, err);

        if (rc != 0)
                return rc < 0 ? -1
                              : fail(err, COWHERD_NOT_FOUND, "base '%s' was not found in LXD right after it was made",
                                     it->base->name);
        const json_t *config = json_object_get(instance, "config");
        *ret = (struct store_imported){
                .distro = lower_case(lxd_text(config, "image.os")),
                .release = x_strdup(lxd_text(config, "image.release")),
                .description = x_strdup(lxd_text(config, "image.description")),
                .fingerprint = x_strdup(lxd_text(config, "volatile.base_image")),
        };
        return 0;
}

/* What was found inside is kept on the instance before its snapshot is made, so that every clone tells it. */
static int neutralise(struct importing *it, struct cowherd_error *err)
{
        owned_neutral struct lxd_neutral found = {0};
        owned_json json_t *config = json_object();

        if (lxd_neutralise(it->client, it->name, &found, err) < 0)
                return fail_while(err, "taking the identity out of base '%s'", it->base->name);
        lxd_neutral_set(&found, config);
        return lxd_instance_configure(it->client, it->name, config, err);
}

static int import(struct importing *it, struct store_imported *ret, struct cowherd_error *err)
{
        if (find_image(it, err) < 0 || create(it, err) < 0 || start_once(it, err) < 0)
                return -1;
        if (neutralise(it, err) < 0)
                return -1;
        if (it->image.uploaded && lxd_image_delete(it->client, it->image.fingerprint, err) < 0)
                return -1;
        return describe(it, ret, err);
}

int lxd_pool_import(const struct store_place *place, const struct store_object *base, const struct store_import *source,
                    struct store_imported *ret, struct cowherd_error *err)
{
        owned_by(importing_free) struct importing it = {.place = place, .base = base, .source = source};
        struct cowherd_error ignored;

        if (lxd_client_get(&it.client, err) < 0)
                return -1;
        it.name = lxd_pool_base_name(place->herd_uuid, base->id);
        if (import(&it, ret, err) == 0)
                return 0;
        if (lxd_pool_destroy(place, base, &ignored) < 0)
                return fail_while(err, "what was made of base '%s' could not be removed (%s)", base->name,
                                  ignored.text);
        return -1;
}
