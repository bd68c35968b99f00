/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The C library's <sys/file.h> (flock) and <sys/mount.h>, which have the names of two headers of this room: a plain
 * include finds ours, as the compiler looks in src/ first.
 */
#pragma once

#include_next <sys/file.h>
#include_next <sys/mount.h>
