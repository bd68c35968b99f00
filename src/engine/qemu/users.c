/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user ids that root's machines run under: one for each, of a range. Where /etc/subuid (subuid(5)) gives the account
 * cowherd-qemu a range, it is that, so that a site whose own accounts lie elsewhere than usual can move it; the package writes it
 * there, which also keeps other tools that read the file away from it. Where nothing is written down, the range is ours by custom.
 * What is written down and can't be right is an error and not ignored: an id that is somebody's would be worse than none.
 *
 * It is read once a process, so that a machine's memory, folders and process agree.
 */
#include "engine/qemu/host.h"

#include "base/mem.h"
#include "base/number.h"
#include "sys/file.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ACCOUNT "cowherd-qemu"
#define FILE_BYTES_MAX (1u << 20)
#define FIRST_MIN 65536u /* below are people and services */
#define COUNT_MIN 65536u /* what subuid(5) has for each; few would be shared by machines */
#define LAST_MAX 0xfffffffdu /* the highest are "nobody" as 16 and "no id" as 32 bits have it */

static pthread_once_t asked = PTHREAD_ONCE_INIT;
static struct qemu_users here = {QEMU_USERS_FIRST, QEMU_USERS_COUNT};
static struct cowherd_error why; /* its code is 0 where all is well */

static int fail_range(const char *path, unsigned number, const char *line, struct cowherd_error *err)
{
        (void)fail(err, COWHERD_CONFIG, "%s:%u: '%.100s' is no range that virtual machines can have for their users", path, number, line);
        return fail_hint(err, "expected '" ACCOUNT ":FIRST:COUNT', FIRST and COUNT at least %u, the last below %u", FIRST_MIN, LAST_MAX + 1);
}

/* "FIRST:COUNT", cut in place. */
static bool parse_range(char *text, struct qemu_users *ret)
{
        char *colon = strchr(text, ':');
        uint64_t first, count;

        if (colon == NULL)
                return false;
        *colon = '\0';
        bool right = number_parse(text, &first) && number_parse(colon + 1, &count) && first >= FIRST_MIN && count >= COUNT_MIN &&
                     first <= LAST_MAX && count <= LAST_MAX - first + 1;
        *colon = ':';
        if (right)
                *ret = (struct qemu_users){(uid_t)first, (uint32_t)count};
        return right;
}

int qemu_users_parse(const char *text, const char *path, struct qemu_users *ret, struct cowherd_error *err)
{
        owned_str char *copy = x_strdup(text);
        unsigned number = 0;
        char *rest = copy;

        for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
                number++;
                if (!str_starts(line, ACCOUNT ":"))
                        continue;
                return parse_range(line + strlen(ACCOUNT ":"), ret) ? 0 : fail_range(path, number, line, err);
        }
        return 0;
}

static void ask(void)
{
        const char *path = "/etc/subuid";
        owned_str char *text = NULL;
        size_t length;

        if (access(path, F_OK) < 0)
                return;
        if (file_read(AT_FDCWD, path, FILE_BYTES_MAX, &text, &length, &why) == 0)
                (void)(qemu_users_parse(text, path, &here, &why) < 0);
}

int qemu_users_check(struct cowherd_error *err)
{
        (void)pthread_once(&asked, ask);
        if (geteuid() != 0 || why.code == 0)
                return 0;
        *err = why;
        return -1;
}

uid_t qemu_users_pick(const struct qemu_users *users, const char *herd_uuid, uint64_t id)
{
        uint64_t shift = herd_uuid == NULL ? 0 : strtoull(herd_uuid, NULL, 16);

        return users->first + (uid_t)((id + shift) % users->count);
}

uid_t qemu_user(const struct engine_instance *instance)
{
        (void)pthread_once(&asked, ask);
        return qemu_users_pick(&here, instance->herd_uuid, instance->id);
}
