/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka, in the order it wants its headers. Its macro `fail` has the name of our function. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#undef fail
#undef fail_msg /* is made of it */

#define fail_because(...)                                                                                              \
        do {                                                                                                           \
                print_error(__VA_ARGS__);                                                                              \
                _fail(__FILE__, __LINE__);                                                                             \
        } while (0)
