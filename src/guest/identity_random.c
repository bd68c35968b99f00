/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Randomness: a clone begins with the pool of what it was made of, as its siblings do, and the kernel draws from that until it gathers more. So
 * the pool is given what no other has, and drawn from anew at once; and what the system keeps of it for its next boot is made anew.
 */
#include "guest/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

#define BITS_PER_BYTE 8

static size_t read_hex(const char *hex, uint8_t *ret, size_t limit)
{
        size_t count = strlen(hex) / 2;

        for (size_t i = 0; i < count && i < limit; i++) {
                const char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
                ret[i] = (uint8_t)strtoul(digits, NULL, 16);
        }
        return count < limit ? count : limit;
}

static int random_add(const char *hex)
{
        union {
                struct rand_pool_info info;
                uint8_t bytes[sizeof(struct rand_pool_info) + GUEST_SEED_BYTES];
        } pool = {0};

        size_t count = read_hex(hex, (uint8_t *)pool.info.buf, GUEST_SEED_BYTES);
        pool.info.entropy_count = (int)count * BITS_PER_BYTE;
        pool.info.buf_size = (int)count;
        owned_fd int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
        if (fd < 0 || ioctl(fd, RNDADDENTROPY, &pool.info) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0)
                return errno;
        return 0;
}

/* Of the next boot: made of what was given and of what the pool gives now. */
void identity_set_random(struct steps *steps, const char *seed)
{
        static const char *const kept[] = {"/var/lib/systemd/random-seed", "/var/lib/urandom/random-seed", "/var/lib/random-seed"};
        uint8_t bytes[GUEST_SEED_BYTES] = {0};

        steps_tell(steps, "random-seed", program.files_only ? 0 : random_add(seed), "the random pool");
        if (getrandom(bytes, sizeof bytes, GRND_NONBLOCK | GRND_INSECURE) < 0)
                (void)read_hex(seed, bytes, sizeof bytes);
        for (size_t i = 0; i < array_length(kept); i++)
                if (file_exists(kept[i]) || (i == 0 && file_exists("/var/lib/systemd")))
                        (void)file_put(kept[i], bytes, sizeof bytes, 0600, false);
}
