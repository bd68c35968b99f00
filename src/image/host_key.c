/* SPDX-License-Identifier: Apache-2.0 */
/* Opens the module that makes keys. */
#include "image/host_key.h"

#include "image/host_key_module.h"
#include "sys/module.h"

int host_key_make(const char *comment, char **ret_private, char **ret_public, struct cowherd_error *err)
{
        void *make = NULL;

        if (module_symbol("key", "cowherd_host_key_make", &make, err) < 0)
                return fail_while(err, "making a host key");
        ((host_key_make_fn *)make)(comment, ret_private, ret_public);
        return 0;
}
