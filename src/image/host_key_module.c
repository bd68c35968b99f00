/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The module cowherd-key, see image/host_key_module.h.
 *
 * The private file: "openssh-key-v1" NUL, cipher "none", kdf "none" with empty options, one key: its public blob, then
 * the private part: a number twice (so that a wrong password would show), type, public key, private and public key, the
 * comment, and 1, 2, 3 … to a multiple of 8. All texts have their length before them, 4 bytes big-endian. Base64
 * between two lines.
 */
#include "image/host_key_module.h"

#include "base/mem.h"
#include "base/str.h"
#include "sys/clock.h"

#include <nettle/base64.h>
#include <nettle/eddsa.h>
#include <stdint.h>
#include <string.h>

#define TYPE "ssh-ed25519"
#define MAGIC "openssh-key-v1"
#define LINE 70u
#define BLOCK 8u

static void add_number(struct str *to, uint32_t number)
{
        const unsigned char bytes[] = {(unsigned char)(number >> 24), (unsigned char)(number >> 16),
                                       (unsigned char)(number >> 8), (unsigned char)number};

        str_add_bytes(to, bytes, sizeof bytes);
}

static void add_bytes(struct str *to, const void *bytes, size_t count)
{
        add_number(to, (uint32_t)count);
        str_add_bytes(to, bytes, count);
}

static void add_text(struct str *to, const char *text)
{
        add_bytes(to, text, strlen(text));
}

static void add_blob(struct str *to, const uint8_t *public_key)
{
        add_text(to, TYPE);
        add_bytes(to, public_key, ED25519_KEY_SIZE);
}

/* In lines of LINE characters, or in one where line is 0. */
static void add_base64(struct str *to, const struct str *bytes, size_t line)
{
        size_t length = BASE64_ENCODE_RAW_LENGTH(bytes->length);
        owned_str char *text = x_malloc(length + 1);

        base64_encode_raw(text, bytes->length, (const uint8_t *)bytes->data);
        for (size_t at = 0; at < length; at += line == 0 ? length : line) {
                size_t count = line == 0 || length - at < line ? length - at : line;
                str_add_bytes(to, text + at, count);
                if (line != 0)
                        str_add_char(to, '\n');
        }
}

static void add_private_part(struct str *to, const uint8_t *private_key, const uint8_t *public_key, const char *comment)
{
        owned_string struct str part = {0};
        uint8_t both[2 * ED25519_KEY_SIZE];
        uint32_t check;

        random_bytes(&check, sizeof check);
        add_number(&part, check);
        add_number(&part, check);
        add_blob(&part, public_key);
        memcpy(both, private_key, ED25519_KEY_SIZE);
        memcpy(both + ED25519_KEY_SIZE, public_key, ED25519_KEY_SIZE);
        add_bytes(&part, both, sizeof both);
        add_text(&part, comment);
        for (char padding = 1; part.length % BLOCK != 0; padding++)
                str_add_char(&part, padding);
        add_bytes(to, part.data, part.length);
        explicit_bzero(both, sizeof both);
        explicit_bzero(part.data, part.length);
}

extern host_key_make_fn cowherd_host_key_make;
__attribute__((visibility("default"))) void cowherd_host_key_make(const char *comment, char **ret_private,
                                                                  char **ret_public)
{
        owned_string struct str blob = {0}, file = {0}, private_text = {0}, public_text = {0};
        uint8_t private_key[ED25519_KEY_SIZE], public_key[ED25519_KEY_SIZE];

        random_bytes(private_key, sizeof private_key);
        ed25519_sha512_public_key(public_key, private_key);
        add_blob(&blob, public_key);

        str_add_bytes(&file, MAGIC, sizeof MAGIC); /* its NUL is part of it */
        add_text(&file, "none");
        add_text(&file, "none");
        add_text(&file, "");
        add_number(&file, 1);
        add_bytes(&file, blob.data, blob.length);
        add_private_part(&file, private_key, public_key, comment);

        str_add(&private_text, "-----BEGIN OPENSSH PRIVATE KEY-----\n");
        add_base64(&private_text, &file, LINE);
        str_add(&private_text, "-----END OPENSSH PRIVATE KEY-----\n");
        str_add(&public_text, TYPE " ");
        add_base64(&public_text, &blob, 0);
        str_addf(&public_text, " %s\n", comment);
        explicit_bzero(private_key, sizeof private_key);
        explicit_bzero(file.data, file.length);
        *ret_private = str_take(&private_text);
        *ret_public = str_take(&public_text);
}
