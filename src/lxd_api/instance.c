/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instances by REST. Names that come here are our own kind (letters, digits and '-'), or LXD's own answers; they are
 * escaped all the same.
 */
#include "lxd_api/instance.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CHANGE_MS 120000u /* a start remaps a whole root filesystem where LXD has not done so */

static const struct lxd_patience patient = {.quiet_ms = CHANGE_MS};

static char *instance_path(const char *name, const char *rest)
{
        owned_str char *escaped = lxd_escape(name);

        return x_asprintf("/1.0/instances/%s%s", escaped, rest);
}

static char *snapshot_path(const char *name, const char *snapshot)
{
        owned_str char *escaped = lxd_escape(snapshot), *rest = x_asprintf("/snapshots/%s", escaped);

        return instance_path(name, rest);
}

void lxd_tags_set(const struct lxd_tags *tags, json_t *config)
{
        char id[24];

        (void)snprintf(id, sizeof id, "%" PRIu64, tags->id);
        (void)json_object_set_new(config, LXD_TAG_HERD, json_string(tags->herd));
        (void)json_object_set_new(config, LXD_TAG_ID, json_string(id));
        (void)json_object_set_new(config, LXD_TAG_ROLE, json_string(tags->role));
        (void)json_object_set_new(config, LXD_TAG_NAME, json_string(tags->name));
        (void)json_object_set_new(config, LXD_TAG_FORMER, json_string(""));
}

char *lxd_warm_name(const char *herd_uuid, uint64_t id)
{
        return x_asprintf("cowherd-%.8s-w%" PRIu64, herd_uuid, id);
}

/* Whether it was taken for that name, and its tag tells the former one. */
static bool is_taken(const struct lxd_tags *tags, const json_t *config, const char *name)
{
        if (tags->taken == NULL || tags->herd == NULL || !str_equal(name, tags->taken))
                return false;
        owned_str char *warm = lxd_warm_name(tags->herd, tags->id);
        return str_equal(lxd_text(config, LXD_TAG_NAME), warm);
}

bool lxd_tags_match(const struct lxd_tags *tags, const json_t *instance)
{
        const json_t *config = json_object_get(instance, "config");
        const char *name = lxd_text(instance, "name");
        char id[24];

        (void)snprintf(id, sizeof id, "%" PRIu64, tags->id);
        if (name == NULL || !str_equal(lxd_text(config, LXD_TAG_ID), id) ||
            !str_equal(lxd_text(config, LXD_TAG_ROLE), tags->role))
                return false;
        if (tags->herd != NULL && !str_equal(lxd_text(config, LXD_TAG_HERD), tags->herd))
                return false;
        return str_equal(lxd_text(config, LXD_TAG_NAME), name) || str_equal(lxd_text(config, LXD_TAG_FORMER), name) ||
               is_taken(tags, config, name);
}

int lxd_instance_get(struct lxd_client *client, const char *name, json_t **ret, struct cowherd_error *err)
{
        owned_str char *path = instance_path(name, "");

        return lxd_get(client, path, ret, err);
}

int lxd_instance_list(struct lxd_client *client, json_t **ret, struct cowherd_error *err)
{
        int rc = lxd_get(client, "/1.0/instances?recursion=1", ret, err);

        return rc <= 0 ? rc : fail(err, COWHERD_SYSTEM, "LXD does not list its instances");
}

int lxd_instance_create(struct lxd_client *client, const json_t *body, const struct lxd_patience *patience,
                        struct cowherd_error *err)
{
        return lxd_do(client, "POST", "/1.0/instances", body, patience, err);
}

int lxd_instance_configure(struct lxd_client *client, const char *name, const json_t *config, struct cowherd_error *err)
{
        owned_str char *path = instance_path(name, "");
        owned_json json_t *body = json_pack("{s:O}", "config", config);

        return lxd_do(client, "PATCH", path, body, &patient, err);
}

