/* SPDX-License-Identifier: Apache-2.0 */
/* Disk images, raw ones by hand and qcow2 ones by QEMU's own tools, so that a store is not judged by its own code. */
#include "subject.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t count)
{
        const unsigned char *at = bytes;

        for (size_t i = 0; i < count; i++)
                hash = (hash ^ at[i]) * 0x100000001b3ull + 0x9e3779b9u;
        return hash;
}

uint64_t file_hash(const char *path)
{
        static char buffer[1 << 20];
        uint64_t hash = 1;

        owned_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                bail("cannot open '%s': %s", path, strerror(errno));
        for (ssize_t count; (count = read(fd, buffer, sizeof buffer)) != 0;) {
                if (count < 0)
                        bail("cannot read '%s': %s", path, strerror(errno));
                hash = hash_bytes(hash, buffer, (size_t)count);
        }
        return hash;
}

void write_noise(int fd, size_t bytes, uint64_t seed)
{
        uint64_t block[512];

        while (bytes > 0) {
                for (size_t i = 0; i < array_length(block); i++) {
                        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
                        block[i] = seed ^ (seed >> 29);
                }
                size_t now = bytes < sizeof block ? bytes : sizeof block;
                if (write(fd, block, now) != (ssize_t)now)
                        bail("cannot write: %s", strerror(errno));
                bytes -= now;
        }
}

static void fill_raw(const char *path)
{
        owned_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        if (fd < 0 || ftruncate(fd, (off_t)DISK_BYTES) < 0 || lseek(fd, 1 << 20, SEEK_SET) < 0)
                bail("cannot make '%s': %s", path, strerror(errno));
        write_noise(fd, SAMPLE_BYTES, 3);
}

void disk_fill(const char *path, const char *format)
{
        owned_str char *raw = x_asprintf("%s.raw", path);

        if (str_equal(format, "raw")) {
                fill_raw(path);
                return;
        }
        fill_raw(raw);
        (void)run_tool(false, "qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", raw, path, NULL);
        if (unlink(raw) < 0)
                bail("cannot remove '%s': %s", raw, strerror(errno));
}

uint64_t disk_hash(const char *path, const char *format)
{
        char raw[] = "/tmp/cowherd-contract.XXXXXX";

        if (str_equal(format, "raw"))
                return file_hash(path);
        owned_fd int fd = mkostemp(raw, O_CLOEXEC);
        if (fd < 0)
                bail("cannot make a temporary file: %s", strerror(errno));
        (void)run_tool(false, "qemu-img", "check", "-q", "-f", "qcow2", path, NULL);
        (void)run_tool(false, "qemu-img", "convert", "-q", "-f", "qcow2", "-O", "raw", path, raw, NULL);
        uint64_t hash = file_hash(raw);
        (void)unlink(raw);
        return hash;
}

void disk_write(const char *path, const char *format)
{
        (void)run_tool(false, "qemu-io", "-f", format, "-c", "write -q -P 0x5a 2M 1M", "-c", "flush", path, NULL);
}
