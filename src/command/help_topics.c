/* SPDX-License-Identifier: Apache-2.0 */
/* What no verb's help can tell: the targets, the words of the language and its answers, in 80 columns. */
#include "command/help.h"

#include "base/mem.h"

static const struct help_topic topics[] = {
        {"syntax", "syntax: how a command is written",
         "  VERB key=value key=value ...\n"
         "\n"
         "Words are apart by blanks. A value with blanks is quoted as a whole, \"...\" or\n"
         "'...'; inside, the quote itself is written twice, and nothing else is special.\n"
         "Verbs and keys are understood in any case.\n"
         "\n"
         "In the shell, keys may also be options, and '-' may stand for '_':\n"
         "  cowherd qemu clone_from_base base=vm-base name=vm-1 memory=2G\n"
         "  cowherd qemu clone-from-base vm-base vm-1 --memory 2G --dry-run\n"
         "Bare words fill the parameters that 'cowherd help VERB' shows in capitals.\n"
         "What follows -- is the command to run in the guest: one word is a command line,\n"
         "several are a program and its arguments.\n"
         "\n"
         "From REXX, {{symbol}} in a value is replaced by that variable after the words\n"
         "were split; {{{{ stands for {{.\n"},
        {"types", "types: what values look like",
         "  name      a letter, then letters, digits and '-', not ending in '-', at most\n"
         "            63 (QEMU takes '_' and '.' inside as well); case makes no difference\n"
         "  pattern   a name in which * stands for any characters, ? for any one\n"
         "  size      512M, 2G, 2GiB: K, M, G and T are powers of 1024\n"
         "  duration  500ms, 30s, 10m, 2h, 7d; a bare number is seconds\n"
         "  boolean   true false, yes no, 1 0\n"
         "  count     a whole number\n"
         "  path      a file or folder\n"
         "  stem      a REXX stem with its period: out.\n"},
        {"targets", "targets: whom a command is spoken to",
         "  qemu      virtual machines: qcow2 and raw disks; no root needed\n"
         "  lxd       containers of LXD or Incus, over its socket\n"
         "  nspawn    containers of systemd-nspawn: folders; root needed\n"
         "  cowherd   verbs of no engine: run, doctor, help\n"
         "\n"
         "In the shell a target may be left out where the name is the only one; 'list'\n"
         "and 'status' without a target speak of all three.\n"},
        {"qemu", "qemu: virtual machines",
         "Bases are disks: image=FILE in qcow2 or raw is cloned as it is, vmdk, vdi and\n"
         "vhdx are converted once, at registration. A clone is a qcow2 overlay of a few\n"
         "kilobytes. No root is needed.\n"
         "\n"
         "  cowherd qemu register_base vm-base image=debian.qcow2\n"
         "  cowherd qemu clone_from_base base=vm-base name=vm-1\n"
         "\n"
         "'cowherd help' lists the verbs.\n"},
        {"lxd", "lxd: containers of LXD or Incus",
         "Images are named as lxc takes them: ubuntu:22.04, images:debian/12, a local\n"
         "alias or a fingerprint. A clone is a copy-on-write copy in LXD's own pool and\n"
         "bears its name in LXD, too. Access to LXD's socket is needed.\n"
         "\n"
         "  cowherd lxd register_base ct-base image=ubuntu:22.04\n"
         "  cowherd lxd clone_from_base base=ct-base name=ct-1\n"
         "\n"
         "'cowherd help' lists the verbs.\n"},
        {"nspawn", "nspawn: containers of systemd-nspawn",
         "Bases are trees: rootfs=FOLDER, tarball=FILE or distro=debian. Clones share\n"
         "their blocks by btrfs, zfs, reflink or overlay, whatever works in the root\n"
         "folder; 'cowherd nspawn status' tells. Root is needed.\n"
         "\n"
         "  cowherd nspawn register_base ns-base distro=debian\n"
         "  cowherd nspawn clone_from_base base=ns-base name=ns-1\n"
         "\n"
         "'cowherd help' lists the verbs.\n"},
        {"stores", "stores: what makes the sharing",
         "  qcow2     a disk overlay that reads through to its base\n"
         "  reflink   shared blocks of one file system (XFS, btrfs)\n"
         "  btrfs     a snapshot of a subvolume\n"
         "  zfs       a clone of a snapshot\n"
         "  overlay   an overlay mount: works on any file system\n"
         "  lxd_pool  LXD's own storage pool\n"
         "  hardlink  an overlay over hard links; needs its base no more; on request\n"
         "  copy      a full copy; on request\n"
         "\n"
         "Without store= the best one that works here is taken, and the answer names it.\n"
         "'cowherd nspawn setup store=btrfs size=20G' makes a pool in one file.\n"},
        {"answers", "answers: what a command gives back",
         "Every answer has success (1 or 0), operation (the verb), and output (one\n"
         "sentence); a failure has error, code and often hint instead of output. Then\n"
         "come the verb's own fields; lists have count and their items.\n"
         "\n"
         "  in the shell   the sentence or a table; --json prints all of it\n"
         "  in REXX        RC, RESULT, RESULT.field, RESULT.0 and RESULT.i.field\n"
         "\n"
         "The exit status, and RC, is the code: see 'cowherd help codes'.\n"},
        {"codes", "codes: exit status and RC",
         "   0  done                              71  a system call or a tool failed\n"
         "  64  bad verb, key or value            73  already exists\n"
         "  65  bad image or data                 74  input/output error, or no space\n"
         "  66  not found                         75  busy, in use, or timed out\n"
         "  69  not available here                77  not permitted\n"
         "  70  a bug of cowherd                  78  bad configuration\n"},
        {"rexx", "rexx: scripts",
         "  cowherd run FILE.rexx [ARGUMENT ...]   or   #! /usr/bin/env cowherd\n"
         "\n"
         "  ADDRESS QEMU\n"
         "  \"clone_from_base base=vm-base name=vm-\"i\n"
         "  IF RC = 0 THEN SAY RESULT.name 'in' RESULT.clone_ms 'ms'\n"
         "            ELSE SAY RESULT.error\n"
         "\n"
         "A quoted string is a command to the environment that ADDRESS names: QEMU, LXD,\n"
         "NSPAWN or COWHERD. A code other than 0 raises ERROR, for SIGNAL ON ERROR.\n"
         "See cowherd-rexx(7).\n"},
};

const struct help_topic *help_topic_at(size_t index)
{
        return index < array_length(topics) ? &topics[index] : NULL;
}
