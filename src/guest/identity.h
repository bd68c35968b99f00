/* SPDX-License-Identifier: Apache-2.0 */
/* An identity that is being given, as the files of identity*.c share it. */
#pragma once

#include "guest/program.h"

struct steps {
        struct str text;
        bool failed;
        bool over; /* files are written over: the machine woke, on a disk that is as new as this identity */
};

/* ---- identity.c ---- */

/* That a step was done, or with an errno what is wrong, of what. */
void steps_tell(struct steps *steps, const char *name, int os_errno, const char *what);

/* ---- identity_random.c ---- */

/* The pool's, and that of the next boot; `seed` is hex. */
void identity_set_random(struct steps *steps, const char *seed);

/* ---- identity_files.c ---- */

/* Names and keys, which stay until there is another identity; what was leased to another goes. */
void identity_set_files(struct steps *steps, const struct guest_identity *identity);
/* Lets the owner of a public key log in, besides those who may already. */
void identity_set_login(struct steps *steps, const char *login);
