/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the readers of disk image headers. An input is: how long the file says it is (8 bytes), the format that it is
 * said to have (1 byte), and its first 64 KiB. Behind a VHDX signature the rest is spread to where VHDX has its tables.
 */
#include "image/disk.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LENGTH_MAX (UINT64_C(3) << 50)
#define CONTENT_MAX 65536u
#define PREFIX_BYTES 9u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds, const char *what)
{
        if (holds)
                return;
        (void)fprintf(stderr, "broken: %s\n", what);
        abort();
}

static void put(int fd, const uint8_t **data, size_t *size, size_t count, off_t offset)
{
        if (count > *size)
                count = *size;
        require(pwrite(fd, *data, count, offset) == (ssize_t)count, "pwrite");
        *data += count;
        *size -= count;
}

/* Puts the content, then gives the file its length, be it longer or shorter. */
static void fill(int fd, const uint8_t *data, size_t size, uint64_t length)
{
        require(ftruncate(fd, 0) == 0, "ftruncate");
        if (size >= 8 && memcmp(data, "vhdxfile", 8) == 0) {
                put(fd, &data, &size, 8, 0);
                put(fd, &data, &size, 512, 192 << 10);
                put(fd, &data, &size, 1024, 2 << 20);
                put(fd, &data, &size, CONTENT_MAX, (2 << 20) + (64 << 10));
        } else {
                put(fd, &data, &size, CONTENT_MAX, 0);
        }
        require(ftruncate(fd, (off_t)(length % LENGTH_MAX)) == 0, "ftruncate");
}

static void check(int fd, const char *asked)
{
        struct disk_info info = {.virtual_bytes = 1};
        struct cowherd_error err = {0};

        if (disk_inspect(fd, "fuzz", asked, &info, &err) < 0) {
                require(err.code == COWHERD_DATA && err.text[0] != '\0', "a refusal is 65 and says why");
                require(info.virtual_bytes == 1, "a refusal leaves the output untouched");
                return;
        }
        require(info.virtual_bytes > 0 && info.virtual_bytes <= UINT64_C(2) << 50, "the size is in bounds");
        require(info.virtual_bytes % 512 == 0, "the size is whole sectors");
        require(asked == NULL || strcmp(asked, disk_format_name(info.format)) == 0, "the format is what was said");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const char *const formats[] = {NULL, "raw", "qcow2", "vmdk", "vdi", "vhdx", NULL, NULL};
        static int fd = -1;
        uint64_t length;

        if (fd < 0)
                fd = memfd_create("fuzz", MFD_CLOEXEC);
        require(fd >= 0, "memfd_create");
        if (size < PREFIX_BYTES)
                return 0;
        memcpy(&length, data, sizeof length);
        fill(fd, data + PREFIX_BYTES, size - PREFIX_BYTES, length);
        check(fd, formats[data[8] % 8]);
        return 0;
}
