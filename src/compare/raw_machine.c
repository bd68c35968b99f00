/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual machine by hand: qemu-system with what a guest needs to boot and its agent to be spoken to. The agent's port is a socket that QEMU
 * is handed, so nothing has to be tried again until it listens.
 */
#include "compare/by_hand.h"
#include "compare/pair.h"

#include "sys/clock.h"
#include "sys/process_detach.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS 120000.0
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
        if (by_hand_synchronise(ours, deadline, err) < 0)
                return -1;
        life->ready_ms = clock_ms() - began - life->start_ms;
        double ready = clock_ms();
        if (by_hand_run_true(ours, deadline, err) < 0)
                return -1;
        life->command_ms = clock_ms() - ready;
        life->memory_bytes = process_memory(qemu.pid);
        return 0;
}
