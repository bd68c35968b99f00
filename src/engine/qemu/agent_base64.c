/* SPDX-License-Identifier: Apache-2.0 */
/* Base64, strictly: no blanks, padded, nothing behind the padding. */
#include "engine/qemu/agent_base64.h"

#include "base/mem.h"

#include <stdint.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *agent_base64_encode(const void *bytes, size_t count)
{
        const unsigned char *from = bytes;
        char *text = x_malloc((count + 2) / 3 * 4 + 1), *to = text;

        for (size_t i = 0; i < count; i += 3) {
                size_t left = count - i;
                uint32_t group = (uint32_t)from[i] << 16 | (left > 1 ? (uint32_t)from[i + 1] << 8 : 0) |
                                 (left > 2 ? (uint32_t)from[i + 2] : 0);
                *to++ = digits[group >> 18];
                *to++ = digits[group >> 12 & 63];
                *to++ = left > 1 ? digits[group >> 6 & 63] : '=';
                *to++ = left > 2 ? digits[group & 63] : '=';
        }
        *to = '\0';
        return text;
}

static int digit_value(char c)
{
        if (c >= 'A' && c <= 'Z')
                return c - 'A';
        if (c >= 'a' && c <= 'z')
                return c - 'a' + 26;
        if (c >= '0' && c <= '9')
                return c - '0' + 52;
        return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool agent_base64_decode(const char *text, size_t length, char **ret_bytes, size_t *ret_count)
{
        size_t padding = 0, count = 0;

        if (length % 4 != 0)
                return false;
        while (padding < 2 && padding < length && text[length - 1 - padding] == '=')
                padding++;
        owned_mem char *bytes = x_malloc(length / 4 * 3 + 1);
        uint32_t group = 0;
        for (size_t i = 0; i < length; i++) {
                int value = i >= length - padding ? 0 : digit_value(text[i]);
                if (value < 0)
                        return false;
                group = group << 6 | (uint32_t)value;
                if (i % 4 < 3)
                        continue;
                bytes[count++] = (char)(group >> 16);
                bytes[count++] = (char)(group >> 8);
                bytes[count++] = (char)group;
                group = 0;
        }
        count -= padding;
        bytes[count] = '\0';
        *ret_bytes = take(bytes);
        *ret_count = count;
        return true;
}
