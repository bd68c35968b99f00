/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files inside an instance, by LXD's own helper, which enters the instance's root before it opens anything: a
 * symlink planted by an image leads nowhere else. LXD and Incus differ in the names of their headers only, so both are
 * sent.
 */
#include "lxd_api/instance.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define TRANSFER_MS 86400000u
#define DEPTH_MAX 8u
#define ENTRIES_MAX 4096u

static int check_path(const char *path, struct cowherd_error *err)
{
        const char *dots = strstr(path, "/..");

        if (path[0] != '/' || (dots != NULL && (dots[3] == '/' || dots[3] == '\0')))
                return fail(err, COWHERD_DENIED, "path '%s' inside an instance must be absolute and without '..'",
                            path);
        return 0;
}

static int file_request(struct lxd_client *client, const char *instance, const char *path, struct lxd_request *request,
                        struct lxd_reply *ret, struct cowherd_error *err)
{
        owned_str char *name = lxd_escape(instance), *place = lxd_escape(path);
        owned_str char *url = x_asprintf("/1.0/instances/%s/files?path=%s", name, place);
        struct cowherd_error why;

        if (check_path(path, err) < 0)
                return -1;
        request->path = url;
        if (lxd_send(client, request, ret, &why) == 0)
                return 0;
        if (why.code == COWHERD_NOT_FOUND)
                return 1;
        *err = why;
        return -1;
}

int lxd_file_list(struct lxd_client *client, const char *instance, const char *path, struct strv *ret,
                  struct cowherd_error *err)
{
        struct lxd_request request = {.method = "GET", .is_file = true};
        owned_reply struct lxd_reply reply = {0};
        int rc = file_request(client, instance, path, &request, &reply, err);

        if (rc != 0)
                return rc;
        if (!str_equal(reply.file_type, "directory"))
                return 1;
        for (size_t i = 0; i < json_array_size(reply.metadata); i++) {
                const char *name = json_string_value(json_array_get(reply.metadata, i));
                if (name == NULL || name[0] == '\0' || strchr(name, '/') != NULL || str_equal(name, ".") || str_equal(name, ".."))
                        continue;
                if (strstr(name, "\xEF\xBF\xBD") != NULL) /* U+FFFD: what LXD writes for bytes that JSON can't carry */
                        return fail(err, COWHERD_UNAVAILABLE, "folder '%s' of instance '%s' has a name that is not UTF-8", path,
                                    instance);
                strv_add(ret, name);
        }
        return 0;
}

int lxd_file_read(struct lxd_client *client, const char *instance, const char *path, char **ret,
                  struct cowherd_error *err)
{
        struct lxd_request request = {.method = "GET", .is_file = true};
        owned_reply struct lxd_reply reply = {0};
        int rc = file_request(client, instance, path, &request, &reply, err);

        if (rc != 0)
                return rc;
        if (!str_equal(reply.file_type, "file"))
                return 1;
        *ret = take(reply.bytes);
        return 0;
}

int lxd_file_remove(struct lxd_client *client, const char *instance, const char *path, bool *ret_removed,
                    struct cowherd_error *err)
{
        struct lxd_request request = {.method = "DELETE"};
        owned_reply struct lxd_reply reply = {0};
        int rc = file_request(client, instance, path, &request, &reply, err);

        if (rc < 0)
                return -1;
        if (ret_removed != NULL)
                *ret_removed = rc == 0;
        return 0;
}

/* Puts something of a type and mode at a path; what was there, a symlink too, is removed first. */
static int put(struct lxd_client *client, const char *instance, const char *path, const char *type, unsigned mode,
               struct lxd_request *request, struct cowherd_error *err)
{
        owned_str char *lxd_mode = x_asprintf("X-LXD-mode: %04o", mode & 07777u),
                       *incus_mode = x_asprintf("X-Incus-mode: %04o", mode & 07777u),
                       *lxd_type = x_asprintf("X-LXD-type: %s", type), *incus_type = x_asprintf("X-Incus-type: %s", type);
        const char *const headers[] = {lxd_type,   "X-LXD-uid: 0",   "X-LXD-gid: 0",   lxd_mode,
                                       incus_type, "X-Incus-uid: 0", "X-Incus-gid: 0", incus_mode, NULL};
        owned_reply struct lxd_reply reply = {0};

        request->method = "POST";
        request->headers = headers;
        if (!str_equal(type, "directory") && lxd_file_remove(client, instance, path, NULL, err) < 0)
                return -1;
        int rc = file_request(client, instance, path, request, &reply, err);
        return rc <= 0 ? rc
                       : fail(err, COWHERD_NOT_FOUND, "there is no folder for '%s' in instance '%s'", path, instance);
}

