/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build/bench/life: from the wish for a machine to its first command done, beside the same by hand with the raw tools. Run as
 * root; it works in the same fixtures as build/bench/clone, with a herd of its own. Each figure begins with the clone and
 * ends when `true` has ended inside; deleting is not timed.
 *
 *     build/bench/life [--json] [--quick] [--only TEXT]
 */
#include "by_hand.h"
#include "harness.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 60000
#define REST_MS 150 /* a control group that processes were moved to lets the next be moved sooner, for some 20 ms */
#define GUEST_MEMORY_MIB "256"
#define RAW_OWNERS "1879048192:65536" /* a user namespace, as ours have one */

static char tiny_base[256], btrfs_base[256], pool[256];

/* ---- by cowherd, in this process ---- */

static double live_once(enum cowherd_target target, const char *base, const char *more, unsigned run)
{
        double ms = say(target, "clone_from_base base=%s name=l-%u start=true %s", base, run, more);

        ms += say(target, "execute name=l-%u command=true", run);
        (void)say(target, "delete name=l-%u force=true", run);
        return ms;
}

/* What the raw tools do: the clone boots as its base. */
static double qemu_ours(unsigned run)
{
        return live_once(COWHERD_QEMU, "tiny", "wait=true identity=keep memory=" GUEST_MEMORY_MIB "M", run);
}

/* With a name, machine-id and host key of its own, which the guest's agent has to write inside. */
static double qemu_own_identity(unsigned run)
{
        return live_once(COWHERD_QEMU, "tiny", "wait=true memory=" GUEST_MEMORY_MIB "M", run);
}

static double nspawn_ours(unsigned run)
{
        return live_once(COWHERD_NSPAWN, "deb", "", run);
}

static double nspawn_overlay_ours(unsigned run)
{
        return live_once(COWHERD_NSPAWN, "deb-overlay", "", run);
}

static double nspawn_ready_ours(unsigned run)
{
        return live_once(COWHERD_NSPAWN, "deb", "wait=true", run);
}

static double lxd_ours(unsigned run)
{
        return live_once(COWHERD_LXD, "ct", "", run);
}

/* ---- by hand: helpers ---- */

/* A child that goes on; its output is thrown away. */
static pid_t start(const char *const *argv)
{
        pid_t child = fork();

        if (child < 0)
                measure_die("cannot fork");
        if (child > 0)
                return child;
        (void)setsid();
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing outlives a bench that is killed */
        (void)close_range(3, ~0u, CLOSE_RANGE_CLOEXEC); /* the fixtures' locks */
        (void)!freopen("/dev/null", "r", stdin);
        (void)!freopen("/dev/null", "w", stdout);
        (void)!freopen("/dev/null", "w", stderr);
        (void)execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
}

static void end(pid_t child)
{
        (void)kill(child, SIGKILL);
        (void)waitpid(child, NULL, 0);
}

/* Connects to a socket that a program is about to make: by hand one can only try again. */
static int connect_to(const char *path)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        double began = measure_now_ms();

        (void)snprintf(address.sun_path, sizeof address.sun_path, "%.100s", path);
        while (measure_now_ms() - began < PATIENCE_MS) {
                int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
                if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
                        return fd;
                (void)close(fd);
                (void)usleep(2000);
        }
        measure_die("nobody listens on '%s'", path);
}

/* What a thing done by hand came to: it ends the bench where it failed. */
static void need(int result, const struct cowherd_error *err)
{
        if (result < 0)
                measure_die("%s", err->text);
}

/* ---- by hand: QEMU ---- */

static double qemu_raw(unsigned run)
{
        char disk[256], drive[320], agent[160], chardev[256];

        (void)snprintf(disk, sizeof disk, "%s/raw-%u.qcow2", bench_folder, run);
        (void)snprintf(agent, sizeof agent, "%s/agent-%u", bench_folder, run);
        (void)snprintf(drive, sizeof drive, "file=%s,format=qcow2,if=virtio", disk);
        (void)snprintf(chardev, sizeof chardev, "socket,path=%s,server=on,wait=off,id=agent", agent);
        const char *create[] = {"qemu-img", "create", "-q", "-f", "qcow2", "-b", tiny_base, "-F", "qcow2", disk, NULL};
        const char *boot[] = {"qemu-system-x86_64", "-nodefaults", "-display", "none", "-M", "q35", "-m", GUEST_MEMORY_MIB, "-drive", drive,
                              "-device", "virtio-rng-pci", "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net",
                              "-device", "virtio-serial-pci", "-chardev", chardev, "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
                              "-serial", "null", NULL};
        struct cowherd_error err;
        double began = measure_now_ms();
        (void)measure_program(create);
        pid_t qemu = start(boot);
        int fd = connect_to(agent);
        need(by_hand_synchronise(fd, began + PATIENCE_MS, &err), &err);
        need(by_hand_run_true(fd, began + PATIENCE_MS, &err), &err);
        double ms = measure_now_ms() - began;
        (void)close(fd);
        end(qemu);
        (void)unlink(disk);
        (void)unlink(agent);
        return ms;
}

/* ---- by hand: systemd-nspawn ---- */

