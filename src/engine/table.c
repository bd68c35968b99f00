/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of engines. LXD's needs JSON and YAML and lives in a module. */
#include "engine/engine.h"

#include "base/mem.h"
#include "engine/drivers.h"
#include "sys/module.h"

int engine_find(enum cowherd_target target, const struct engine_driver **ret, struct cowherd_error *err)
{
        static const struct engine_driver *const built_in[] = {[COWHERD_QEMU] = &engine_qemu, [COWHERD_NSPAWN] = &engine_nspawn};
        void *symbol = NULL;

        if ((size_t)target < array_length(built_in) && built_in[target] != NULL) {
                *ret = built_in[target];
                return 0;
        }
        if (target != COWHERD_LXD)
                return fail(err, COWHERD_INTERNAL, "target %d has no engine", (int)target);
        if (module_symbol("lxd", "cowherd_engine_lxd", &symbol, err) < 0)
                return fail_while(err, "opening engine 'lxd'");
        *ret = symbol;
        return 0;
}

const char *engine_state_name(enum engine_state state)
{
        static const char *const names[] = {
                [ENGINE_UNKNOWN] = "unknown", [ENGINE_STOPPED] = "stopped", [ENGINE_RUNNING] = "running",
                [ENGINE_PAUSED] = "paused",   [ENGINE_MISSING] = "missing",
        };
        return names[state];
}
