/* SPDX-License-Identifier: Apache-2.0 */
/* Users, as their files tell: a static program has no name service. */
#include "guest/program.h"

#include <string.h>

#define GROUPS 64

void user_free(struct user *user)
{
        free(user->name);
        free(user->home);
        free(user->shell);
        free(user->groups);
        *user = (struct user){0};
}

/* The fields of a line, in place: up to `count`, the rest "". */
static void split(char *line, char **fields, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                char *end = line + strcspn(line, ":");
                fields[i] = line;
                line = *end == '\0' ? end : end + 1;
                *end = '\0';
        }
}

static bool read_id(const char *text, uint32_t *ret)
{
        char *end = NULL;

        if (*text < '0' || *text > '9')
                return false;
        unsigned long number = strtoul(text, &end, 10);
        if (*end != '\0' || number >= UINT32_MAX)
                return false;
        *ret = (uint32_t)number;
        return true;
}

static bool is_among(const char *members, const char *name)
{
        size_t length = strlen(name);

        for (const char *at = members; *at != '\0'; at += strcspn(at, ","), at += *at == ',')
                if (strcspn(at, ",") == length && strncmp(at, name, length) == 0)
                        return true;
        return false;
}

static void find_groups(struct user *user)
{
        owned_str char *text = file_text("/etc/group");
        char *rest = text, *line;

        user->groups = x_calloc(GROUPS, sizeof *user->groups);
        user->groups[user->group_count++] = user->gid;
        while (rest != NULL && (line = strsep(&rest, "\n")) != NULL && user->group_count < GROUPS) {
                char *fields[4];
                uint32_t id;
                split(line, fields, 4);
                if (read_id(fields[2], &id) && id != user->gid && is_among(fields[3], user->name))
                        user->groups[user->group_count++] = id;
        }
}

static void fill(struct user *user, const char *name, const char *home, const char *shell)
{
        user->name = x_strdup(name);
        user->home = x_strdup(home[0] == '\0' ? "/" : home);
        user->shell = x_strdup(shell[0] == '\0' ? "/bin/sh" : shell);
        find_groups(user);
}

bool user_find(const char *name, struct user *ret)
{
        owned_str char *text = file_text("/etc/passwd");
        char *rest = text, *line;
        struct user user = {0};
        uint32_t number;

        while (rest != NULL && (line = strsep(&rest, "\n")) != NULL) {
                char *fields[7];
                split(line, fields, 7);
                if (fields[0][0] == '\0' || (strcmp(fields[0], name) != 0 && strcmp(fields[2], name) != 0) ||
                    !read_id(fields[2], &user.uid) || !read_id(fields[3], &user.gid))
                        continue;
                fill(&user, fields[0], fields[5], fields[6]);
                *ret = user;
                return true;
        }
        if (!read_id(name, &number))
                return false;
        user.uid = user.gid = number;
        fill(&user, name, number == 0 ? "/root" : "/", "/bin/sh");
        *ret = user;
        return true;
}
