/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes what a guest and its host say to each other: the input as a stream of frames, and each frame's payload as the request that its type
 * says. What is understood is written again and must be understood the same.
 */
#include "guest/protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds, const char *what)
{
        if (holds)
                return;
        (void)fprintf(stderr, "broken: %s\n", what);
        abort();
}

static void try_identity(const uint8_t *payload, size_t length)
{
        owned_guest_identity struct guest_identity identity = {0}, again = {0};
        owned_string struct str bytes = {0};
        const char *what = NULL;

        if (!guest_identity_get(payload, length, &identity, &what)) {
                require(what != NULL && identity.hostname == NULL, "a refusal names what, and leaves the output untouched");
                return;
        }
        require(strpbrk(identity.hostname, "/\n ") == NULL && strchr(identity.link, '/') == NULL, "no text is more than it may be");
        guest_identity_put(&bytes, &identity);
        require(bytes.length == length && memcmp(bytes.data, payload, length) == 0, "an identity has one form");
        require(guest_identity_get(bytes.data, bytes.length, &again, &what), "what was written is read");
}

static void try_run(const uint8_t *payload, size_t length)
{
        owned_guest_run struct guest_run run = {0};
        owned_string struct str bytes = {0};
        const char *what = NULL;

        if (!guest_run_get(payload, length, &run, &what)) {
                require(what != NULL && run.argv.count == 0, "a refusal names what, and leaves the output untouched");
                return;
        }
        guest_run_put(&bytes, &run);
        require(bytes.length == length && memcmp(bytes.data, payload, length) == 0, "a command has one form");
}

static void try_mount(const uint8_t *payload, size_t length)
{
        owned_guest_mount struct guest_mount mount = {0};
        const char *what = NULL;

        if (guest_mount_get(payload, length, &mount, &what))
                require(mount.path[0] == '/' && strchr(mount.tag, ',') == NULL, "a mount is one");
}

static void try_frame(const struct guest_frame *frame)
{
        require(frame->length <= GUEST_PAYLOAD_BYTES && frame->channel <= UINT16_MAX, "a frame is in its bounds");
        try_identity(frame->payload, frame->length);
        try_run(frame->payload, frame->length);
        try_mount(frame->payload, frame->length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        owned_decoder struct guest_decoder decoder = {0};
        owned_string struct str bytes = {0};
        const uint8_t *at = data;
        struct guest_frame frame;
        size_t left = size;

        while (guest_decode(&decoder, &at, &left, &frame))
                try_frame(&frame);
        if (size > GUEST_PAYLOAD_BYTES)
                return 0;
        try_identity(data, size);
        try_run(data, size);
        guest_frame_reset(&bytes);
        guest_frame_add(&bytes, GUEST_INPUT, 77, data, size);
        at = (const uint8_t *)bytes.data;
        left = bytes.length;
        bool found = guest_decode(&decoder, &at, &left, &frame);
        if (found && left > 0) /* what came before was whole but for its end */
                found = guest_decode(&decoder, &at, &left, &frame);
        require(found && frame.channel == 77 && frame.length == size && memcmp(frame.payload, data, size) == 0 && left == 0,
                "what is written is read, whatever came before");
        return 0;
}