/* A snapshot, a container that boots on it, and `true` in its namespaces as soon as there are any, or once it is ready. */
static double boot_by_hand(unsigned run, bool until_ready)
{
        char tree[320], leader[32], word[32], name[64] = "@";
        struct cowherd_error err;
        int notify = -1;

        (void)snprintf(tree, sizeof tree, "%s/tree-%u", pool, run);
        (void)snprintf(name + 1, sizeof name - 1, "cowherd-bench-%ld-%u", (long)getpid(), run);
        need(by_hand_listen(name + 1, &notify, &err), &err);
        (void)setenv("NOTIFY_SOCKET", name, 1);
        const char *snapshot[] = {"btrfs", "-q", "subvolume", "snapshot", btrfs_base, tree, NULL};
        const char *boot[] = {"systemd-nspawn", "--register=no", "--keep-unit", "-q", "-b", "--notify-ready=yes", "--settings=no", "--link-journal=no",
                              "--console=read-only", "-D", tree, "--private-users=" RAW_OWNERS, "--private-users-ownership=map", NULL};
        const char *enter[] = {"nsenter", "-t", leader, "-a", "/bin/true", NULL};
        if (until_ready) /* in a user namespace it did not say so in a minute, why is not known */
                boot[sizeof boot / sizeof boot[0] - 3] = NULL;
        double began = measure_now_ms();
        (void)measure_program(snapshot);
        pid_t nspawn = start(boot);
        need(by_hand_await(notify, "X_NSPAWN_LEADER_PID=", leader, sizeof leader, &err), &err);
        if (until_ready)
                need(by_hand_await(notify, "READY=", word, sizeof word, &err), &err);
        (void)measure_program(enter);
        double ms = measure_now_ms() - began;
        (void)unsetenv("NOTIFY_SOCKET");
        (void)kill((pid_t)strtol(leader, NULL, 10), SIGKILL);
        (void)waitpid(nspawn, NULL, 0);
        const char *away[] = {"btrfs", "-q", "subvolume", "delete", tree, NULL};
        (void)measure_program(away);
        (void)close(notify);
        return ms;
}

static double nspawn_raw(unsigned run)
{
        return boot_by_hand(run, false);
}

static double nspawn_ready_raw(unsigned run)
{
        return boot_by_hand(run, true);
}

/* ---- by hand: LXD ---- */

static double lxd_raw(unsigned run)
{
        const char *name = numbered("raw-", run);
        const char *copy[] = {"lxc", "copy", "raw/base", name, NULL}, *boot[] = {"lxc", "start", name, NULL};
        const char *exec[] = {"lxc", "exec", name, "--", "true", NULL}, *away[] = {"lxc", "delete", "--force", name, NULL};
        double ms = measure_program(copy) + measure_program(boot) + measure_program(exec);

        (void)measure_program(away);
        return ms;
}

/* ---- fixtures ---- */

static void set_up_qemu(void)
{
        char command[512];

        (void)snprintf(command, sizeof command, "register_base name=tiny image=%s/tiny.qcow2", bench_folder);
        (void)say_to(bench_herd, COWHERD_QEMU, command, "path", tiny_base, sizeof tiny_base);
}

static void set_up_nspawn(void)
{
        char command[512];

        (void)say(COWHERD_NSPAWN, "setup store=btrfs size=4G");
        (void)snprintf(command, sizeof command, "register_base name=deb rootfs=%s/debian store=btrfs", bench_folder);
        (void)say_to(bench_herd, COWHERD_NSPAWN, command, "path", btrfs_base, sizeof btrfs_base);
        (void)say(COWHERD_NSPAWN, "register_base name=deb-overlay rootfs=%s/debian store=overlay", bench_folder);
        (void)snprintf(pool, sizeof pool, "%s/pools/btrfs", bench_root);
}

static void set_up_lxd(void)
{
        (void)say(COWHERD_LXD, "register_base name=ct rootfs=%s/debian", bench_folder);
}

static const struct group groups[] = {
        {set_up_qemu,
         {{"QEMU, to the first command", "clone, boot, agent, true, identity=keep : qemu-img, qemu-system, agent by hand", "ms", 10, qemu_ours, qemu_raw},
          {"QEMU, own identity, first command", "the same with a fresh identity : without", "ms", 5, qemu_own_identity, qemu_raw}}},
        {set_up_nspawn,
         {{"nspawn on btrfs, to the first command", "clone with identity, start, true : snapshot, nspawn -b --private-users, nsenter", "ms", 15, nspawn_ours, nspawn_raw, REST_MS},
          {"nspawn on overlay, to the first command", "clone, start, true : the same by hand, on btrfs", "ms", 15, nspawn_overlay_ours, nspawn_raw, REST_MS},
          {"nspawn on btrfs, ready, first command", "the same, waiting until it is ready : until READY=1", "ms", 10, nspawn_ready_ours,
           nspawn_ready_raw, REST_MS}}},
        {set_up_lxd, {{"LXD, to the first command", "clone, start, true : lxc copy, lxc start, lxc exec", "ms", 10, lxd_ours, lxd_raw, REST_MS}}},
};

int main(int argc, char **argv)
{
        static const struct bench bench = {groups, sizeof groups / sizeof groups[0], NULL};

        return bench_main(argc, argv, &bench);
}
