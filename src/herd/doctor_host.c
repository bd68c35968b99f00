/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor: this host. The root folder with its room and what can be shared in it; who we are and what that allows; /dev/kvm; what
 * the kernel has; and whether the programs and modules that were installed with this one are where it looks for them.
 */
#include "herd/doctor.h"

#include "base/number.h"
#include "sys/file.h"
#include "sys/module.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#define LEAST_BYTES (64ull << 20) /* less than this is soon none */
#define FEW_BYTES (1ull << 30)

/* The folder itself, or the nearest one above that is there. */
static int open_nearest(const char *path)
{
        owned_str char *at = x_strdup(path);
        int fd;

        while ((fd = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 && errno == ENOENT && strrchr(at, '/') > at)
                *strrchr(at, '/') = '\0';
        return fd >= 0 || errno != ENOENT ? fd : open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void check_root(struct findings *findings)
{
        const char *root = findings->call->herd->root;
        owned_fd int fd = open_nearest(root);
        bool exists = access(root, F_OK) == 0;
        struct statvfs room;
        char free_text[NUMBER_TEXT_BYTES];

        if (fd < 0 || fstatvfs(fd, &room) < 0) {
                owned_str char *detail = x_asprintf("'%s' can't be looked at: %s", root, strerror(errno));
                doctor_add(findings, "root folder", LEVEL_PROBLEM, detail, "say --root DIR, or set COWHERD_ROOT");
                return;
        }
        uint64_t free_bytes = (uint64_t)room.f_bavail * room.f_frsize;
        owned_str char *detail = x_asprintf("%s%s on %s, %s free", root, exists ? "" : " (not made yet)", file_system_name(fd),
                                            number_format_size(free_bytes, free_text));
        if (faccessat(fd, ".", W_OK, AT_EACCESS) < 0)
                doctor_add(findings, "root folder", LEVEL_PROBLEM, "it can't be written by this user", "say --root DIR, set COWHERD_ROOT, or be root");
        else if (free_bytes < LEAST_BYTES)
                doctor_add(findings, "root folder", LEVEL_PROBLEM, detail, "make room, or say --root DIR for a folder on another file system");
        else
                doctor_add(findings, "root folder", free_bytes < FEW_BYTES ? LEVEL_NOTE : LEVEL_OK, detail, "room is running out");
}

/* The stores that work in the root folder for this kind, apart by blanks. */
static char *usable_stores(struct cowherd_herd *herd, enum store_kind kind)
{
        struct str usable = {0};

        for (size_t i = 0; i < store_count(); i++) {
                struct choice choice owned_by(choice_free) = {.place.fd = -1};
                struct cowherd_error ignored;
                const char *name = store_name_at(i);
                if (!str_equal(name, "lxd_pool") && choice_probe(herd, name, kind, false, &choice, &ignored) == 0 && choice.probe.usable && !choice.driver->on_request)
                        str_addf(&usable, "%s%s", usable.length > 0 ? " " : "", name);
        }
        return str_take(&usable);
}

static void check_sharing(struct findings *findings)
{
        owned_str char *disks = usable_stores(findings->call->herd, STORE_DISK), *trees = usable_stores(findings->call->herd, STORE_TREE);
        owned_str char *detail = x_asprintf("disks by %s; trees by %s", disks[0] == '\0' ? "nothing" : disks, trees[0] == '\0' ? "nothing" : trees);
        bool shares = disks[0] != '\0' && (trees[0] != '\0' || geteuid() != 0);

        if (findings->asked == COWHERD_LXD)
                return;
        doctor_add(findings, "copy on write in the root folder", shares ? LEVEL_OK : LEVEL_PROBLEM, detail,
                   disks[0] == '\0' ? "say --root DIR, or set COWHERD_ROOT: qcow2 works wherever the root folder can be written to"
                                    : "cowherd nspawn setup store=btrfs size=20G makes a pool that shares");
}

static void check_rights(struct findings *findings)
{
        bool root = geteuid() == 0;

        doctor_add(findings, "rights", root ? LEVEL_OK : LEVEL_NOTE, root ? "root" : "an ordinary user: QEMU works, nspawn needs root, LXD its group",
                   "be root for nspawn; usermod -aG lxd USER for LXD");
}

/* What QEMU itself found counts: a /dev/kvm may be there and do nothing. */
static void check_kvm(struct findings *findings)
{
        const struct engine_driver *qemu = NULL;
        struct engine_probe probe = {0};
        struct cowherd_error ignored;

        if (!doctor_wants(findings, COWHERD_QEMU) || engine_find(COWHERD_QEMU, &qemu, &ignored) < 0 || qemu->probe(&probe, &ignored) < 0 || !probe.available)
                return;
        owned_fd int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
        int why = errno;
        owned_str char *detail = x_asprintf("/dev/kvm can't be opened: %s", strerror(why));
        if (str_equal(probe.acceleration, "kvm"))
                doctor_add(findings, "acceleration", LEVEL_OK, "kvm", NULL);
        else if (fd < 0 && why == EACCES)
                doctor_add(findings, "acceleration", LEVEL_PROBLEM, detail, "usermod -aG kvm USER, and log in again");
        else
                doctor_add(findings, "acceleration", LEVEL_NOTE,
                           fd >= 0 ? "QEMU can't use /dev/kvm: virtual machines are emulated" : why == ENOENT ? "there is no /dev/kvm: virtual machines are emulated" : detail,
                           "turn virtualization on in the firmware, or nested virtualization on the host of this machine; modprobe kvm_intel or kvm_amd");
}

static bool has_filesystem(const char *name)
{
        FILE *list = fopen("/proc/filesystems", "re");
        char line[128];
        bool found = false;

        while (list != NULL && fgets(line, sizeof line, list) != NULL) {
                line[strcspn(line, "\n")] = '\0';
                const char *tab = strrchr(line, '\t');
                found = found || str_equal(tab == NULL ? line : tab + 1, name);
        }
        if (list != NULL)
                (void)fclose(list);
        return found;
}

static void check_kernel(struct findings *findings)
{
        const struct {
                const char *what;
                bool there;
                const char *advice;
        } features[] = {
                {"overlay", has_filesystem("overlay"), "modprobe overlay"},
                {"user namespaces", access("/proc/self/ns/user", F_OK) == 0, "a kernel with CONFIG_USER_NS"},
                {"cgroup v2", access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0 || access("/sys/fs/cgroup/unified/cgroup.controllers", F_OK) == 0,
                 "boot with systemd.unified_cgroup_hierarchy=1"},
                {"loop devices", access("/dev/loop-control", F_OK) == 0, "modprobe loop"},
                {"tun devices", access("/dev/net/tun", F_OK) == 0, "modprobe tun"},
        };
        owned_string struct str there = {0}, lacking = {0}, advice = {0};
        struct utsname name = {0};

        (void)uname(&name);
        for (size_t i = 0; i < array_length(features); i++) {
                struct str *to = features[i].there ? &there : &lacking;
                str_addf(to, "%s%s", to->length > 0 ? ", " : "", features[i].what);
                if (!features[i].there)
                        str_addf(&advice, "%s%s", advice.length > 0 ? "; " : "", features[i].advice);
        }
        owned_str char *detail = x_asprintf("%s has %s%s%s", name.release, str_text(&there), lacking.length > 0 ? "; it lacks " : "", str_text(&lacking));
        doctor_add(findings, "kernel", lacking.length == 0 ? LEVEL_OK : LEVEL_NOTE, detail, str_text(&advice));
}

/* Modules and programs of ours that are started or opened by name. */
static void check_installation(struct findings *findings)
{
        static const char *const helpers[] = {"keeper", "warm", "lxd.so", "curl.so", "archive.so", "mount.so", "btrfs.so", "key.so"};
        owned_str char *guest = module_program("cowherd-guest");
        owned_string struct str bad = {0};
        struct cowherd_error why = {0};

        for (size_t i = 0; i < array_length(helpers); i++) {
                owned_str char *path = NULL;
                struct cowherd_error one = {0};
                if (module_helper(helpers[i], &path, &one) == 0)
                        continue;
                str_addf(&bad, "%s%s", bad.length > 0 ? "; " : "", one.text);
                why = one;
        }
        doctor_add(findings, "installation", bad.length == 0 ? LEVEL_OK : LEVEL_PROBLEM,
                   bad.length == 0 ? "all modules and helper programs are there" : str_text(&bad), why.hint[0] == '\0' ? "install cowherd again" : why.hint);
        if (!doctor_wants(findings, COWHERD_QEMU))
                return;
        bool there = access(guest, R_OK) == 0;
        owned_str char *detail = x_asprintf("%s%s", guest, there ? ", for register_base guest=inject" : " is not there");
        doctor_add(findings, "guest helper", there ? LEVEL_OK : LEVEL_PROBLEM, detail, "install cowherd again");
}

void doctor_host(struct findings *findings)
{
        check_root(findings);
        check_sharing(findings);
        check_rights(findings);
        check_kvm(findings);
        check_kernel(findings);
        check_installation(findings);
}
