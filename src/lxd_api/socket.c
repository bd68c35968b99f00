/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding the daemon's socket, and telling why it can't be used. curl says no more than "couldn't connect", so after a
 * failure one connect(2) of our own asks the kernel for the reason.
 */
#include "lxd_api/socket.h"

#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <grp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const char *const well_known[] = {
        "/var/lib/lxd/unix.socket",
        "/var/snap/lxd/common/lxd/unix.socket",
        "/var/lib/incus/unix.socket",
};

static const char *environment(const char *name)
{
        const char *value = getenv(name);

        return str_is_empty(value) ? NULL : value;
}

char *lxd_socket_wish(void)
{
        static const char *const files[] = {"LXD_SOCKET", "INCUS_SOCKET"};
        static const char *const folders[] = {"LXD_DIR", "INCUS_DIR"};

        for (size_t i = 0; i < array_length(files); i++)
                if (environment(files[i]) != NULL)
                        return x_strdup(environment(files[i]));
        for (size_t i = 0; i < array_length(folders); i++)
                if (environment(folders[i]) != NULL)
                        return x_asprintf("%s/unix.socket", environment(folders[i]));
        return x_strdup("");
}

int lxd_socket_find(char **ret, struct cowherd_error *err)
{
        owned_str char *wish = lxd_socket_wish();
        struct stat info;

        if (wish[0] != '\0') {
                *ret = take(wish);
                return 0;
        }
        for (size_t i = 0; i < array_length(well_known); i++) {
                if (stat(well_known[i], &info) == 0 || errno == EACCES) {
                        *ret = x_strdup(well_known[i]);
                        return 0;
                }
        }
        (void)fail(err, COWHERD_UNAVAILABLE, "no LXD and no Incus found: there is no '%s'", well_known[0]);
        return fail_hint(err, "apt install lxd; or set LXD_DIR to the folder of a daemon of your own");
}

static int explain_permission(const char *path, struct cowherd_error *err)
{
        struct stat info;
        const struct group *group = stat(path, &info) == 0 ? getgrgid(info.st_gid) : NULL;

        (void)fail(err, COWHERD_DENIED, "this user may not use LXD's socket '%s'", path);
        if (group == NULL || info.st_gid == 0)
                return fail_hint(err, "run this as root");
        return fail_hint(err, "join its group: usermod -aG %s USER, and log in again", group->gr_name);
}

int lxd_socket_explain(const char *path, struct cowherd_error *err)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        size_t length = strlen(path);

        if (length >= sizeof address.sun_path)
                return fail(err, COWHERD_CONFIG,
                            "the path of LXD's socket, '%s', is longer than the %zu bytes that a socket's may have",
                            path, sizeof address.sun_path - 1);
        memcpy(address.sun_path, path, length);
        owned_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return fail_errno(err, "cannot make a socket");
        if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
                return fail(err, COWHERD_BUSY, "LXD on '%s' broke off the connection", path);
        if (errno == EACCES || errno == EPERM)
                return explain_permission(path, err);
        if (errno == ENOENT || errno == ENOTDIR)
                (void)fail(err, COWHERD_UNAVAILABLE, "LXD does not run: there is no socket '%s'", path);
        else
                (void)fail(err, COWHERD_UNAVAILABLE, "LXD does not run: nobody listens on '%s': %s", path,
                           strerror(errno));
        return fail_hint(err, "systemctl start lxd (snap start lxd; systemctl start incus)");
}
