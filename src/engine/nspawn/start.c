/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A start: control groups, nspawn in them, detached, its words and the container's console into two files of the
 * runtime folder; then nspawn tells through a socket of that folder that the container's PID 1 is born (sd_notify(3),
 * X_NSPAWN_LEADER_PID), or ends, and has said why. Whatever fails is ended and tidied up.
 */
#include "engine/nspawn/nspawn.h"

#include "engine/nspawn/net.h"
#include "engine/nspawn/spawn.h"
#include "engine/nspawn/user_net.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define START_TIMEOUT_MS 60000.0 /* until its PID 1 is born: 0.1 s where nothing is wrong */
#define PROCESSES_MAX 16384u     /* as many as systemd allows a container */
#define MESSAGE_BYTES 4096u
#define MOUNTS_MAX 64u
#define WORDS_BYTES (64u << 10) /* of nspawn's own, at the end of its log */

struct starting {
        const struct engine_instance *instance;
        struct nspawn_plan plan;
        bool mounts_mapped[MOUNTS_MAX];
        struct cgroup_limits limits;
        struct cgroup_entry entry;
        char cgroup[CGROUP_PATH_BYTES];
        int notify, console, words, pidfd;
        pid_t leader;
        double began;
        struct engine_phases phases;
};

static void starting_free(struct starting *starting)
{
        cgroup_entry_close(&starting->entry);
        close_at(&starting->notify);
        close_at(&starting->console);
        close_at(&starting->words);
        close_at(&starting->pidfd);
}
define_owned(struct starting, starting_free)

static void phase(struct starting *s, const char *name)
{
        double now = clock_ms();

        engine_phase(&s->phases, name, now - s->began);
        s->began = now;
}

static int open_log(const struct engine_instance *instance, const char *name, int *ret_fd, struct cowherd_error *err)
{
        owned_str char *path = nspawn_runtime_file(instance, name);
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);

        if (fd < 0)
                return fail_errno(err, "cannot make '%s'", path);
        *ret_fd = fd;
        return 0;
}

static int open_notify(const struct engine_instance *instance, int *ret_fd, struct cowherd_error *err)
{
        owned_str char *path = nspawn_runtime_file(instance, "notify");
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        size_t length = strlen(path);

        if (length >= sizeof address.sun_path)
                return fail(err, COWHERD_SYSTEM, "the path of a socket is too long: '%s'", path);
        memcpy(address.sun_path, path, length + 1);
        owned_fd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || (unlink(path) < 0 && errno != ENOENT) ||
            bind(fd, (const struct sockaddr *)&address, sizeof address) < 0)
                return fail_errno(err, "cannot make the socket '%s'", path);
        *ret_fd = take_fd(fd);
        return 0;
}

static int prepare(struct starting *s, struct cowherd_error *err)
{
        const struct engine_instance *instance = s->instance;

        if (instance->machine->mount_count > MOUNTS_MAX)
                return fail(err, COWHERD_USAGE, "container '%s' has more than %u mounts", instance->name, MOUNTS_MAX);
        if (nspawn_make_plan(instance, &s->plan, s->mounts_mapped, err) < 0 || nspawn_prepare_tree(instance, err) < 0)
                return -1;
        if (file_make_folders(AT_FDCWD, instance->runtime, 0700, err) < 0)
                return -1;
        if (open_log(instance, "console", &s->console, err) < 0 || open_log(instance, "words", &s->words, err) < 0 ||
            open_notify(instance, &s->notify, err) < 0)
                return -1;
        s->limits = (struct cgroup_limits){.memory_bytes = instance->machine->memory_bytes,
                                           .cpus = instance->machine->cpus,
                                           .processes = PROCESSES_MAX,
                                           .first_cpu = instance->id * instance->machine->cpus};
        if (!nspawn_under_systemd() && cgroup_make(s->cgroup, &s->limits, &s->entry, err) < 0)
                return -1;
        phase(s, "prepare");
        return 0;
}

