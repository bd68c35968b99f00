/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One question at a time, each with its answer: a packet of a length, a type, our number and strings. The server is LXD's
 * helper, which runs as the instance's root does; what it says is bounded and checked like a stranger's.
 */
#include "lxd_api/sftp.h"

#include "base/mem.h"
#include "lxd_api/upgrade.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define OPEN_MS 30000u
#define ANSWER_S 60
#define PACKET_BYTES (1u << 20)
#define VERSION 3u

enum { INIT = 1, TOLD_VERSION = 2, CLOSE = 4, LSTAT = 7, OPENDIR = 11, READDIR = 12, READLINK = 19 };
enum { STATUS = 101, HANDLE = 102, NAMES = 104, ATTRIBUTES = 105 };
enum { STATUS_DONE = 0, STATUS_END = 1, STATUS_NO_FILE = 2, STATUS_DENIED = 3 };
enum { HAS_SIZE = 1, HAS_OWNER = 2, HAS_MODE = 4, HAS_TIMES = 8 };

struct lxd_sftp {
        int fd;
        uint32_t number;
};

/* An answer, and how far it has been read. */
struct answer {
        unsigned type;
        char *bytes;
        size_t length, at;
};

static void answer_free(struct answer *it)
{
        free(it->bytes);
}
define_owned(struct answer, answer_free)

        void lxd_sftp_close(struct lxd_sftp *it)
{
        if (it == NULL)
                return;
        close_at(&it->fd);
        free(it);
}

static int damaged(struct cowherd_error *err)
{
        return fail(err, COWHERD_SYSTEM, "LXD's SFTP server sent an answer that is none");
}

/* ---- packets ---- */

static void add_number(struct str *packet, uint32_t number)
{
        const unsigned char bytes[] = {(unsigned char)(number >> 24), (unsigned char)(number >> 16),
                                       (unsigned char)(number >> 8), (unsigned char)number};

        str_add_bytes(packet, bytes, sizeof bytes);
}

static void add_text(struct str *packet, const char *text, size_t length)
{
        add_number(packet, (uint32_t)length);
        str_add_bytes(packet, text, length);
}

static int take_number(struct answer *it, uint32_t *ret, struct cowherd_error *err)
{
        const unsigned char *at = (const unsigned char *)it->bytes + it->at;

        if (it->length - it->at < 4)
                return damaged(err);
        *ret = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
        it->at += 4;
        return 0;
}

/* A string, to be freed; *ret_length may be NULL. */
static int take_text(struct answer *it, char **ret, size_t *ret_length, struct cowherd_error *err)
{
        uint32_t length = 0;

        if (take_number(it, &length, err) < 0)
                return -1;
        if (it->length - it->at < length)
                return damaged(err);
        *ret = x_malloc((size_t)length + 1);
        memcpy(*ret, it->bytes + it->at, length);
        (*ret)[length] = '\0';
        it->at += length;
        if (ret_length != NULL)
                *ret_length = length;
        return 0;
}

/* Attributes, of which only the mode is of interest; 0 where it is not among them. */
static int take_attributes(struct answer *it, mode_t *ret, struct cowherd_error *err)
{
        uint32_t flags = 0, skipped = 0, mode = 0;

        if (take_number(it, &flags, err) < 0)
                return -1;
        if ((flags & ~(uint32_t)(HAS_SIZE | HAS_OWNER | HAS_MODE | HAS_TIMES)) != 0)
                return damaged(err);
        for (int i = 0; i < ((flags & HAS_SIZE) != 0 ? 2 : 0) + ((flags & HAS_OWNER) != 0 ? 2 : 0); i++)
                if (take_number(it, &skipped, err) < 0)
                        return -1;
        if ((flags & HAS_MODE) != 0 && take_number(it, &mode, err) < 0)
                return -1;
        for (int i = 0; i < ((flags & HAS_TIMES) != 0 ? 2 : 0); i++)
                if (take_number(it, &skipped, err) < 0)
                        return -1;
        *ret = (mode_t)mode;
        return 0;
}

