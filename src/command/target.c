/* SPDX-License-Identifier: Apache-2.0 */
/* The targets and their names. */
#include "base/mem.h"
#include "base/str.h"
#include "cowherd.h"

static const char *const names[] = {
        [COWHERD_QEMU] = "qemu",    [COWHERD_LXD] = "lxd", [COWHERD_NSPAWN] = "nspawn",
        [COWHERD_SELF] = "cowherd", [COWHERD_ANY] = "any",
};

bool cowherd_target_parse(const char *name, enum cowherd_target *ret_target)
{
        for (unsigned i = COWHERD_QEMU; i <= COWHERD_SELF; i++)
                if (str_equal_case(names[i], name)) {
                        *ret_target = (enum cowherd_target)i;
                        return true;
                }
        return false;
}

const char *cowherd_target_name(enum cowherd_target target)
{
        return (unsigned)target < array_length(names) ? names[target] : "any";
}
