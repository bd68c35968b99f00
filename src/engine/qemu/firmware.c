/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UEFI: OVMF's code is everybody's and read-only, its variables (boot order, keys) are each machine's own: a copy that
 * is made at the first start and lies in the instance's folder, so that it survives a stop and goes with the instance.
 */
#include "engine/qemu/host.h"

#include "base/mem.h"
#include "engine/qemu/runtime.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define FOLDER "/usr/share/OVMF/"
#define BESIDE QEMU_VARIABLES ".new"

static const struct {
        const char *code, *variables;
} known[] = {
        {FOLDER "OVMF_CODE_4M.fd", FOLDER "OVMF_VARS_4M.fd"},
        {FOLDER "OVMF_CODE.fd", FOLDER "OVMF_VARS.fd"},
};

int qemu_firmware_find(const char **ret_code, const char **ret_variables, struct cowherd_error *err)
{
        for (size_t i = 0; i < array_length(known); i++)
                if (access(known[i].code, R_OK) == 0 && access(known[i].variables, R_OK) == 0) {
                        *ret_code = known[i].code;
                        *ret_variables = known[i].variables;
                        return 0;
                }
        (void)fail(err, COWHERD_UNAVAILABLE, "firmware=uefi is not installed here: there is no '%s'", known[0].code);
        return fail_hint(err, "install it, on Debian: apt install ovmf");
}

/* Beside first: a half copy must never pass for the variables. */
static int make_copy(int folder, struct cowherd_error *err)
{
        const char *code, *variables;

        if (qemu_firmware_find(&code, &variables, err) < 0)
                return -1;
        owned_fd int from = open(variables, O_RDONLY | O_CLOEXEC);
        if (from < 0)
                return fail_errno(err, "cannot open '%s'", variables);
        owned_fd int to = openat(folder, BESIDE, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (to < 0)
                return fail_errno(err, "cannot make '%s'", BESIDE);
        if (file_copy(from, to, NULL, NULL, err) < 0)
                return fail_while(err, "copying '%s'", variables);
        if (renameat(folder, BESIDE, folder, QEMU_VARIABLES) < 0)
                return fail_errno(err, "cannot put '%s' in its place", QEMU_VARIABLES);
        return 0;
}

int qemu_firmware_open_variables(const struct engine_instance *instance, int *ret_fd, struct cowherd_error *err)
{
        owned_fd int folder = -1;

        if (qemu_folder_open(instance, &folder, err) < 0)
                return -1;
        owned_fd int fd = openat(folder, QEMU_VARIABLES, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT) {
                if (make_copy(folder, err) < 0)
                        return -1;
                fd = openat(folder, QEMU_VARIABLES, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
        }
        if (fd < 0)
                return fail_errno(err, "cannot open '%s' of '%s'", QEMU_VARIABLES, instance->name);
        *ret_fd = take_fd(fd);
        return 0;
}
