/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations: what LXD does in the background. `GET /1.0/operations/ID/wait` answers when the operation has ended, so
 * nothing is polled. It is asked in slices only so that progress can be told and an operation that hangs be given up.
 *
 * LXD forgets an operation five seconds after its end. Who asks later (a process that was stopped in between) can't
 * know how it ended, and is told so.
 */
#include "lxd_api/client.h"

#include "base/mem.h"
#include "base/str.h"
#include "sys/clock.h"

#include <string.h>

#define SLICE_S 10u
#define SLICE_TOLD_S 1u

/* The sentence of how it goes: the first text in the operation's metadata whose key ends in "progress". Borrowed. */
static const char *progress_of(json_t *operation)
{
        const char *key;
        json_t *value;

        json_object_foreach(json_object_get(operation, "metadata"), key, value)
        {
                if (str_ends(key, "progress") && json_is_string(value))
                        return json_string_value(value);
        }
        return NULL;
}

/* 0: ended well; 1: goes on; -1: failed. */
static int outcome(const json_t *operation, struct cowherd_error *err)
{
        json_int_t status = json_integer_value(json_object_get(operation, "status_code"));
        const char *why = lxd_text(operation, "err");

        if (status == 200)
                return 0;
        if (status >= 400 || !str_is_empty(why)) {
                why = str_is_empty(why) ? lxd_text(operation, "status") : why;
                why = why == NULL ? "no reason given" : why;
                return fail(err, lxd_error_code(400, why), "LXD says: %s", why);
        }
        return 1;
}

static int cancel(struct lxd_client *client, const char *operation)
{
        const struct lxd_request request = {.method = "DELETE", .path = operation};
        owned_reply struct lxd_reply reply = {0};
        struct cowherd_error ignored;

        return lxd_send(client, &request, &reply, &ignored);
}

static int gave_up(struct lxd_client *client, const char *operation, const json_t *state, struct cowherd_error *err)
{
        const char *what = lxd_text(state, "description");

        if (json_is_true(json_object_get(state, "may_cancel")))
                (void)cancel(client, operation);
        return fail(err, COWHERD_BUSY, "LXD's operation '%s' made no progress in time",
                    what != NULL ? what : operation);
}

/* One slice of waiting. *ret is how the operation stands after it. */
static int wait_slice(struct lxd_client *client, const char *operation, unsigned seconds, json_t **ret,
                      struct cowherd_error *err)
{
        owned_str char *path = x_asprintf("%s/wait?timeout=%u", operation, seconds);
        const struct lxd_request request = {
                .method = "GET", .path = path, .timeout_ms = LXD_REQUEST_MS + seconds * 1000u};
        owned_reply struct lxd_reply reply = {0};

        if (lxd_send(client, &request, &reply, err) < 0) {
                if (err->code == COWHERD_NOT_FOUND)
                        return fail(err, COWHERD_BUSY, "how LXD's operation '%s' ended is not known any more",
                                    operation);
                return -1;
        }
        *ret = take(reply.metadata);
        return 0;
}

/* Whether its progress has changed since *last, which is then replaced. */
static bool has_moved(json_t *state, char **last, const struct lxd_patience *patience)
{
        const char *said = progress_of(state);

        if (said == NULL || str_equal(said, *last))
                return false;
        x_replace(last, said);
        if (patience->told != NULL)
                patience->told(patience->context, said);
        return true;
}

int lxd_await(struct lxd_client *client, const char *operation, const struct lxd_patience *patience,
              struct cowherd_error *err)
{
        owned_str char *last = NULL;
        double moved = clock_ms();

        for (;;) {
                owned_json json_t *state = NULL;
                double left = moved + (double)patience->quiet_ms - clock_ms();
                unsigned slice = patience->told != NULL ? SLICE_TOLD_S : SLICE_S;

                if (left < slice * 1000.0)
                        slice = left <= 0 ? 0 : (unsigned)(left / 1000.0) + 1;
                if (wait_slice(client, operation, slice, &state, err) < 0)
                        return -1;
                int rc = outcome(state, err);
                if (rc <= 0)
                        return rc;
                if (has_moved(state, &last, patience))
                        moved = clock_ms();
                else if (clock_ms() - moved >= (double)patience->quiet_ms)
                        return gave_up(client, operation, state, err);
        }
}

