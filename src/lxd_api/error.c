/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What LXD's refusals mean. An operation that fails has status 400 whatever the reason, and many requests 500; so the
 * words decide where the status does not. The phrases are those of LXD 5.0 and Incus 6 and of Go's own libraries.
 */
#include "lxd_api/client.h"

#include "base/mem.h"
#include "base/str.h"

#include <string.h>

static const struct {
        const char *phrase;
        enum cowherd_code code;
} phrases[] = {
        {"no space left", COWHERD_IO},
        {"disk quota exceeded", COWHERD_IO},
        {"input/output error", COWHERD_IO},
        {"no such host", COWHERD_UNAVAILABLE},
        {"connection refused", COWHERD_UNAVAILABLE},
        {"unable to connect", COWHERD_UNAVAILABLE},
        {"network is unreachable", COWHERD_UNAVAILABLE},
        {"no route to host", COWHERD_UNAVAILABLE},
        {"i/o timeout", COWHERD_UNAVAILABLE},
        {"client.timeout", COWHERD_UNAVAILABLE},
        {"x509:", COWHERD_UNAVAILABLE},
        {"tls:", COWHERD_UNAVAILABLE},
        {"server misbehaving", COWHERD_UNAVAILABLE},
        {"failed parsing stream", COWHERD_UNAVAILABLE},
        {"unsupported compression", COWHERD_DATA},
        {"metadata.yaml", COWHERD_DATA},
        {"image metadata", COWHERD_DATA},
        {"invalid image", COWHERD_DATA},
        {"unpack failed", COWHERD_DATA},
        {"is busy", COWHERD_BUSY},
        {"currently in use", COWHERD_BUSY},
        {"is running", COWHERD_BUSY},
        {"resource temporarily unavailable", COWHERD_BUSY},
        {"already exists", COWHERD_EXISTS},
        {"already in use", COWHERD_EXISTS},
        {"already taken", COWHERD_EXISTS},
        {"not authorized", COWHERD_DENIED},
        {"permission denied", COWHERD_DENIED},
        {"is protected", COWHERD_DENIED},
        {"not found", COWHERD_NOT_FOUND},
        {"couldn't be found", COWHERD_NOT_FOUND},
        {"couldn't find", COWHERD_NOT_FOUND},
        {"doesn't exist", COWHERD_NOT_FOUND},
};

enum cowherd_code lxd_error_code(long status, const char *text)
{
        if (status == 404)
                return COWHERD_NOT_FOUND;
        if (status == 401 || status == 403)
                return COWHERD_DENIED;
        if (status == 409 || status == 412)
                return COWHERD_EXISTS;
        if (status == 423 || status == 429 || status == 503)
                return COWHERD_BUSY;
        for (size_t i = 0; i < array_length(phrases); i++)
                if (strcasestr(text, phrases[i].phrase) != NULL)
                        return phrases[i].code;
        return COWHERD_SYSTEM;
}

char *lxd_escape(const char *text)
{
        static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
        struct str escaped = {0};

        for (const char *at = text; *at != '\0'; at++) {
                if (strchr(plain, *at) != NULL)
                        str_add_char(&escaped, *at);
                else
                        str_addf(&escaped, "%%%02X", (unsigned)(unsigned char)*at);
        }
        return str_take(&escaped);
}

const char *lxd_text(const json_t *object, const char *key)
{
        return json_string_value(json_object_get(object, key));
}
