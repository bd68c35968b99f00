/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether an image server answers at all. LXD fetches images by itself, but in an operation that can't be cancelled and
 * that waits without end for a server which accepts and is silent. So the server is asked once before; only silence
 * counts. What else may be wrong (names, certificates, proxies) LXD finds out itself and says better. Nothing that
 * comes is used.
 */
#include "lxd_api/image.h"

#include "base/mem.h"
#include "base/str.h"

#include <curl/curl.h>

#define REACH_CONNECT_MS 10000L
#define REACH_MS 15000L

static size_t enough(const char *bytes, size_t size, size_t count, void *context)
{
        (void)bytes;
        (void)size;
        (void)count;
        *(bool *)context = true;
        return 0; /* ends the transfer: it answers */
}

static void curl_release(CURL **curl)
{
        curl_easy_cleanup(*curl);
}

int lxd_image_reach(struct lxd_client *client, const char *server, struct cowherd_error *err)
{
        __attribute__((cleanup(curl_release))) CURL *curl = curl_easy_init();
        owned_str char *url = x_asprintf("%s/streams/v1/index.json", server);
        owned_json json_t *info = NULL;
        bool answers = false;

        if (curl == NULL || lxd_get(client, "/1.0", &info, err) < 0)
                return curl == NULL ? fail(err, COWHERD_SYSTEM, "curl can't be started") : -1;
        const json_t *config = json_object_get(info, "config");
        const char *proxy = lxd_text(config, str_starts(server, "https:") ? "core.proxy_https" : "core.proxy_http");
        if (!str_is_empty(proxy))
                (void)curl_easy_setopt(curl, CURLOPT_PROXY, proxy);
        (void)curl_easy_setopt(curl, CURLOPT_URL, url);
        (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
        (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
        (void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        (void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
        (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, REACH_CONNECT_MS);
        (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, REACH_MS);
        (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, enough);
        (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answers);
        if (curl_easy_perform(curl) != CURLE_OPERATION_TIMEDOUT || answers)
                return 0;
        return fail(err, COWHERD_BUSY, "image server '%s' did not answer within %ld s", server, REACH_MS / 1000);
}
