/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka's headers in the order it wants. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
