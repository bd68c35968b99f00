/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cowherd-warm ROOT: keeps clones warm, for as long as there is something to be made. Started by warm_start.c with the lock that
 * says so as descriptor 3; nobody starts it by hand, and by hand it refuses.
 */
#include "herd/warm.h"

#include <fcntl.h>
#include <stdio.h>

#define LOCK 3

int main(int argc, char **argv)
{
        if (argc != 2 || fcntl(LOCK, F_GETFD) < 0) {
                (void)fputs("cowherd-warm: cowherd starts this program by itself, to keep clones ready (see warm= in cowherd help setup)\n", stderr);
                return COWHERD_USAGE;
        }
        return warm_run(argv[1], LOCK);
}
