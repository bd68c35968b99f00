/* SPDX-License-Identifier: Apache-2.0 */
/* What the host says, by its type. Each request is read to its last byte before it is begun; what is none is refused. */
#include "guest/program.h"

#include "guest/libc.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The first parts of the request that comes next, and of whom. One at a time: a second port's waits for nobody, as parts follow each other. */
static struct {
        struct port *port;
        unsigned channel;
        struct str text;
} more;

static void forget_more(void)
{
        str_free(&more.text);
        more.port = NULL;
}

void session_end(struct port *port)
{
        runs_end(port);
        address_forget(port);
        if (more.port == port)
                forget_more();
}

static void refuse(struct port *port, unsigned channel, const char *what)
{
        port_say_failed(port, channel, GUEST_FAILED_GRAMMAR, 0, what);
}

static void say_result(struct port *port, unsigned channel, int os_errno, const char *what)
{
        if (os_errno == 0)
                port_say_done(port, channel, 0);
        else
                port_say_failed(port, channel, GUEST_FAILED_SYSTEM, os_errno, what);
}

static void hello(struct port *port, unsigned channel, const void *payload, size_t length)
{
        struct guest_reader reader = {.at = payload, .left = length};
        owned_string struct str answer = {0};

        (void)guest_get_number(&reader);
        const uint8_t *nonce = guest_get_raw(&reader, GUEST_NONCE_BYTES);
        if (nonce == NULL) {
                refuse(port, channel, "hello");
                return;
        }
        session_end(port);
        guest_put_number(&answer, GUEST_VERSION);
        str_add_bytes(&answer, nonce, GUEST_NONCE_BYTES);
        str_add_bytes(&answer, program.nonce, GUEST_NONCE_BYTES);
        guest_put_number(&answer, file_exists("/run/cloud-init/enabled") ? GUEST_HAS_CLOUD_INIT : 0);
        port_say(port, GUEST_WELCOME, channel, answer.data, answer.length);
}

static void give_identity(struct port *port, unsigned channel, const void *payload, size_t length)
{
        owned_guest_identity struct guest_identity identity = {0};
        const char *what = "";

        if (guest_identity_get(payload, length, &identity, &what))
                identity_apply(port, channel, &identity);
        else
                refuse(port, channel, what);
}

static int make_folders(char *path)
{
        for (char *at = path + 1; *at != '\0'; at++) {
                if (*at != '/')
                        continue;
                *at = '\0';
                (void)mkdir(path, 0755);
                *at = '/';
        }
        return mkdir(path, 0755) == 0 || errno == EEXIST ? 0 : errno;
}

static bool is_mounted(const char *tag)
{
        owned_str char *text = file_text("/proc/self/mounts"), *begin = x_asprintf("%s ", tag), *line = x_asprintf("\n%s ", tag);

        return text != NULL && (str_starts(text, begin) || strstr(text, line) != NULL);
}

static void mount_folder(struct port *port, unsigned channel, const void *payload, size_t length)
{
        owned_guest_mount struct guest_mount mount_ = {0};
        const char *what = "";

        if (!guest_mount_get(payload, length, &mount_, &what)) {
                refuse(port, channel, what);
                return;
        }
        bool mounted = is_mounted(mount_.tag);
        int failed = mounted ? 0 : program.files_only ? EPERM : make_folders(mount_.path);
        if (failed == 0 && !mounted && mount(mount_.tag, mount_.path, "9p", mount_.read_only ? MS_RDONLY : 0,
                                 "trans=virtio,version=9p2000.L,msize=262144") < 0)
                failed = errno;
        say_result(port, channel, failed, "mount");
}

static void start_run(struct port *port, unsigned channel, const void *payload, size_t length)
{
        owned_guest_run struct guest_run run = {0};
        const char *what = "";

        if (guest_run_get(payload, length, &run, &what))
                run_start(port, channel, &run);
        else
                refuse(port, channel, what);
}

/* Requests of no more than a number or two. */
static bool take_short(struct port *port, unsigned type, unsigned channel, const void *payload, size_t length)
{
        struct guest_reader reader = {.at = payload, .left = length};
        bool numbers = type == GUEST_SIGNAL || type == GUEST_RESIZE || type == GUEST_FREEZE || type == GUEST_POWER ||
                       type == GUEST_ADDRESS;
        uint32_t first = numbers ? guest_get_number(&reader) : 0, second = type == GUEST_RESIZE ? guest_get_number(&reader) : 0;

        if (!guest_get_end(&reader)) {
                refuse(port, channel, "length");
                return true;
        }
        if (type == GUEST_PING)
                port_say_done(port, channel, runs_of(port));
        else if (type == GUEST_INPUT_END)
                run_input_end(port, channel);
        else if (type == GUEST_SIGNAL)
                run_signal(port, channel, first);
        else if (type == GUEST_RESIZE)
                run_resize(port, channel, first, second);
        else if (type == GUEST_FREEZE)
                freeze_all(port, channel, first);
        else if (type == GUEST_THAW)
                freeze_thaw(port, channel);
        else if (type == GUEST_PREPARE)
                identity_prepare(), port_say_done(port, channel, 0);
        else if (type == GUEST_ADDRESS)
                address_tell(port, channel, first != 0);
        else if (type == GUEST_POWER && first <= GUEST_POWER_REBOOT)
                say_result(port, channel, power_change((enum guest_power)first), "power");
        else
                return false;
        return true;
}

static void take_request(struct port *port, unsigned type, unsigned channel, const void *payload, size_t length)
{
        bool writes = type == GUEST_IDENTITY || type == GUEST_MOUNT || type == GUEST_RUN || type == GUEST_SYNC;

        if (program.frozen && writes)
                port_say_failed(port, channel, GUEST_FAILED_FROZEN, 0, "");
        else if (type == GUEST_HELLO)
                hello(port, channel, payload, length);
        else if (type == GUEST_IDENTITY)
                give_identity(port, channel, payload, length);
        else if (type == GUEST_MOUNT)
                mount_folder(port, channel, payload, length);
        else if (type == GUEST_RUN)
                start_run(port, channel, payload, length);
        else if (type == GUEST_INPUT)
                run_input(port, channel, payload, length);
        else if (type == GUEST_SYNC && length == 0)
                sync(), port_say_done(port, channel, 0);
        else if (!take_short(port, type, channel, payload, length))
                port_say_failed(port, channel, GUEST_FAILED_UNKNOWN, 0, "");
}

void session_take(struct port *port, const struct guest_frame *frame)
{
        if (frame->type == GUEST_MORE) {
                if (more.port != port || more.channel != frame->channel)
                        forget_more();
                more.port = port;
                more.channel = frame->channel;
                if (more.text.length + frame->length <= GUEST_MESSAGE_BYTES)
                        str_add_bytes(&more.text, frame->payload, frame->length);
                else
                        more.text.length = GUEST_MESSAGE_BYTES + 1;
                return;
        }
        if (more.port != port || more.channel != frame->channel) {
                take_request(port, frame->type, frame->channel, frame->payload, frame->length);
                return;
        }
        struct str whole = more.text;
        more.text = (struct str){0};
        more.port = NULL;
        if (whole.length + frame->length > GUEST_MESSAGE_BYTES) {
                refuse(port, frame->channel, "length");
        } else {
                str_add_bytes(&whole, frame->payload, frame->length);
                take_request(port, frame->type, frame->channel, whole.data, whole.length);
        }
        str_free(&whole);
}