static int spawn_nspawn(struct starting *s, struct cowherd_error *err)
{
        owned_strv struct strv argv = {0}, environment = {0};
        owned_str char *notify = nspawn_runtime_file(s->instance, "notify");
        pid_t pid;

        if (nspawn_under_systemd())
                nspawn_scope_arguments(s->instance, &s->limits, &argv);
        nspawn_arguments(s->instance, &s->plan, &argv);
        owned_str char *program = process_find(argv.items[0]);
        if (program == NULL)
                return fail(err, COWHERD_UNAVAILABLE, "the program '%s' is not installed", argv.items[0]);
        x_replace(&argv.items[0], program);
        strv_add(&environment, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        strv_add(&environment, "LC_ALL=C.UTF-8");
        strv_add(&environment, "TERM=dumb"); /* of the console, which is a file in the end */
        strv_addf(&environment, "NOTIFY_SOCKET=%s", notify);
        struct spawn spawn = {.argv = argv.items,
                              .environment = environment.items,
                              .output = s->console,
                              .errors = s->words,
                              .entry = &s->entry};
        return spawn_detached(&spawn, &pid, &s->pidfd, err);
}

/* Cuts a text before its last line, and returns that line. */
static char *cut_last_line(char *text)
{
        size_t length = strlen(text);

        while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r'))
                text[--length] = '\0';
        char *newline = strrchr(text, '\n');
        if (newline == NULL)
                return text;
        *newline = '\0';
        return newline + 1;
}

/*
 * The last line that nspawn has said, NULL where it said nothing. Where /run is no tmpfs, its very last one tells only that it did
 * not take its own folder there away.
 */
static char *last_words(int fd)
{
        static const char useless[] = "Attempted to remove disk file system";
        owned_str char *text = x_malloc(WORDS_BYTES + 1);
        off_t end = lseek(fd, 0, SEEK_END);
        ssize_t got = pread(fd, text, WORDS_BYTES, end > (off_t)WORDS_BYTES ? end - (off_t)WORDS_BYTES : 0);

        text[got < 0 ? 0 : got] = '\0';
        char *line = cut_last_line(text);
        if (line != text && str_starts(line, useless))
                line = cut_last_line(text);
        return line[0] == '\0' ? NULL : x_strdup(line);
}

static int fail_ended(const struct starting *s, struct cowherd_error *err)
{
        owned_str char *said = last_words(s->words), *printed = said != NULL ? NULL : last_words(s->console);
        const char *why = said != NULL ? said : printed != NULL ? printed : "it does not say why";

        return fail(err, COWHERD_SYSTEM, "'%s' could not start '%s': %s", NSPAWN_PROGRAM, s->instance->name, why);
}

/* Reads one message; the pid in it, or 0. */
static pid_t read_leader(int socket)
{
        char message[MESSAGE_BYTES];
        ssize_t got = recv(socket, message, sizeof message - 1, MSG_DONTWAIT);

        if (got <= 0)
                return 0;
        message[got] = '\0';
        const char *found = strstr(message, "X_NSPAWN_LEADER_PID=");
        return found == NULL ? 0 : (pid_t)strtol(found + strlen("X_NSPAWN_LEADER_PID="), NULL, 10);
}

static int wait_for_leader(struct starting *s, struct cowherd_error *err)
{
        double deadline = clock_ms() + START_TIMEOUT_MS;

        while (s->leader <= 0) {
                struct pollfd fds[] = {{s->notify, POLLIN, 0}, {s->pidfd, POLLIN, 0}};
                double left = deadline - clock_ms();
                if (left <= 0)
                        return fail(err, COWHERD_BUSY, "'%s' did not start '%s' within %.0f s", NSPAWN_PROGRAM,
                                    s->instance->name, START_TIMEOUT_MS / 1000);
                if (poll(fds, array_length(fds), (int)left + 1) < 0 && errno != EINTR)
                        return fail_errno(err, "cannot wait for '%s'", NSPAWN_PROGRAM);
                if (fds[0].revents != 0)
                        s->leader = read_leader(s->notify);
                else if (fds[1].revents != 0)
                        return fail_ended(s, err);
        }
        phase(s, "spawn");
        return 0;
}

/* What later commands like to know, and tidy needs where nspawn was killed. */
static int remember(const struct starting *s, struct cowherd_error *err)
{
        owned_str char *path = nspawn_runtime_file(s->instance, "state");
        struct stat root;

        if (stat(s->instance->root, &root) < 0)
                return fail_errno(err, "cannot look at '%s'", s->instance->root);
        owned_str char *text = x_asprintf("leader=%d\ninit=%s\ninode=%lu:%lu\n", s->leader,
                                          s->plan.init == NULL ? "none" : s->plan.init, (unsigned long)root.st_dev,
                                          (unsigned long)root.st_ino);
        return file_replace(AT_FDCWD, path, text, 0600, false, err);
}

static int start(struct starting *s, struct cowherd_error *err)
{
        const struct engine_identity *identity = s->instance->identity;

        if (prepare(s, err) < 0 || spawn_nspawn(s, err) < 0 || wait_for_leader(s, err) < 0 || remember(s, err) < 0)
                return -1;
        if (s->instance->machine->network == ENGINE_NETWORK_USER) {
                owned_leader struct nspawn_leader leader = {.pid = s->leader, .pidfd = pidfd_open(s->leader, 0)};
                int result = leader.pidfd < 0 ? fail_errno(err, "cannot watch '%s'", s->instance->name) : user_net_start(s->instance, &leader, err);
                phase(s, "network");
                return result;
        }
        if (s->instance->machine->network != ENGINE_NETWORK_BRIDGE || identity == NULL || !identity->fresh ||
            identity->mac == NULL)
                return 0;
        return net_set_address(s->leader, "host0", identity->mac, err);
}

int nspawn_start(const struct engine_instance *instance, struct engine_started *ret, struct cowherd_error *err)
{
        owned_by(starting_free) struct starting s = {
                .instance = instance, .notify = -1, .console = -1, .words = -1, .pidfd = -1, .began = clock_ms()};

        if (nspawn_state(instance) != ENGINE_STOPPED) {
                (void)fail(err, COWHERD_BUSY, "container '%s' is %s", instance->name,
                           engine_state_name(nspawn_state(instance)));
                return fail_hint(err, "stop it first");
        }
        if (nspawn_check(instance, err) < 0 || nspawn_tidy(instance, err) < 0)
                return -1;
        (void)nspawn_cgroup(instance, s.cgroup);
        if (start(&s, err) < 0) {
                struct cowherd_error ignored;
                ignore_result(nspawn_tidy(instance, &ignored));
                return -1;
        }
        *ret = (struct engine_started){.identity_applied = true, .phases = s.phases};
        nspawn_note(&s.plan, ret->note, sizeof ret->note);
        return 0;
}
