/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cowherd-guest(8): does inside a VM what cowherd asks it to from outside. It is all that a guest needs, an image without libraries
 * included: it is static, and started by systemd or an inittab line. It gives whoever has the machine's ports what they have anyway,
 * for they have its disk and its memory.
 */
#include "guest/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct program program = {.epoll = -1, .root = -1};

static const char help[] =
        "usage: cowherd-guest [--port PATH|fd:NUMBER]… [--root FOLDER] [--files-only] [--temporary]\n"
        "Serves cowherd on the virtio-serial ports org.cowherd.guest.*, as root, until it is ended.\n"
        "  --port        serves this one instead; the end of it ends the program\n"
        "  --root        where the files of an identity are (default /)\n"
        "  --files-only  changes nothing but files\n"
        "  --temporary   removes its own file and that one's folder, and goes on; ends where another serves the ports\n";

static void take_signals(struct source *source, uint32_t events)
{
        struct signalfd_siginfo info;

        (void)events;
        while (read(source->fd, &info, sizeof info) == (ssize_t)sizeof info) {
                if (info.ssi_signo == SIGCHLD)
                        run_reap(), identity_reap();
                else
                        loop_end(0);
        }
}

static bool open_signals(void)
{
        static struct source signals = {.ready = take_signals};
        const struct sigaction ignored = {.sa_handler = SIG_IGN};

        (void)sigemptyset(&program.signals);
        (void)sigaddset(&program.signals, SIGCHLD);
        (void)sigaddset(&program.signals, SIGTERM);
        (void)sigaddset(&program.signals, SIGINT);
        (void)sigaddset(&program.signals, SUPERVISOR_PASS);
        if (sigprocmask(SIG_BLOCK, &program.signals, NULL) < 0 || sigaction(SIGPIPE, &ignored, NULL) < 0)
                return false;
        sigset_t ours = program.signals;
        (void)sigdelset(&ours, SUPERVISOR_PASS);
        signals.fd = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
        source_watch(&signals, EPOLLIN);
        return signals.watched != 0;
}

static int complain(const char *what, const char *of)
{
        (void)dprintf(STDERR_FILENO, "cowherd-guest: %s '%s': %s\n", what, of, strerror(errno));
        return 71;
}

static int use_port(const char *text)
{
        char *end = NULL;
        long number = strncmp(text, "fd:", 3) == 0 ? strtol(text + 3, &end, 10) : -1;
        int fd = end != NULL && *end == '\0' && number > 2 ? (int)number : open(text, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

        if (fd < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
                return complain("cannot open port", text);
        port_add(fd);
        return 0;
}

/* Standard descriptors that are closed would be given to others. */
static bool open_standard(void)
{
        int fd;

        do
                fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        while (fd >= 0 && fd <= STDERR_FILENO);
        if (fd > STDERR_FILENO)
                (void)close(fd);
        return fd >= 0;
}

/* It was brought for as long as it runs. */
static int forget_file(void)
{
        char path[512];
        ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);

        if (length <= 0)
                return complain("cannot read", "/proc/self/exe");
        path[length] = '\0';
        if (unlink(path) < 0)
                return complain("cannot remove", path);
        *strrchr(path, '/') = '\0';
        (void)rmdir(path);
        (void)setsid();
        return 0;
}

int main(int count, char **words)
{
        const char *root = "/";
        bool found = false;
        int status = 0;

        program.epoll = epoll_create1(EPOLL_CLOEXEC);
        if (!open_standard() || program.epoll < 0 || !open_signals() ||
            getrandom(program.nonce, sizeof program.nonce, GRND_NONBLOCK | GRND_INSECURE) < 0)
                return complain("cannot begin", "");
        for (int i = 1; i < count && status == 0; i++) {
                if (strcmp(words[i], "--port") == 0 && i + 1 < count) {
                        status = use_port(words[++i]);
                        found = true;
                } else if (strcmp(words[i], "--root") == 0 && i + 1 < count) {
                        root = words[++i];
                } else if (strcmp(words[i], "--files-only") == 0) {
                        program.files_only = true;
                } else if (strcmp(words[i], "--temporary") == 0) {
                        status = forget_file();
                        program.temporary = true;
                } else {
                        (void)dprintf(STDERR_FILENO, "%s", help);
                        return 64;
                }
        }
        program.root = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (status == 0 && program.root < 0)
                status = complain("cannot open folder", root);
        if (status == 0 && !found && !ports_find())
                status = complain("cannot listen for ports", GUEST_PORT_PREFIX);
        return status != 0 ? status : loop_run();
}
