/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The script's variables, by Regina's variable pool. A name that is set or dropped is taken as it stands (RXSHV_SET): a
 * tail in small letters would be kept and never seen, so callers give upper case. A name that is read is a symbol
 * (RXSHV_SYFET): it is made upper case and its tail replaced, as in the script itself.
 */
#include "rexx/host.h"

#include <stdint.h>
#include <string.h>

/* One request. The names are not written to, whatever the type says. */
static UCHAR ask(UCHAR code, const char *name, const char *value, SHVBLOCK *block)
{
        *block = (SHVBLOCK){.shvcode = code};
        block->shvname.strptr = (char *)(uintptr_t)name;
        block->shvname.strlength = strlen(name);
        block->shvnamelen = block->shvname.strlength;
        if (value != NULL) {
                block->shvvalue.strptr = (char *)(uintptr_t)value;
                block->shvvalue.strlength = strlen(value);
                block->shvvaluelen = block->shvvalue.strlength;
        }
        (void)regina.variable_pool(block); /* the same bits as shvret, for the one block */
        return block->shvret;
}

bool variable_set(const char *name, const char *value)
{
        SHVBLOCK block;

        return (ask(RXSHV_SET, name, value, &block) & ~RXSHV_NEWV) == 0;
}

void variable_drop(const char *name)
{
        SHVBLOCK block;

        (void)ask(RXSHV_DROPV, name, NULL, &block);
}

bool variable_get(const char *symbol, char **ret_value, size_t *ret_length)
{
        SHVBLOCK block;
        UCHAR told = ask(RXSHV_SYFET, symbol, NULL, &block); /* no room given: Regina allocates it */
        bool found = told == RXSHV_OK;

        if (found) {
                *ret_value = text_copy(block.shvvalue.strptr, block.shvvalue.strlength);
                *ret_length = block.shvvalue.strlength;
        }
        if (block.shvvalue.strptr != NULL)
                (void)regina.free_memory(block.shvvalue.strptr);
        return found;
}
