/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libregina, opened when a script is run. The loader takes 0.2 ms for it, a tenth of a clone, and no other command wants
 * it. It is found by its name where the loader would have found it anyway. It is opened for all to see, as a library
 * that a program is linked with is, since packages of REXX functions that a script loads call back into it.
 */
#include "rexx/host.h"

#include <dlfcn.h>

#define LIBRARY "libregina.so.3"

struct regina regina;

bool regina_open(void)
{
        static const struct {
                const char *name;
                size_t at;
        } symbols[] = {
                {"RexxStart", offsetof(struct regina, start)},
                {"RexxSetHalt", offsetof(struct regina, set_halt)},
                {"RexxVariablePool", offsetof(struct regina, variable_pool)},
                {"RexxFreeMemory", offsetof(struct regina, free_memory)},
                {"RexxRegisterExitExe", offsetof(struct regina, register_exit)},
                {"RexxDeregisterExit", offsetof(struct regina, deregister_exit)},
                {"RexxRegisterFunctionExe", offsetof(struct regina, register_function)},
                {"RexxDeregisterFunction", offsetof(struct regina, deregister_function)},
                {"ReginaCleanup", offsetof(struct regina, clean_up)},
        };
        void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_GLOBAL);

        for (unsigned i = 0; library != NULL && i < sizeof symbols / sizeof symbols[0]; i++) {
                void *found = dlsym(library, symbols[i].name);
                if (found == NULL)
                        return false;
                *(void **)(void *)((char *)&regina + symbols[i].at) = found;
        }
        return library != NULL;
}
