/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and texts in payloads. A reader that has met its end, or a text that is too long, says so once, at the end. */
#include "guest/protocol.h"

#include <string.h>

static void put(struct str *out, uint64_t number, unsigned bytes)
{
        for (unsigned i = 0; i < bytes; i++)
                str_add_char(out, (char)(unsigned char)(number >> (8 * i)));
}

void guest_put_number(struct str *out, uint32_t number)
{
        put(out, number, 4);
}

void guest_put_long(struct str *out, uint64_t number)
{
        put(out, number, 8);
}

void guest_put_bytes(struct str *out, const void *bytes, size_t length)
{
        guest_put_number(out, (uint32_t)length);
        str_add_bytes(out, bytes, length);
}

void guest_put_text(struct str *out, const char *text)
{
        guest_put_bytes(out, text == NULL ? "" : text, text == NULL ? 0 : strlen(text));
}

const uint8_t *guest_get_raw(struct guest_reader *reader, size_t length)
{
        const uint8_t *at = reader->at;

        if (reader->bad || length > reader->left) {
                reader->bad = true;
                return NULL;
        }
        reader->at += length;
        reader->left -= length;
        return at;
}

static uint64_t get(struct guest_reader *reader, unsigned bytes)
{
        const uint8_t *at = guest_get_raw(reader, bytes);
        uint64_t number = 0;

        for (unsigned i = 0; at != NULL && i < bytes; i++)
                number |= (uint64_t)at[i] << (8 * i);
        return number;
}

uint32_t guest_get_number(struct guest_reader *reader)
{
        return (uint32_t)get(reader, 4);
}

uint64_t guest_get_long(struct guest_reader *reader)
{
        return get(reader, 8);
}

char *guest_get_text(struct guest_reader *reader, size_t limit)
{
        size_t length = guest_get_number(reader);

        if (length > limit)
                reader->bad = true;
        const uint8_t *at = guest_get_raw(reader, length);
        if (at == NULL || memchr(at, 0, length) != NULL) {
                reader->bad = true;
                return x_strdup("");
        }
        return x_strndup((const char *)at, length);
}

bool guest_get_end(const struct guest_reader *reader)
{
        return !reader->bad && reader->left == 0;
}
