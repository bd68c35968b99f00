/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/nspawn/user.h"

#include "base/mem.h"
#include "base/number.h"
#include "base/str.h"
#include "sys/file.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES (1u << 20)
#define ID_MAX 4294967294u

void guest_user_free(struct guest_user *user)
{
        free(user->name);
        free(user->home);
        free(user->shell);
        *user = (struct guest_user){0};
}

/* A file of the tree, "" where there is none. */
static int read_file(int root, const char *path, char **ret, struct cowherd_error *err)
{
        struct cowherd_error why = {0};
        owned_fd int fd = -1;
        owned_str char *text = x_malloc(FILE_BYTES + 1);
        size_t length = 0;

        if (file_open_in_root(root, path, O_RDONLY, 0, &fd, &why) == 0)
                for (ssize_t got = 1; got > 0 && length<FILE_BYTES; length += got> 0 ? (size_t)got : 0) {
                        got = read(fd, text + length, FILE_BYTES - length);
                        if (got < 0)
                                return fail_errno(err, "cannot read '/%s' in the guest", path);
                }
        text[length] = '\0';
        *ret = take(text);
        return 0;
}

/* Cuts a line into its fields at the colons, in place. How many there are, at most `count`. */
static size_t cut_fields(char *line, char **fields, size_t count)
{
        size_t found = 0;

        while (found < count && line != NULL)
                fields[found++] = strsep(&line, ":");
        return found;
}

static bool parse_id(const char *text, uint32_t *ret)
{
        uint64_t number;

        if (!number_parse(text, &number) || number > ID_MAX)
                return false;
        *ret = (uint32_t)number;
        return true;
}

enum { PASSWD_NAME, PASSWD_UID = 2, PASSWD_GID, PASSWD_HOME = 5, PASSWD_SHELL, PASSWD_FIELDS };

/* The line of a name or number. */
static bool find_line(char *passwd, const char *name, struct guest_user *user)
{
        char *fields[PASSWD_FIELDS];
        uint32_t number = 0, wanted = 0;
        bool by_number = parse_id(name, &wanted);

        for (char *line = strsep(&passwd, "\n"); line != NULL; line = strsep(&passwd, "\n")) {
                if (cut_fields(line, fields, PASSWD_FIELDS) < PASSWD_FIELDS || !parse_id(fields[PASSWD_UID], &number) ||
                    !(str_equal(fields[PASSWD_NAME], name) || (by_number && number == wanted)) ||
                    !parse_id(fields[PASSWD_GID], &user->gid))
                        continue;
                user->uid = number;
                x_replace(&user->name, fields[PASSWD_NAME]);
                x_replace(&user->home, fields[PASSWD_HOME][0] == '/' ? fields[PASSWD_HOME] : "/");
                x_replace(&user->shell, fields[PASSWD_SHELL][0] == '/' ? fields[PASSWD_SHELL] : "/bin/sh");
                return true;
        }
        return false;
}

enum { GROUP_GID = 2, GROUP_MEMBERS, GROUP_FIELDS };

static void add_groups(char *group, struct guest_user *user)
{
        char *fields[GROUP_FIELDS];

        user->groups[user->group_count++] = user->gid;
        for (char *line = strsep(&group, "\n"); line != NULL && user->group_count < USER_GROUPS_MAX;
             line = strsep(&group, "\n")) {
                uint32_t gid;
                if (cut_fields(line, fields, GROUP_FIELDS) < GROUP_FIELDS || !parse_id(fields[GROUP_GID], &gid))
                        continue;
                char *members = fields[GROUP_MEMBERS];
                for (char *member = strsep(&members, ","); member != NULL; member = strsep(&members, ","))
                        if (str_equal(member, user->name) && gid != user->gid && user->group_count < USER_GROUPS_MAX)
                                user->groups[user->group_count++] = gid;
        }
}

int guest_user_find(int root, const char *user, struct guest_user *ret, struct cowherd_error *err)
{
        owned_str char *passwd = NULL, *group = NULL;
        struct guest_user found = {0};
        const char *name = user == NULL ? "root" : user;

        if (read_file(root, "etc/passwd", &passwd, err) < 0 || read_file(root, "etc/group", &group, err) < 0)
                return -1;
        if (!find_line(passwd, name, &found)) {
                bool by_number = parse_id(name, &found.uid);
                if (!by_number && !str_equal(name, "root"))
                        return fail(err, COWHERD_NOT_FOUND, "user '%s' not found in the guest", name);
                found.gid = by_number ? found.uid : 0;
                x_replace(&found.name, name);
                x_replace(&found.home, by_number ? "/" : "/root");
                x_replace(&found.shell, "/bin/sh");
        }
        add_groups(group, &found);
        *ret = found;
        return 0;
}
