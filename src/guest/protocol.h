/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What cowherd-guest(8), inside a VM, and cowherd, outside, say to each other. Both ends are built from these functions, which
 * know neither files nor sockets.
 *
 * The way: virtio-serial ports of the names org.cowherd.guest.0, .1 …; each carries one session at a time, so that a person's
 * shell does not keep others out. A session begins with HELLO and ends with the next HELLO, or when the host hangs up; with it end
 * the commands that it has running.
 *
 * On the wire a frame is NUL-terminated and has no NUL in it (COBS, Cheshire and Baker 1999): a host that was killed in the middle
 * of a frame, or a guest that woke in the middle of one, is understood again from the next NUL on. Inside of that:
 *
 *     type 1 byte · reserved 1 byte, 0 · channel 2 bytes · payload's length 4 bytes · payload          (numbers little-endian)
 *
 * A payload is at most GUEST_PAYLOAD_BYTES; a request that is longer comes in pieces, all but the last of type GUEST_MORE, together at
 * most GUEST_MESSAGE_BYTES. What is not of this grammar is dropped (damaged frames) or refused (GUEST_FAILED). The host chooses the
 * channel of each request, and answers bear it; a channel is free again after its last answer. In payloads a number has 4 or 8 bytes,
 * and a text is its length (4 bytes) and its bytes, without NUL.
 */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_VERSION 1
#define GUEST_PORT_PREFIX "org.cowherd.guest."
#define GUEST_PORTS 4
#define GUEST_HEADER_BYTES 8u
#define GUEST_PAYLOAD_BYTES 65536u
#define GUEST_MESSAGE_BYTES (1u << 20)
#define GUEST_NONCE_BYTES 16
/* Of a command's input on the way: more is sent when GUEST_TAKEN tells that it was taken. */
#define GUEST_INPUT_BYTES 65536u

enum guest_type {
        /* ---- The host says ---- */
        GUEST_HELLO = 1,   /* version 4, 16 bytes that come back; begins a session */
        GUEST_MORE = 2,    /* the first part of the next frame's payload */
        GUEST_PING = 3,    /* → DONE with the number of commands of this session */
        GUEST_IDENTITY = 4, /* struct guest_identity → STEPS */
        GUEST_MOUNT = 5,   /* struct guest_mount → DONE */
        GUEST_RUN = 6,     /* struct guest_run → STARTED … ENDED */
        GUEST_INPUT = 7,   /* bytes for the command of this channel */
        GUEST_INPUT_END = 8,
        GUEST_SIGNAL = 9,  /* number 4, to the command's foreground processes; KILL: to all that it started. No answer */
        GUEST_RESIZE = 10, /* rows 4, columns 4. No answer */
        GUEST_FREEZE = 11, /* for how long at most, ms 4 → DONE with the count */
        GUEST_THAW = 12,   /* → DONE with the count */
        GUEST_SYNC = 13,   /* → DONE */
        GUEST_POWER = 14,  /* enum guest_power 4 → DONE, when it was asked for */
        GUEST_ADDRESS = 15, /* whether to wait for a global one 4 → ADDRESSES */
        GUEST_PREPARE = 16, /* others will wake in this memory at once: what their identities will need is looked for now → DONE */
        /* ---- The guest says ---- */
        GUEST_WELCOME = 65, /* version 4, HELLO's 16 bytes, boot nonce 16 bytes, flags 4 */
        GUEST_DONE = 66,    /* number 8 */
        GUEST_FAILED = 67,  /* enum guest_failure 4, errno 4, text. The channel's last */
        GUEST_STEPS = 68,   /* for each step: its name, what is wrong with it ("": done) */
        GUEST_STARTED = 69, /* process id 4 */
        GUEST_OUTPUT = 70,
        GUEST_ERRORS = 71,
        GUEST_TAKEN = 72,   /* so many bytes of the input were taken, 4 */
        GUEST_ENDED = 73,   /* exit code 4, whether by its timeout 4. The channel's last */
        GUEST_ADDRESSES = 74, /* texts: address by address, the link's name before each */
};

enum guest_failure {
        GUEST_FAILED_SYSTEM = 1,  /* a system call, see errno */
        GUEST_FAILED_GRAMMAR,     /* the request is not of this grammar */
        GUEST_FAILED_USER,        /* there is no such user */
        GUEST_FAILED_FOLDER,      /* the working folder can't be entered */
        GUEST_FAILED_COMMAND,     /* there is no such command, or it can't be run */
        GUEST_FAILED_TERMINAL,    /* no pseudo-terminal can be had */
        GUEST_FAILED_FROZEN,      /* the filesystems are frozen */
        GUEST_FAILED_UNKNOWN,     /* this version does not know the request */
        GUEST_FAILED_BUSY,        /* too many commands at once */
};

enum guest_power { GUEST_POWER_OFF = 0, GUEST_POWER_REBOOT = 1 };

/* Flags of WELCOME. */
#define GUEST_HAS_CLOUD_INIT 1u /* it is enabled: an identity waits for it */

/* ---- Frames (protocol_frame.c) ---- */

