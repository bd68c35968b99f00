/* SPDX-License-Identifier: Apache-2.0 */
/* The handshake (RFC 6455, section 4.1): a key, and an answer that proves that the other end speaks the protocol. */
#include "lxd_api/websocket.h"

#include "base/mem.h"
#include "lxd_api/upgrade.h"
#include "sys/clock.h"

#include <nettle/base64.h>
#include <nettle/sha1.h>
#include <string.h>
#include <strings.h>

#define KEY_BYTES 16u
#define BASE64_BYTES(bytes) (BASE64_ENCODE_RAW_LENGTH(bytes) + 1)

/* What the server has to answer to a key. */
static void expected_answer(const char *key, char *ret)
{
        static const char salt[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
        unsigned char digest[SHA1_DIGEST_SIZE];
        struct sha1_ctx sum;

        sha1_init(&sum);
        sha1_update(&sum, strlen(key), (const unsigned char *)key);
        sha1_update(&sum, sizeof salt - 1, (const unsigned char *)salt);
        sha1_digest(&sum, sizeof digest, digest);
        base64_encode_raw(ret, sizeof digest, digest);
        ret[BASE64_ENCODE_RAW_LENGTH(sizeof digest)] = '\0';
}

/* Whether a header of this name has this value. */
static bool has_header(const char *head, const char *name, const char *value)
{
        for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n")) {
                const char *at = line + 2;
                if (strncasecmp(at, name, strlen(name)) != 0 || at[strlen(name)] != ':')
                        continue;
                at += strlen(name) + 1;
                at += strspn(at, " \t");
                return strncmp(at, value, strlen(value)) == 0 && strchr(" \t\r", at[strlen(value)]) != NULL;
        }
        return false;
}

int websocket_open(const char *socket, const char *path, uint64_t timeout_ms, struct websocket **ret,
                   struct cowherd_error *err)
{
        unsigned char random[KEY_BYTES];
        char key[BASE64_BYTES(KEY_BYTES)], expected[BASE64_BYTES(SHA1_DIGEST_SIZE)];
        owned_string struct str head = {0};
        owned_fd int fd = -1;

        random_bytes(random, sizeof random);
        base64_encode_raw(key, sizeof random, random);
        key[sizeof key - 1] = '\0';
        expected_answer(key, expected);
        owned_str char *headers = x_asprintf("Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n", key);
        if (lxd_upgrade(socket, path, "websocket", headers, timeout_ms, &fd, &head, err) < 0)
                return -1;
        if (!has_header(str_text(&head), "Sec-WebSocket-Accept", expected))
                return fail(err, COWHERD_SYSTEM, "LXD's answer to the request for a websocket does not fit its key");
        websocket_adopt(take_fd(fd), ret);
        return 0;
}
