/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users of the guest. LXD's exec takes numbers and knows no names, so the guest's own /etc/passwd is read; by LXD's files
 * API, which never leaves the guest's root, and bounded. Groups beyond the first are not given: LXD has no words for them.
 */
#include "engine/lxd/lxd.h"

#include "base/number.h"

#include <string.h>

void lxd_user_free(struct lxd_user *user)
{
        free(user->name);
        free(user->home);
        free(user->shell);
        *user = (struct lxd_user){0};
}

/* Field `index` of a line of passwd, to be freed. */
static char *field(const char *line, size_t length, unsigned index)
{
        const char *at = line, *end = line + length;

        for (; index > 0; index--) {
                at = memchr(at, ':', (size_t)(end - at));
                if (at == NULL)
                        return x_strdup("");
                at++;
        }
        const char *colon = memchr(at, ':', (size_t)(end - at));
        return x_strndup(at, (size_t)((colon != NULL ? colon : end) - at));
}

static bool parse_id(const char *text, uint32_t *ret)
{
        uint64_t number = 0;

        if (!number_parse(text, &number) || number >= INT32_MAX)
                return false;
        *ret = (uint32_t)number;
        return true;
}

int lxd_user_parse(const char *passwd, const char *who, struct lxd_user *ret)
{
        for (const char *line = passwd; *line != '\0';) {
                size_t length = strcspn(line, "\n");
                owned_str char *name = field(line, length, 0), *id = field(line, length, 2), *group = field(line, length, 3);
                struct lxd_user user = {0};
                if ((str_equal(name, who) || str_equal(id, who)) && parse_id(id, &user.user) && parse_id(group, &user.group)) {
                        *ret = user;
                        ret->name = take(name);
                        ret->home = field(line, length, 5);
                        ret->shell = field(line, length, 6);
                        return 0;
                }
                line += length + (line[length] == '\n');
        }
        return 1;
}

int lxd_user_find(const struct lxd_target *target, const char *who, struct lxd_user *ret, struct cowherd_error *err)
{
        owned_str char *passwd = NULL;
        struct lxd_user user = {0};

        if (lxd_file_read(target->client, target->name, "/etc/passwd", &passwd, err) < 0)
                return -1;
        if (passwd != NULL && lxd_user_parse(passwd, who, ret) == 0)
                return 0;
        if (!str_equal(who, "root") && !parse_id(who, &user.user)) /* root is there, whoever wrote it down */
                return fail(err, COWHERD_NOT_FOUND, "user '%s' not found in instance '%s'", who, target->name);
        user.group = user.user;
        *ret = user;
        return 0;
}
