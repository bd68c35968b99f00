/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files inside a stopped instance, by LXD's own helper, which enters the instance's root before it opens anything: a
 * symlink planted by an image leads nowhere else. LXD and Incus differ in the names of their headers only, so both are
 * sent.
 */
#include "lxd_api/instance.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

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
                if (name != NULL && strchr(name, '/') == NULL && !str_equal(name, ".."))
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

int lxd_file_write(struct lxd_client *client, const char *instance, const char *path, const char *text, unsigned mode,
                   struct cowherd_error *err)
{
        char lxd_mode[32], incus_mode[32];
        const char *const headers[] = {"X-LXD-type: file", "X-LXD-uid: 0",       "X-LXD-gid: 0",
                                       lxd_mode,           "X-Incus-type: file", "X-Incus-uid: 0",
                                       "X-Incus-gid: 0",   incus_mode,           NULL};
        struct lxd_request request = {.method = "POST", .bytes = text, .headers = headers};
        owned_reply struct lxd_reply reply = {0};

        (void)snprintf(lxd_mode, sizeof lxd_mode, "X-LXD-mode: %04o", mode & 07777u);
        (void)snprintf(incus_mode, sizeof incus_mode, "X-Incus-mode: %04o", mode & 07777u);
        if (lxd_file_remove(client, instance, path, NULL, err) < 0)
                return -1;
        int rc = file_request(client, instance, path, &request, &reply, err);
        return rc <= 0 ? rc
                       : fail(err, COWHERD_NOT_FOUND, "there is no folder for '%s' in instance '%s'", path, instance);
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
