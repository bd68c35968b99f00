/* SPDX-License-Identifier: Apache-2.0 */
/* The C library's <sys/mount.h>, which has the name of a header of another room (see sys/libc.h). */
#pragma once

#include_next <sys/mount.h>
