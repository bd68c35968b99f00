/* SPDX-License-Identifier: Apache-2.0 */
/*
 * That /dev/kvm opens proves nothing: on some hosts that are virtual machines themselves it opens, and a guest never
 * gets out of its firmware. So a guest is run: a boot sector that writes to QEMU's exit device, which takes 0.1–0.3 s
 * where KVM works. What is found holds until the next boot, so it is kept with the boot's id; what can't be kept is
 * asked again.
 *
 * On other machines than x86 there is no such boot sector, and the open device is believed.
 */
#include "engine/qemu/accel.h"

#include "base/str.h"
#include "sys/file.h"
#include "sys/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PROBE_LIMIT_MS 2000
#define SECTOR_BYTES 512
#define EXIT_PORT 0xf4
#define EXIT_VALUE 0x10
#define EXIT_STATUS ((EXIT_VALUE << 1) | 1) /* what isa-debug-exit makes of it */
#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"
#define CACHE_FILE "qemu-acceleration"
#define CACHE_BYTES_MAX 256

/* mov dx, 0xf4; mov al, 0x10; out dx, al; hlt */
static const unsigned char boot_code[] = {0xba, EXIT_PORT, 0x00, 0xb0, EXIT_VALUE, 0xee, 0xf4};

/* A disk of that one sector, in memory. Returns its descriptor or -1. */
static int make_boot_disk(void)
{
        unsigned char sector[SECTOR_BYTES] = {[510] = 0x55, [511] = 0xaa};

        memcpy(sector, boot_code, sizeof boot_code);
        owned_fd int disk = memfd_create("cowherd-boot", MFD_CLOEXEC);
        if (disk < 0 || write(disk, sector, sizeof sector) != (ssize_t)sizeof sector)
                return -1;
        return take_fd(disk);
}

static bool guest_runs(const char *program)
{
        owned_process_result struct process_result result = {0};
        struct cowherd_error err;

        owned_fd int disk = make_boot_disk();
        if (disk < 0)
                return false;
        owned_process struct process process = {.timeout_ms = PROBE_LIMIT_MS, .keep = {disk}, .keep_count = 1};
        process_add(&process, program, "-machine", "pc,accel=kvm", "-m", "16", "-nodefaults", "-no-user-config",
                    "-display", "none", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=4", NULL);
        strv_add(&process.argv, "-drive");
        strv_addf(&process.argv, "file=/dev/fd/%d,format=raw,if=ide", disk);
        return process_run(&process, &result, &err) == 0 && result.status == EXIT_STATUS;
}

static const char *probe(const char *program)
{
        owned_fd int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

        if (kvm < 0)
                return "tcg";
        if (!str_ends(program, "x86_64") && !str_ends(program, "i386"))
                return "kvm";
        return guest_runs(program) ? "kvm" : "tcg";
}

char *qemu_runtime_folder(void)
{
        const char *folder = getenv("XDG_RUNTIME_DIR");

        if (geteuid() == 0)
                return x_strdup("/run/cowherd");
        return str_is_empty(folder) || folder[0] != '/' ? NULL : x_asprintf("%s/cowherd", folder);
}

/* "BOOT-ID PROGRAM ", which what is kept begins with; NULL where this boot has no id. To be freed. */
static char *cache_key(const char *program)
{
        owned_str char *boot = NULL;
        struct cowherd_error err;

        if (file_read(AT_FDCWD, BOOT_ID_FILE, CACHE_BYTES_MAX, &boot, NULL, &err) < 0)
                return NULL;
        boot[strcspn(boot, "\n")] = '\0';
        return x_asprintf("%s %s ", boot, program);
}

static const char *read_cache(const char *path, const char *key)
{
        owned_str char *text = NULL;
        struct cowherd_error err;

        if (file_read(AT_FDCWD, path, CACHE_BYTES_MAX, &text, NULL, &err) < 0 || !str_starts(text, key))
                return NULL;
        const char *value = text + strlen(key);
        return str_equal(value, "kvm\n") ? "kvm" : str_equal(value, "tcg\n") ? "tcg" : NULL;
}

const char *qemu_acceleration(const char *program, const char *cache)
{
        owned_str char *key = cache == NULL ? NULL : cache_key(program);
        struct cowherd_error err;

        if (key == NULL)
                return probe(program);
        owned_str char *path = x_asprintf("%s/%s", cache, CACHE_FILE);
        const char *known = read_cache(path, key);
        if (known != NULL)
                return known;
        const char *found = probe(program);
        owned_str char *text = x_asprintf("%s%s\n", key, found);
        if (file_make_folders(AT_FDCWD, cache, 0755, &err) == 0)
                (void)!file_replace(AT_FDCWD, path, text, 0644, false, &err); /* then it is asked again next time */
        return found;
}
