/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that are no text, as text: for answers, which are UTF-8. */
#include "base/base64.h"

#include "base/mem.h"

char *base64_encode(const void *bytes, size_t count)
{
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        const unsigned char *from = bytes;
        char *text = x_malloc((count + 2) / 3 * 4 + 1), *to = text;

        for (size_t i = 0; i < count; i += 3) {
                unsigned second = i + 1 < count ? from[i + 1] : 0, third = i + 2 < count ? from[i + 2] : 0;
                *to++ = digits[from[i] >> 2];
                *to++ = digits[(from[i] & 3u) << 4 | second >> 4];
                *to++ = i + 1 < count ? digits[(second & 15) << 2 | third >> 6] : '=';
                *to++ = i + 2 < count ? digits[third & 63] : '=';
        }
        *to = '\0';
        return text;
}