static int send_packet(const struct lxd_sftp *it, unsigned type, const struct str *payload, struct cowherd_error *err)
{
        owned_string struct str packet = {0};

        add_number(&packet, (uint32_t)payload->length + 1);
        str_add_char(&packet, (char)type);
        str_add_bytes(&packet, payload->data, payload->length);
        for (size_t sent = 0; sent < packet.length;) {
                ssize_t count = send(it->fd, packet.data + sent, packet.length - sent, MSG_NOSIGNAL);
                if (count < 0 && errno != EINTR)
                        return fail_errno(err, "cannot write to LXD's SFTP server");
                sent += count > 0 ? (size_t)count : 0;
        }
        return 0;
}

static int read_all(const struct lxd_sftp *it, char *bytes, size_t length, struct cowherd_error *err)
{
        for (size_t have = 0; have < length;) {
                ssize_t count = recv(it->fd, bytes + have, length - have, 0);
                if (count < 0 && errno == EINTR)
                        continue;
                if (count < 0 && errno == EAGAIN)
                        return fail(err, COWHERD_BUSY, "LXD's SFTP server did not answer within %d s", ANSWER_S);
                if (count < 0)
                        return fail_errno(err, "cannot read from LXD's SFTP server");
                if (count == 0)
                        return fail(err, COWHERD_SYSTEM, "LXD's SFTP server broke off");
                have += (size_t)count;
        }
        return 0;
}

static int receive_packet(const struct lxd_sftp *it, struct answer *ret, struct cowherd_error *err)
{
        char head[4], type;
        struct answer length = {.bytes = head, .length = sizeof head};
        uint32_t bytes = 0;

        if (read_all(it, head, sizeof head, err) < 0 || take_number(&length, &bytes, err) < 0)
                return -1;
        if (bytes < 1 || bytes > PACKET_BYTES)
                return damaged(err);
        owned_mem char *payload = x_malloc(bytes);
        if (read_all(it, &type, 1, err) < 0 || read_all(it, payload, bytes - 1, err) < 0)
                return -1;
        *ret = (struct answer){.type = (unsigned char)type, .bytes = take(payload), .length = bytes - 1};
        return 0;
}

/* What a status means: 1 for what is not there and for the end of a list. */
static int judge(struct answer *answer, struct cowherd_error *err)
{
        owned_str char *words = NULL;
        uint32_t status = 0;

        if (take_number(answer, &status, err) < 0)
                return -1;
        if (status == STATUS_DONE || status == STATUS_END || status == STATUS_NO_FILE)
                return status == STATUS_DONE ? 0 : 1;
        if (take_text(answer, &words, NULL, err) < 0)
                return -1;
        return fail(err, status == STATUS_DENIED ? COWHERD_DENIED : COWHERD_SYSTEM, "LXD's SFTP server says: %s", words);
}

/* Asks about a path or a handle. 0: an answer of the type that is wanted; 1: it is not there, or the end. */
static int ask(struct lxd_sftp *it, unsigned type, const char *what, size_t length, unsigned wanted, struct answer *ret,
               struct cowherd_error *err)
{
        owned_string struct str payload = {0};
        uint32_t number = 0;

        add_number(&payload, ++it->number);
        add_text(&payload, what, length);
        if (send_packet(it, type, &payload, err) < 0 || receive_packet(it, ret, err) < 0 || take_number(ret, &number, err) < 0)
                return -1;
        if (number != it->number || (ret->type != wanted && ret->type != STATUS))
                return damaged(err);
        return ret->type == STATUS ? judge(ret, err) : 0;
}

/* ---- beginning ---- */

int lxd_sftp_adopt(int fd, struct lxd_sftp **ret, struct cowherd_error *err)
{
        const struct timeval patience = {.tv_sec = ANSWER_S};
        owned_by(answer_free) struct answer answer = {0};
        owned_string struct str payload = {0};
        owned_sftp struct lxd_sftp *it = x_calloc(1, sizeof *it);

        it->fd = fd;
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        add_number(&payload, VERSION);
        uint32_t version = 0;
        if (send_packet(it, INIT, &payload, err) < 0 || receive_packet(it, &answer, err) < 0 || take_number(&answer, &version, err) < 0)
                return -1;
        if (answer.type != TOLD_VERSION || version != VERSION)
                return damaged(err);
        *ret = take(it);
        return 0;
}

