/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames. Consistent overhead byte stuffing: what lies between two NULs is written as its length plus one, then its bytes; 255 says
 * 254 bytes with no NUL after them. It costs a byte in 254, and a reader needs nothing but the next NUL to be in step again. The header's
 * own length then tells a frame that was cut off where a shorter one would be valid.
 */
#include "guest/protocol.h"

#include <string.h>

#define BLOCK_BYTES 254u
#define WIRE_BYTES (GUEST_HEADER_BYTES + GUEST_PAYLOAD_BYTES + (GUEST_HEADER_BYTES + GUEST_PAYLOAD_BYTES) / BLOCK_BYTES + 2)

/* ---- Writing ---- */

/* A block that is not full yet: `code` is where its length goes. */
struct stuffing {
        struct str *out;
        size_t code;
};

static void open_block(struct stuffing *stuffing)
{
        stuffing->code = stuffing->out->length;
        str_add_char(stuffing->out, 1);
}

static size_t block_bytes(const struct stuffing *stuffing)
{
        return stuffing->out->length - stuffing->code - 1;
}

static void close_block(struct stuffing *stuffing)
{
        stuffing->out->data[stuffing->code] = (char)(unsigned char)(block_bytes(stuffing) + 1);
        open_block(stuffing);
}

static void stuff(struct stuffing *stuffing, const uint8_t *bytes, size_t count)
{
        while (count > 0) {
                size_t room = BLOCK_BYTES - block_bytes(stuffing), piece = count < room ? count : room;
                const uint8_t *nul = memchr(bytes, 0, piece);
                if (nul != NULL)
                        piece = (size_t)(nul - bytes);
                str_add_bytes(stuffing->out, bytes, piece);
                bytes += piece;
                count -= piece;
                if (nul != NULL) {
                        close_block(stuffing);
                        bytes++;
                        count--;
                } else if (block_bytes(stuffing) == BLOCK_BYTES) {
                        close_block(stuffing);
                }
        }
}

void guest_frame_reset(struct str *out)
{
        str_add_char(out, '\0');
}

void guest_frame_add(struct str *out, enum guest_type type, unsigned channel, const void *payload, size_t length)
{
        const uint8_t header[GUEST_HEADER_BYTES] = {
                (uint8_t)type,         0,
                (uint8_t)channel,      (uint8_t)(channel >> 8),
                (uint8_t)length,       (uint8_t)(length >> 8),
                (uint8_t)(length >> 16), (uint8_t)(length >> 24),
        };
        struct stuffing stuffing = {.out = out};

        open_block(&stuffing);
        stuff(&stuffing, header, sizeof header);
        stuff(&stuffing, payload, length);
        out->data[stuffing.code] = (char)(unsigned char)(block_bytes(&stuffing) + 1);
        str_add_char(out, '\0');
}

void guest_message_add(struct str *out, enum guest_type type, unsigned channel, const void *payload, size_t length)
{
        const uint8_t *at = payload;

        for (; length > GUEST_PAYLOAD_BYTES; at += GUEST_PAYLOAD_BYTES, length -= GUEST_PAYLOAD_BYTES)
                guest_frame_add(out, GUEST_MORE, channel, at, GUEST_PAYLOAD_BYTES);
        guest_frame_add(out, type, channel, at, length);
}

/* ---- Reading ---- */

void guest_decoder_free(struct guest_decoder *decoder)
{
        free(decoder->bytes);
        *decoder = (struct guest_decoder){0};
}

/* In place, as it only grows shorter. False where a block is longer than what is there. */
static bool unstuff(uint8_t *bytes, size_t count, size_t *ret)
{
        size_t from = 0, to = 0;

        while (from < count) {
                size_t code = bytes[from++], length = code - 1;
                if (length > count - from)
                        return false;
                memmove(bytes + to, bytes + from, length);
                to += length;
                from += length;
                if (code <= BLOCK_BYTES && from < count)
                        bytes[to++] = 0;
        }
        *ret = to;
        return true;
}

static bool take_apart(struct guest_decoder *decoder, struct guest_frame *ret)
{
        const uint8_t *bytes = decoder->bytes;
        size_t length = 0;

        if (!unstuff(decoder->bytes, decoder->length, &length) || length < GUEST_HEADER_BYTES || bytes[1] != 0)
                return false;
        size_t said = bytes[4] | (size_t)bytes[5] << 8 | (size_t)bytes[6] << 16 | (size_t)bytes[7] << 24;
        if (said > GUEST_PAYLOAD_BYTES || said != length - GUEST_HEADER_BYTES)
                return false;
        *ret = (struct guest_frame){.type = bytes[0],
                                    .channel = bytes[2] | (unsigned)bytes[3] << 8,
                                    .payload = bytes + GUEST_HEADER_BYTES,
                                    .length = said};
        return true;
}

static void keep(struct guest_decoder *decoder, const uint8_t *bytes, size_t count)
{
        if (decoder->bytes == NULL)
                decoder->bytes = x_malloc(WIRE_BYTES);
        if (count > WIRE_BYTES - decoder->length) {
                decoder->too_long = true;
                return;
        }
        memcpy(decoder->bytes + decoder->length, bytes, count);
        decoder->length += count;
}

/* What lies between two NULs is whole: true where it is a frame. */
static bool finish(struct guest_decoder *decoder, struct guest_frame *ret)
{
        bool empty = decoder->length == 0 && !decoder->too_long,
             found = !empty && !decoder->too_long && take_apart(decoder, ret);

        if (!empty && !found)
                decoder->dropped++;
        decoder->length = 0;
        decoder->too_long = false;
        return found;
}

bool guest_decode(struct guest_decoder *decoder, const uint8_t **at, size_t *left, struct guest_frame *ret)
{
        while (*left > 0) {
                const uint8_t *nul = memchr(*at, 0, *left);
                size_t piece = nul == NULL ? *left : (size_t)(nul - *at);
                if (piece > 0 && !decoder->too_long)
                        keep(decoder, *at, piece);
                *at += piece;
                *left -= piece;
                if (nul == NULL)
                        return false;
                ++*at;
                --*left;
                if (finish(decoder, ret))
                        return true;
        }
        return false;
}