/* Adds a frame to what will be sent. length is at most GUEST_PAYLOAD_BYTES. */
void guest_frame_add(struct str *out, enum guest_type type, unsigned channel, const void *payload, size_t length);
/* The same of a request of any length up to GUEST_MESSAGE_BYTES, in pieces. */
void guest_message_add(struct str *out, enum guest_type type, unsigned channel, const void *payload, size_t length);
/* Adds the NUL that ends whatever came before. */
void guest_frame_reset(struct str *out);

struct guest_frame {
        unsigned type, channel; /* as they came: any number */
        const uint8_t *payload; /* borrowed, until the decoder is used again */
        size_t length;
};

struct guest_decoder {
        uint8_t *bytes; /* of the frame that is not whole yet */
        size_t length;
        bool too_long;  /* it is; what remains of it is dropped */
        uint64_t dropped; /* frames that were damaged */
};
void guest_decoder_free(struct guest_decoder *decoder);
define_owned(struct guest_decoder, guest_decoder_free)
#define owned_decoder owned_by(guest_decoder_free)
/* Takes bytes, *at and *left are moved on: true with the next whole frame, false when all were taken. */
bool guest_decode(struct guest_decoder *decoder, const uint8_t **at, size_t *left, struct guest_frame *ret);

/* ---- Payloads (protocol_payload.c) ---- */

void guest_put_number(struct str *out, uint32_t number);
void guest_put_long(struct str *out, uint64_t number);
void guest_put_bytes(struct str *out, const void *bytes, size_t length); /* a text's length and its bytes */
void guest_put_text(struct str *out, const char *text);                 /* NULL is "" */

struct guest_reader {
        const uint8_t *at;
        size_t left;
        bool bad; /* something was not there: all that was read since is 0 and "" */
};
uint32_t guest_get_number(struct guest_reader *reader);
uint64_t guest_get_long(struct guest_reader *reader);
/* A text of at most `limit` bytes, the caller's; never NULL. */
char *guest_get_text(struct guest_reader *reader, size_t limit);
/* Bytes without a length before them, borrowed; NULL where there are not so many. */
const uint8_t *guest_get_raw(struct guest_reader *reader, size_t length);
/* Whether all was there, and nothing is left. */
bool guest_get_end(const struct guest_reader *reader);

/* ---- Requests (protocol_request.c): each is checked to its last byte before anything is done with it ---- */

#define GUEST_HOSTNAME_BYTES 64u
#define GUEST_KEY_BYTES 4096u
#define GUEST_LOGIN_BYTES 16384u
#define GUEST_SEED_BYTES 512u
#define GUEST_PATH_BYTES 4096u
#define GUEST_NAME_BYTES 255u

/* What is "" or 0 stays as it is. */
struct guest_identity {
        char *instance_id; /* where the guest bears this mark already, only link, clock and login are looked at */
        char *hostname;    /* letters, digits, '-', '_', '.', at most 64 */
        char *machine_id;  /* 32 digits of lower-case hex */
        char *link;        /* whose address it is; "": the first of a device */
        char *mac;         /* 52:54:00:aa:bb:cc, of one station */
        char *host_key, *host_key_public; /* an ed25519 key pair in OpenSSH's two file formats */
        char *login;       /* a public key that may log in as root, one line */
        char *seed;        /* for the random pool: hex, two digits a byte */
        uint64_t wall_ns;  /* the time since 1970 */
        bool renew;        /* the DHCP client is told to ask again */
        bool sync;         /* files are on the disk before it is answered */
};
void guest_identity_free(struct guest_identity *identity);
define_owned(struct guest_identity, guest_identity_free)
#define owned_guest_identity owned_by(guest_identity_free)
void guest_identity_put(struct str *out, const struct guest_identity *identity);
/* False where it is not of the grammar: *ret_what then names what, static. */
bool guest_identity_get(const void *payload, size_t length, struct guest_identity *ret, const char **ret_what);

struct guest_mount {
        char *tag, *path; /* of a 9p device; absolute */
        bool read_only;
};
void guest_mount_free(struct guest_mount *mount);
define_owned(struct guest_mount, guest_mount_free)
#define owned_guest_mount owned_by(guest_mount_free)
void guest_mount_put(struct str *out, const struct guest_mount *mount);
bool guest_mount_get(const void *payload, size_t length, struct guest_mount *ret, const char **ret_what);

#define GUEST_RUN_TERMINAL 1u /* a pseudo-terminal is its input, its output and its errors */
#define GUEST_RUN_NO_INPUT 2u /* its input is /dev/null */
#define GUEST_WORDS 4096u     /* arguments, or variables */

struct guest_run {
        struct strv argv;        /* none: the user's login shell */
        struct strv environment; /* NAME=value, besides PATH, HOME, USER, LOGNAME, SHELL */
        char *folder;            /* "": the user's home, or "/" */
        char *user;              /* a name or a number; "": root */
        char *term;              /* TERM, of a terminal */
        uint32_t flags, rows, columns;
        uint64_t timeout_ms;     /* 0: none. Then it and all that it started are killed */
};
void guest_run_free(struct guest_run *run);
define_owned(struct guest_run, guest_run_free)
#define owned_guest_run owned_by(guest_run_free)
void guest_run_put(struct str *out, const struct guest_run *run);
bool guest_run_get(const void *payload, size_t length, struct guest_run *ret, const char **ret_what);