int lxd_sftp_open(struct lxd_client *client, const char *instance, struct lxd_sftp **ret, struct cowherd_error *err)
{
        owned_str char *name = lxd_escape(instance), *path = x_asprintf("/1.0/instances/%s/sftp", name);
        owned_fd int fd = -1;

        if (lxd_upgrade(lxd_client_socket(client), path, "sftp", "", OPEN_MS, &fd, NULL, err) < 0)
                return fail_while(err, "looking at the files of '%s'", instance);
        return lxd_sftp_adopt(take_fd(fd), ret, err);
}

/* ---- questions ---- */

int lxd_sftp_stat(struct lxd_sftp *it, const char *path, mode_t *ret, struct cowherd_error *err)
{
        owned_by(answer_free) struct answer answer = {0};
        int rc = ask(it, LSTAT, path, strlen(path), ATTRIBUTES, &answer, err);

        return rc != 0 ? rc : take_attributes(&answer, ret, err);
}

/* The next of a list of names, to be freed. */
static int take_name(struct answer *answer, char **ret, size_t *ret_length, struct cowherd_error *err)
{
        owned_str char *name = NULL, *long_name = NULL;
        mode_t ignored;

        if (take_text(answer, &name, ret_length, err) < 0 || take_text(answer, &long_name, NULL, err) < 0 ||
            take_attributes(answer, &ignored, err) < 0)
                return -1;
        *ret = take(name);
        return 0;
}

int lxd_sftp_read_link(struct lxd_sftp *it, const char *path, char **ret, struct cowherd_error *err)
{
        owned_by(answer_free) struct answer answer = {0};
        uint32_t count = 0;
        size_t length = 0;
        int rc = ask(it, READLINK, path, strlen(path), NAMES, &answer, err);

        if (rc != 0)
                return rc;
        if (take_number(&answer, &count, err) < 0)
                return -1;
        return count != 1 ? damaged(err) : take_name(&answer, ret, &length, err);
}

/* One answer's names into the list. */
static int take_names(struct answer *answer, const char *path, size_t most, struct strv *ret, struct cowherd_error *err)
{
        uint32_t count = 0;

        if (take_number(answer, &count, err) < 0)
                return -1;
        for (; count > 0; count--) {
                owned_str char *name = NULL;
                size_t length = 0;
                if (take_name(answer, &name, &length, err) < 0)
                        return -1;
                if (str_equal(name, ".") || str_equal(name, ".."))
                        continue;
                if (length == 0 || strlen(name) != length || strchr(name, '/') != NULL)
                        return fail(err, COWHERD_DENIED, "folder '%s' of the instance has a name that is none: '%s'", path, name);
                if (ret->count == most)
                        return fail(err, COWHERD_DATA, "folder '%s' of the instance has more than %zu entries", path, most);
                strv_take(ret, take(name));
        }
        return 0;
}

static int read_folder(struct lxd_sftp *it, const char *path, const char *handle, size_t length, size_t most,
                       struct strv *ret, struct cowherd_error *err)
{
        for (;;) {
                owned_by(answer_free) struct answer answer = {0};
                int rc = ask(it, READDIR, handle, length, NAMES, &answer, err);
                if (rc != 0)
                        return rc < 0 ? -1 : 0;
                if (take_names(&answer, path, most, ret, err) < 0)
                        return -1;
        }
}

int lxd_sftp_list(struct lxd_sftp *it, const char *path, size_t most, struct strv *ret, struct cowherd_error *err)
{
        owned_by(answer_free) struct answer answer = {0}, closed = {0};
        owned_str char *handle = NULL;
        size_t length = 0;
        int rc = ask(it, OPENDIR, path, strlen(path), HANDLE, &answer, err);

        if (rc != 0)
                return rc;
        if (take_text(&answer, &handle, &length, err) < 0 || read_folder(it, path, handle, length, most, ret, err) < 0)
                return -1;
        return ask(it, CLOSE, handle, length, STATUS, &closed, err) < 0 ? -1 : 0;
}
