/* SPDX-License-Identifier: Apache-2.0 */
/* The module cowherd-curl: an image server is asked by libcurl, since it may want TLS and stand behind a proxy. */
#include "lxd_api/reach_module.h"

#include <curl/curl.h>
#include <stdbool.h>

static size_t enough(const char *bytes, size_t size, size_t count, void *context)
{
        (void)bytes;
        (void)size;
        (void)count;
        *(bool *)context = true;
        return 0; /* ends the transfer: it answers */
}

extern server_is_silent_fn cowherd_server_is_silent;
__attribute__((visibility("default"))) int cowherd_server_is_silent(const char *url, const char *proxy, long connect_ms,
                                                                    long ms)
{
        bool answers = false;
        CURL *curl = curl_easy_init();

        if (curl == NULL)
                return -1;
        if (proxy != NULL)
                (void)curl_easy_setopt(curl, CURLOPT_PROXY, proxy);
        (void)curl_easy_setopt(curl, CURLOPT_URL, url);
        (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
        (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
        (void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        (void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
        (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
        (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, ms);
        (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, enough);
        (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answers);
        CURLcode code = curl_easy_perform(curl);
        curl_easy_cleanup(curl);
        return code == CURLE_OPERATION_TIMEDOUT && !answers;
}
