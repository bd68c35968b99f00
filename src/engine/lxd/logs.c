/* SPDX-License-Identifier: Apache-2.0 */
/* The console, as LXD keeps it since the last start. */
#include "engine/lxd/lxd.h"

#include <string.h>

/* The beginning of the last `lines` lines; a newline at the very end begins none. */
static const char *last_lines(const char *text, size_t length, uint64_t lines)
{
        const char *at = text + length;

        if (at > text && at[-1] == '\n')
                at--;
        while (at > text) {
                if (at[-1] == '\n' && --lines == 0)
                        break;
                at--;
        }
        return at;
}

int lxd_logs(const struct engine_instance *instance, uint64_t lines, char **ret, struct cowherd_error *err)
{
        owned_target struct lxd_target target = {0};
        owned_reply struct lxd_reply reply = {0};

        if (lxd_target_find(instance, &target, err) < 0)
                return -1;
        owned_str char *name = lxd_escape(target.name), *path = x_asprintf("/1.0/instances/%s/console", name);
        const struct lxd_request request = {.method = "GET", .path = path, .is_log = true};
        struct cowherd_error why;
        if (lxd_send(target.client, &request, &reply, &why) < 0) {
                if (why.code == COWHERD_NOT_FOUND || strstr(why.text, "no such file") != NULL)
                        return fail(err, COWHERD_NOT_FOUND, "instance '%s' was never started: it has no console log",
                                    instance->name);
                *err = why;
                return -1;
        }
        const char *text = reply.bytes != NULL ? reply.bytes : "";
        *ret = x_strdup(lines == 0 ? "" : last_lines(text, strlen(text), lines));
        return 0;
}
