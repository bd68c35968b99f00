/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether an image server answers at all. LXD fetches images by itself, but in an operation that can't be cancelled and
 * that waits without end for a server which accepts and is silent. So the server is asked once before; only silence
 * counts. What else may be wrong (names, certificates, proxies) LXD finds out itself and says better. Nothing that
 * comes is used. libcurl does the asking, from a module.
 */
#include "lxd_api/image.h"

#include "base/mem.h"
#include "base/str.h"
#include "lxd_api/reach_module.h"
#include "sys/module.h"

#define REACH_CONNECT_MS 10000L
#define REACH_MS 15000L

int lxd_image_reach(struct lxd_client *client, const char *server, struct cowherd_error *err)
{
        owned_str char *url = x_asprintf("%s/streams/v1/index.json", server);
        owned_json json_t *info = NULL;
        void *is_silent = NULL;

        if (lxd_get(client, "/1.0", &info, err) < 0 ||
            module_symbol("curl", "cowherd_server_is_silent", &is_silent, err) < 0)
                return -1;
        const json_t *config = json_object_get(info, "config");
        const char *proxy = lxd_text(config, str_starts(server, "https:") ? "core.proxy_https" : "core.proxy_http");
        int got = ((server_is_silent_fn *)is_silent)(url, str_is_empty(proxy) ? NULL : proxy, REACH_CONNECT_MS, REACH_MS);
        if (got < 0)
                return fail(err, COWHERD_SYSTEM, "curl can't be started");
        return got == 0 ? 0 : fail(err, COWHERD_BUSY, "image server '%s' did not answer within %ld s", server, REACH_MS / 1000);
}