int lxd_instance_change(struct lxd_client *client, const char *name, const char *action, struct cowherd_error *err)
{
        owned_str char *path = instance_path(name, "/state");
        owned_json json_t *body = json_pack("{s:s, s:i, s:b}", "action", action, "timeout", -1, "force", 1);
        struct cowherd_error why;

        if (lxd_do(client, "PUT", path, body, &patient, &why) == 0)
                return 0;
        if (strstr(why.text, "already running") != NULL || strstr(why.text, "already stopped") != NULL ||
            strstr(why.text, "is not running") != NULL)
                return 0;
        *err = why;
        return -1;
}

int lxd_instance_delete(struct lxd_client *client, const char *name, struct cowherd_error *err)
{
        owned_str char *path = instance_path(name, "");
        struct cowherd_error why;

        if (lxd_do(client, "DELETE", path, NULL, &patient, &why) == 0 || why.code == COWHERD_NOT_FOUND)
                return 0;
        *err = why;
        return -1;
}

int lxd_instance_rename(struct lxd_client *client, const char *name, const char *new_name, struct cowherd_error *err)
{
        owned_str char *path = instance_path(name, "");
        owned_json json_t *body = json_pack("{s:s}", "name", new_name);

        return lxd_do(client, "POST", path, body, &patient, err);
}

int lxd_instance_snapshot(struct lxd_client *client, const char *name, const char *snapshot, struct cowherd_error *err)
{
        owned_str char *path = instance_path(name, "/snapshots");
        owned_json json_t *body = json_pack("{s:s, s:b}", "name", snapshot, "stateful", 0);

        return lxd_do(client, "POST", path, body, &patient, err);
}

int lxd_snapshot_get(struct lxd_client *client, const char *name, const char *snapshot, json_t **ret,
                     struct cowherd_error *err)
{
        owned_str char *path = snapshot_path(name, snapshot);

        return lxd_get(client, path, ret, err);
}

int lxd_snapshot_list(struct lxd_client *client, const char *name, json_t **ret, struct cowherd_error *err)
{
        owned_str char *path = instance_path(name, "/snapshots?recursion=1");

        return lxd_get(client, path, ret, err);
}

int lxd_snapshot_delete(struct lxd_client *client, const char *name, const char *snapshot, struct cowherd_error *err)
{
        owned_str char *path = snapshot_path(name, snapshot);
        struct cowherd_error why;

        if (lxd_do(client, "DELETE", path, NULL, &patient, &why) == 0 || why.code == COWHERD_NOT_FOUND)
                return 0;
        *err = why;
        return -1;
}

int lxd_snapshot_restore(struct lxd_client *client, const char *name, const char *snapshot, struct cowherd_error *err)
{
        owned_str char *path = instance_path(name, "");
        owned_json json_t *body = json_pack("{s:s}", "restore", snapshot);

        return lxd_do(client, "PUT", path, body, &patient, err);
}

/* The text after the last "ERROR" of a log of liblxc, without its columns; NULL where there is none. */
static char *last_complaint(const char *log)
{
        const char *last = NULL;

        for (const char *at = strstr(log, " ERROR "); at != NULL; at = strstr(at + 1, " ERROR "))
                last = at;
        if (last == NULL)
                return NULL;
        /* "ERROR module - file:function:line - what" */
        const char *text = strstr(last, " - ");
        text = text != NULL ? strstr(text + 1, " - ") : NULL;
        text = text != NULL ? text + 3 : last + 1;
        return x_strndup(text, strcspn(text, "\n"));
}

char *lxd_instance_complaint(struct lxd_client *client, const char *name)
{
        owned_str char *path = instance_path(name, "/logs/lxc.log");
        const struct lxd_request request = {.method = "GET", .path = path, .is_log = true};
        owned_reply struct lxd_reply reply = {0};
        struct cowherd_error ignored;

        if (lxd_send(client, &request, &reply, &ignored) < 0 || reply.bytes == NULL)
                return NULL;
        return last_complaint(reply.bytes);
}
