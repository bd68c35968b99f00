/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual machine by hand: qemu-system with what a guest needs to boot and its agent to be spoken to. The agent's port is a socket that QEMU
 * is handed, so nothing has to be tried again until it listens; only guest-exec has no event for its end, and must be asked.
 */
#include "compare/pair.h"

#include "sys/clock.h"
#include "sys/process_detach.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 120000.0
#define ANSWER_BYTES 4096
#define ASK_NS 2000000 /* between two questions whether the command has ended */
#define MEMORY_DEFAULT (1ull << 30)

static void add_words(const struct pair *pair, const char *disk, struct strv *argv)
{
        static const char *const words[] = {"-device", "virtio-rng-pci", "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net",
                                            "-device", "virtio-serial-pci", "-chardev", "socket,id=agent,fd=3", "-device",
                                            "virtserialport,chardev=agent,name=org.qemu.guest_agent.0", "-serial", "null"};
        uint64_t memory = pair->image->memory_bytes != 0 ? pair->image->memory_bytes : MEMORY_DEFAULT;
        bool raw = str_equal(pair->store, "copy") || str_equal(pair->store, "reflink") ? str_ends(pair->base_path, ".raw") : false;

        strv_add(argv, "qemu-system-x86_64");
        strv_add(argv, "-nodefaults");
        strv_add(argv, "-display");
        strv_add(argv, "none");
        strv_add(argv, "-M");
        strv_addf(argv, "q35,accel=%s", pair->session->acceleration[0] != '\0' ? pair->session->acceleration : "tcg");
        strv_add(argv, "-cpu");
        strv_add(argv, "max");
        strv_add(argv, "-smp");
        strv_add(argv, sysconf(_SC_NPROCESSORS_ONLN) > 1 ? "2" : "1");
        strv_add(argv, "-m");
        strv_addf(argv, "%lluM", (unsigned long long)(memory >> 20));
        strv_add(argv, "-drive");
        strv_addf(argv, "file=%s,format=%s,if=virtio", disk, raw ? "raw" : "qcow2");
        for (size_t i = 0; i < array_length(words); i++)
                strv_add(argv, words[i]);
}

/* Says a line and gets one, within the time that is left. 69 where there is no answer. */
static int ask(int fd, const char *question, double deadline, char *ret, struct cowherd_error *err)
{
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        size_t length = 0;

        if (write(fd, question, strlen(question)) < 0)
                return fail_errno(err, "cannot speak to the guest agent of a machine run by hand");
        while (length == 0 || ret[length - 1] != '\n') {
                double left = deadline - clock_ms();
                if (left <= 0 || length + 1 >= ANSWER_BYTES || poll(&ready, 1, (int)left) <= 0)
                        return fail(err, COWHERD_UNAVAILABLE, "the guest agent of a machine run by hand does not answer");
                ssize_t got = read(fd, ret + length, ANSWER_BYTES - 1 - length);
                if (got <= 0)
                        return fail(err, COWHERD_UNAVAILABLE, "a machine run by hand ended at once");
                length += (size_t)got;
        }
        ret[length] = '\0';
        return 0;
}

static int run_true(int fd, double deadline, struct cowherd_error *err)
{
        const struct timespec pause = {.tv_nsec = ASK_NS};
        char answer[ANSWER_BYTES], question[160];

        if (ask(fd, "{\"execute\":\"guest-exec\",\"arguments\":{\"path\":\"/bin/true\"}}\n", deadline, answer, err) < 0)
                return -1;
        const char *pid = strstr(answer, "\"pid\"");
        if (pid == NULL)
                return fail(err, COWHERD_UNAVAILABLE, "the guest agent of a machine run by hand runs no commands");
        (void)snprintf(question, sizeof question, "{\"execute\":\"guest-exec-status\",\"arguments\":{\"pid\":%ld}}\n", strtol(pid + strcspn(pid, "0123456789"), NULL, 10));
        for (;;) {
                if (ask(fd, question, deadline, answer, err) < 0)
                        return -1;
                if (strstr(answer, "\"exited\": true") != NULL)
                        return 0;
                (void)nanosleep(&pause, NULL);
        }
}

static int start_qemu(struct pair *pair, const char *disk, int agent, struct process_birth *ret, struct cowherd_error *err)
{
        struct process_detach what = {.descriptors = &agent, .descriptor_count = 1};
        owned_fd int output = open("/dev/null", O_WRONLY | O_CLOEXEC);

        what.output = output;
        add_words(pair, disk, &what.argv);
        int done = process_detach(&what, ret, err);
        strv_free(&what.argv);
        return done;
}

int raw_life_of_machine(struct pair *pair, const char *disk, struct life *life, struct cowherd_error *err)
{
        struct process_birth qemu owned_by(process_birth_free) = {.channel = -1};
        char answer[ANSWER_BYTES];
        int ends[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
                return fail_errno(err, "cannot make a socket for a guest agent");
        owned_fd int ours = ends[0];
        double began = clock_ms(), deadline = began + PATIENCE_MS;
        int done = start_qemu(pair, disk, ends[1], &qemu, err);
        close_at(&ends[1]);
        if (done < 0)
                return -1;
        life->start_ms = clock_ms() - began;
        if (ask(ours, "{\"execute\":\"guest-sync\",\"arguments\":{\"id\":1}}\n", deadline, answer, err) < 0)
                return -1;
        life->ready_ms = clock_ms() - began - life->start_ms;
        double ready = clock_ms();
        if (run_true(ours, deadline, err) < 0)
                return -1;
        life->command_ms = clock_ms() - ready;
        life->memory_bytes = process_memory(qemu.pid);
        return 0;
}
