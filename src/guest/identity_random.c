/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel draws by lot. A clone begins with the pool and the boot id of what it was made of, which its siblings have too: the pool
 * is given what no other has, and drawn from anew at once. The boot id can't be set; so a file lies over the kernel's, as in a container,
 * and where one lies there already it is written over.
 */
#include "guest/identity.h"
#include "guest/libc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

#define BITS_PER_BYTE 8
#define BOOT_ID_SHOWN "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_FILE "/run/cowherd/boot-id"

/* ---- The pool ---- */

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

/* ---- The boot id ---- */

static int lay_boot_id(const char *text)
{
        int failed = file_put_over(BOOT_ID_FILE, text, strlen(text), 0444, true);

        if (failed != 0)
                return failed;
        (void)umount2(BOOT_ID_SHOWN, MNT_DETACH);
        if (mount(BOOT_ID_FILE, BOOT_ID_SHOWN, NULL, MS_BIND, NULL) < 0 ||
            mount(NULL, BOOT_ID_SHOWN, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
                return errno;
        return 0;
}

int identity_set_boot_id(void)
{
        owned_str char *fresh = file_text("/proc/sys/kernel/random/uuid"); /* another at each reading */
        owned_str char *shown = file_text(BOOT_ID_SHOWN), *laid = file_text(BOOT_ID_FILE);

        if (fresh == NULL || shown == NULL)
                return ENOSYS;
        if (laid != NULL && strcmp(laid, shown) == 0 && file_put_over(BOOT_ID_FILE, fresh, strlen(fresh), 0444, true) == 0) {
                owned_str char *now = file_text(BOOT_ID_SHOWN);
                if (now != NULL && strcmp(now, fresh) == 0)
                        return 0; /* else a file of the same words was there, and lay over nothing */
        }
        return lay_boot_id(fresh);
}

void identity_prepare_boot_id(void)
{
        owned_str char *shown = file_text(BOOT_ID_SHOWN), *laid = file_text(BOOT_ID_FILE);

        if (shown != NULL && (laid == NULL || strcmp(laid, shown) != 0))
                (void)lay_boot_id(shown); /* the same that it has */
}
