/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine takes of its host: acceleration, firmware, a place on a bridge, folders; each asked before, then opened. */
#pragma once

#include "engine/engine.h"
#include "engine/qemu/line.h"

#include <sys/types.h>

/* ---- facts.c ---- */

/* The emulator of this machine's architecture: qemu-system-x86_64. To be freed. */
char *qemu_program(void);
/* Fills what the line can't know; ret->program is the caller's (free). 69 where acceleration or memory can't be had. */
int qemu_facts_find(const struct engine_instance *instance, struct qemu_facts *ret, struct cowherd_error *err) must_check;
/* The group that may open /dev/kvm, where others may not; 0: none is needed. */
gid_t qemu_kvm_group(void);

/* ---- users.c ---- */

#define QEMU_USERS_FIRST 0x70000000u /* above what systemd gives to containers, below what is negative to some */
#define QEMU_USERS_COUNT 0x0fffffffu

/* User ids that belong to root's machines. */
struct qemu_users {
        uid_t first;
        uint32_t count;
};

/* The range in a text as of /etc/subuid; *ret stays as it is where there is none. 78 where it is wrong, `path` for the message. */
int qemu_users_parse(const char *text, const char *path, struct qemu_users *ret, struct cowherd_error *err) must_check;
uid_t qemu_users_pick(const struct qemu_users *users, const char *herd_uuid, uint64_t id);
/* Whether this host's range can be used; 78 where it is written down wrongly. */
int qemu_users_check(struct cowherd_error *err) must_check;
/* The user id of a machine started by root: its own in this herd, and hardly ever another herd's. */
uid_t qemu_user(const struct engine_instance *instance);

/* ---- check.c ---- */

int qemu_check(const struct engine_instance *instance, struct cowherd_error *err) must_check;

/* ---- firmware.c ---- */

/* 69 with the package where OVMF is not installed. */
int qemu_firmware_find(const char **ret_code, const char **ret_variables, struct cowherd_error *err) must_check;
/* Opens this machine's variables, a copy of OVMF's made at its first start, in its own folder. */
int qemu_firmware_open_variables(const struct engine_instance *instance, int *ret_fd, struct cowherd_error *err) must_check;

/* ---- bridge.c ---- */

/* 66 where there is no bridge of that name; 69, 77 where none can be used. */
int qemu_bridge_check(const char *bridge, struct cowherd_error *err) must_check;
/* A tap device on the bridge, up; it is gone with its last descriptor. */
int qemu_bridge_open(const char *bridge, int *ret_fd, struct cowherd_error *err) must_check;

/* ---- share.c ---- */

/*
 * Opens a folder of the host as a machine may have it. For root's machines, whose user owns nothing, that is a mount of its own on
 * which the folder's owner and the machine's user are one (an idmapped mount), seen by nobody else, gone with its last descriptor.
 */
int qemu_share_open(const struct engine_mount *mount, uid_t user, int *ret_fd, struct cowherd_error *err) must_check;

/* ---- open.c ---- */

struct qemu_files {
        int *items; /* one for each slot */
        size_t count;
};
void qemu_files_free(struct qemu_files *files);
define_owned(struct qemu_files, qemu_files_free)
#define owned_files owned_by(qemu_files_free)
/* Opens what the line's slots name. */
int qemu_files_open(const struct engine_instance *instance, const struct qemu_facts *facts, const struct qemu_line *line,
                    int runtime, struct qemu_files *ret, struct cowherd_error *err) must_check;
