/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An SSH host key, made without ssh-keygen (which takes 5 ms to start): ed25519 by nettle, written in OpenSSH's formats
 * (PROTOCOL.key of OpenSSH, RFC 8709). The randomness is getrandom(2)'s.
 */
#pragma once

#include "base/error.h"

/*
 * Makes a new key. *ret_private is the text of ssh_host_ed25519_key, *ret_public the line of ssh_host_ed25519_key.pub,
 * both with their newline and the caller's (the private one is a secret: 0600). `comment` ("root@web-1") has no
 * newline. 69 where the module that does it is not installed.
 */
int host_key_make(const char *comment, char **ret_private, char **ret_public, struct cowherd_error *err) must_check;
