/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heavy libraries (libcurl, libarchive) cost 9 ms at start, ten times a clone. What needs them lives in modules that
 * are opened when first asked for: from the compiled-in library folder, or the build folder by what lies in the build folder, never
 * from an environment variable or the current folder, and only where the file belongs to root or to whoever runs this
 * and nobody else can write it.
 */
#pragma once

#include "base/error.h"

/*
 * Where a program or file that is started or copied, not loaded, lies: in the build folder for what was built there, else where it is
 * installed. To be freed; it may not exist.
 */
char *module_program(const char *name);

/* The address of `symbol` in the module `name` ("lxd" is cowherd-lxd.so). 69 where it is not installed, 77 if unsafe. */
int module_symbol(const char *name, const char *symbol, void **ret, struct cowherd_error *err) must_check;

/* A program of ours that lies where the modules do ("keeper" is cowherd-keeper), to be freed; 69, 77 likewise. */
int module_helper(const char *name, char **ret_path, struct cowherd_error *err) must_check;