int lxd_do(struct lxd_client *client, const char *method, const char *path, const json_t *body,
           const struct lxd_patience *patience, struct cowherd_error *err)
{
        const struct lxd_request request = {.method = method, .path = path, .json = body};
        owned_reply struct lxd_reply reply = {0};

        if (lxd_send(client, &request, &reply, err) < 0)
                return -1;
        if (reply.operation == NULL)
                return 0;
        return lxd_await(client, reply.operation, patience, err);
}

/* Whether an operation bears the name of an instance: as ".../NAME" or ".../NAME/snapshots/…". */
static bool bears_name(const json_t *operation, const char *instance)
{
        const json_t *instances = json_object_get(json_object_get(operation, "resources"), "instances");
        size_t length = strlen(instance);

        for (size_t i = 0; i < json_array_size(instances); i++) {
                const char *url = json_string_value(json_array_get(instances, i));
                const char *name = url == NULL ? NULL : strstr(url, "/instances/");
                if (name == NULL)
                        continue;
                name += strlen("/instances/");
                if (strncmp(name, instance, length) == 0 &&
                    (name[length] == '\0' || name[length] == '/' || name[length] == '?'))
                        return true;
        }
        return false;
}

/* An upload bears no name at all: any that goes on may be the one. */
static bool is_upload(const json_t *operation)
{
        return str_equal(lxd_text(operation, "description"), "Downloading image") &&
               json_object_size(json_object_get(operation, "resources")) == 0;
}

static int await_other(struct lxd_client *client, const json_t *operation, uint64_t quiet_ms, struct cowherd_error *err)
{
        const struct lxd_patience patience = {.quiet_ms = quiet_ms};
        owned_str char *path = x_asprintf("/1.0/operations/%s", lxd_text(operation, "id"));
        double begun = clock_ms();
        struct cowherd_error why;

        if (json_is_true(json_object_get(operation, "may_cancel")) && !is_upload(operation))
                (void)cancel(client, path);
        /* How it ends is not ours to judge; only whether it does. */
        if (lxd_await(client, path, &patience, &why) == 0 || clock_ms() - begun < (double)quiet_ms)
                return 0;
        *err = why;
        return -1;
}

/* Awaits what goes on and bears one of an instance's names; with NULL, uploads of images. */
static int await_matching(struct lxd_client *client, const char *instance, const char *other, uint64_t quiet_ms,
                          struct cowherd_error *err)
{
        owned_json json_t *operations = NULL;
        const char *state;
        json_t *list;

        if (lxd_get(client, "/1.0/operations?recursion=1", &operations, err) < 0)
                return -1;
        json_object_foreach(operations, state, list)
        {
                if (!str_equal(state, "running") && !str_equal(state, "pending") && !str_equal(state, "cancelling"))
                        continue;
                for (size_t i = 0; i < json_array_size(list); i++) {
                        const json_t *operation = json_array_get(list, i);
                        if (lxd_text(operation, "id") == NULL ||
                            !(instance != NULL ? bears_name(operation, instance) || (other != NULL && bears_name(operation, other))
                                               : is_upload(operation)))
                                continue;
                        if (await_other(client, operation, quiet_ms, err) < 0)
                                return -1;
                }
        }
        return 0;
}

int lxd_await_instance(struct lxd_client *client, const char *instance, uint64_t quiet_ms, struct cowherd_error *err)
{
        return await_matching(client, instance, NULL, quiet_ms, err);
}

int lxd_await_either(struct lxd_client *client, const char *instance, const char *other, uint64_t quiet_ms,
                     struct cowherd_error *err)
{
        return await_matching(client, instance, other, quiet_ms, err);
}

int lxd_await_uploads(struct lxd_client *client, uint64_t quiet_ms, struct cowherd_error *err)
{
        return await_matching(client, NULL, NULL, quiet_ms, err);
}