int lxd_file_write(struct lxd_client *client, const char *instance, const char *path, const char *text, unsigned mode,
                   struct cowherd_error *err)
{
        struct lxd_request request = {.bytes = text};

        return put(client, instance, path, "file", mode, &request, err);
}

int lxd_file_send(struct lxd_client *client, const char *instance, const char *path, const char *host_path,
                  unsigned mode, void (*sent)(void *context, uint64_t done_bytes, uint64_t total_bytes), void *context,
                  struct cowherd_error *err)
{
        struct lxd_request request = {.file = host_path, .sent = sent, .context = context, .timeout_ms = TRANSFER_MS};

        return put(client, instance, path, "file", mode, &request, err);
}

int lxd_file_make_folder(struct lxd_client *client, const char *instance, const char *path, unsigned mode,
                         struct cowherd_error *err)
{
        struct lxd_request request = {.bytes = ""};

        return put(client, instance, path, "directory", mode, &request, err);
}

int lxd_file_make_link(struct lxd_client *client, const char *instance, const char *path, const char *target,
                       struct cowherd_error *err)
{
        struct lxd_request request = {.bytes = target};

        return put(client, instance, path, "symlink", 0777, &request, err);
}

int lxd_file_stat(struct lxd_client *client, const char *instance, const char *path, const char **ret_type,
                  unsigned *ret_mode, struct cowherd_error *err)
{
        static const char *const types[] = {"file", "directory", "symlink"};
        struct lxd_request request = {.method = "HEAD"};
        owned_reply struct lxd_reply reply = {0};
        int rc = file_request(client, instance, path, &request, &reply, err);

        if (rc != 0)
                return rc;
        for (size_t i = 0; i < array_length(types); i++) {
                if (!str_equal(reply.file_type, types[i]))
                        continue;
                *ret_type = types[i];
                if (ret_mode != NULL)
                        *ret_mode = reply.file_mode;
                return 0;
        }
        return fail(err, COWHERD_UNAVAILABLE, "'%s' in instance '%s' is neither a file, a folder nor a symlink", path,
                    instance);
}

int lxd_file_read_link(struct lxd_client *client, const char *instance, const char *path, char **ret,
                       struct cowherd_error *err)
{
        struct lxd_request request = {.method = "GET", .is_file = true};
        owned_reply struct lxd_reply reply = {0};
        int rc = file_request(client, instance, path, &request, &reply, err);

        if (rc != 0)
                return rc;
        if (!str_equal(reply.file_type, "symlink") || reply.bytes == NULL)
                return 1;
        *ret = take(reply.bytes);
        (*ret)[strcspn(*ret, "\n")] = '\0';
        return 0;
}

int lxd_file_receive(struct lxd_client *client, const char *instance, const char *path,
                     int (*received)(void *context, const char *bytes, size_t length), void *context,
                     struct cowherd_error *err)
{
        struct lxd_request request = {
                .method = "GET", .is_file = true, .received = received, .context = context, .timeout_ms = TRANSFER_MS};
        owned_reply struct lxd_reply reply = {0};
        int rc = file_request(client, instance, path, &request, &reply, err);

        return rc != 0 ? rc : str_equal(reply.file_type, "file") ? 0 : 1;
}

static int empty_folder(struct lxd_client *client, const char *instance, const char *path, unsigned depth,
                        unsigned *entries, struct cowherd_error *err)
{
        owned_strv struct strv names = {0};
        int rc = lxd_file_list(client, instance, path, &names, err);

        if (rc != 0)
                return rc < 0 ? -1 : 0;
        if (depth > DEPTH_MAX || names.count > ENTRIES_MAX - *entries)
                return fail(err, COWHERD_DATA, "folder '%s' of instance '%s' holds more than this version removes",
                            path, instance);
        *entries += (unsigned)names.count;
        for (size_t i = 0; i < names.count; i++) {
                owned_str char *inner = x_asprintf("%s/%s", path, names.items[i]);
                if (empty_folder(client, instance, inner, depth + 1, entries, err) < 0)
                        return -1;
                if (lxd_file_remove(client, instance, inner, NULL, err) < 0)
                        return -1;
        }
        return 0;
}

int lxd_file_empty(struct lxd_client *client, const char *instance, const char *path, struct cowherd_error *err)
{
        unsigned entries = 0;

        return empty_folder(client, instance, path, 0, &entries, err);
}
