/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every parameter of the language, once: what it is called, its type, its range, what it is where it is not given, and a
 * sentence for the help. Which verb takes it, and whether it must be there, stands in table.c.
 */
#include "command/table.h"

static const struct cowherd_parameter parameters[KEY_COUNT] = {
        [KEY_NAME] = {.name = "name", .type = "name", .help = "Name of the instance."},
        [KEY_AS] = {.name = "as", .type = "name", .help = "The new name."},
        [KEY_BASE] = {.name = "base", .type = "name", .help = "The base (or the clone) that the new clone shares its blocks with."},
        [KEY_COUNT_OF] = {.name = "count", .type = "count", .range = "1..10000", .fallback = "1",
                          .help = "How many clones: count=3 makes NAME-1, NAME-2 and NAME-3, their names taken all or none."},

        [KEY_IMAGE] = {.name = "image", .type = "text",
                       .help = "A disk image's file, or an image by its name such as ubuntu:22.04."},
        [KEY_ROOTFS] = {.name = "rootfs", .type = "path", .help = "A folder that holds a whole root file system."},
        [KEY_TARBALL] = {.name = "tarball", .type = "path", .help = "A tar archive of a root file system, compressed or not."},
        [KEY_DISTRO] = {.name = "distro", .type = "text", .help = "A distribution to bootstrap: debian or ubuntu."},
        [KEY_RELEASE] = {.name = "release", .type = "text", .help = "The distribution's release, such as bookworm."},
        [KEY_MIRROR] = {.name = "mirror", .type = "text", .help = "Where the distribution's packages come from."},
        [KEY_VARIANT] = {.name = "variant", .type = "extract|custom|essential|apt|required|minbase|buildd|important|standard",
                         .fallback = "minbase", .help = "How much of the distribution is installed, in mmdebstrap's words."},
        [KEY_PACKAGES] = {.name = "packages", .type = "text", .help = "More packages to install, with commas between them."},
        [KEY_FROM] = {.name = "from", .type = "name", .help = "A clone to make the base of; the clone goes on unchanged."},
        [KEY_ADOPT] = {.name = "adopt", .type = "boolean", .fallback = "false",
                       .help = "Take the given file or folder itself instead of copying it."},
        [KEY_FORMAT] = {.name = "format", .type = "qcow2|raw|vmdk|vdi|vhdx",
                        .help = "The disk image's format, where its header should not be asked."},

        [KEY_STORE] = {.name = "store", .type = "qcow2|reflink|btrfs|zfs|overlay|lxd_pool|hardlink|copy",
                       .help = "What makes the sharing; without it the best one that works here is taken."},
        [KEY_SIZE] = {.name = "size", .type = "size", .range = "64M..64T", .help = "Size of the embedded pool's file."},
        [KEY_POOL] = {.name = "pool", .type = "text", .help = "A pool that exists: a ZFS dataset, or a storage pool of LXD."},
        [KEY_WARM] = {.name = "warm", .type = "count", .range = "0..1024",
                      .help = "How many instances are kept started in advance."},

        [KEY_MEMORY] = {.name = "memory", .type = "size", .range = "1M..64T", .help = "Memory of the instance."},
        [KEY_CPUS] = {.name = "cpus", .type = "count", .range = "1..1024", .help = "Processors of the instance."},
        [KEY_DISK_SIZE] = {.name = "disk_size", .type = "size", .range = "1M..64T",
                           .help = "Size of the clone's disk, at least the base's."},
        [KEY_NETWORK] = {.name = "network", .type = "text", .help = "What the clone's network card is connected to."},
        [KEY_PORTS] = {.name = "ports", .type = "text", .help = "Ports led to the clone, HOST:GUEST with commas between them."},
        [KEY_IDENTITY] = {.name = "identity", .type = "fresh|keep", .fallback = "fresh",
                          .help = "Whether the clone gets a hostname, machine-id, MAC and keys of its own, or keeps its base's."},
        [KEY_DURABLE] = {.name = "durable", .type = "boolean", .fallback = "false",
                         .help = "Write everything through to the disk before the answer."},
        [KEY_ATOMIC] = {.name = "atomic", .type = "boolean", .fallback = "false",
                        .help = "If one of several fails, undo all of them."},

        [KEY_START] = {.name = "start", .type = "boolean", .fallback = "false", .help = "Start it at once."},
        [KEY_WAIT] = {.name = "wait", .type = "boolean", .fallback = "false", .help = "Answer only when it is ready."},
        [KEY_TTL] = {.name = "ttl", .type = "duration", .range = "1s..", .help = "How long it lives before cleanup removes it."},
        [KEY_TIMEOUT] = {.name = "timeout", .type = "duration", .range = "1ms..", .help = "How long to wait at most."},
        [KEY_FORCE] = {.name = "force", .type = "boolean", .fallback = "false",
                       .help = "Do it even where it is running or in use by itself."},
        [KEY_ALL] = {.name = "all", .type = "boolean", .fallback = "false",
                     .help = "Also what other herds and other tools have made."},
        [KEY_FOR] = {.name = "for", .type = "running|ready|stopped|address", .fallback = "ready", .help = "What to wait for."},

        [KEY_COMMAND] = {.name = "command", .type = "text", .help = "The command, run by a shell inside the guest."},
        [KEY_WORKING_DIR] = {.name = "working_dir", .type = "path", .help = "The folder of the guest to run it in."},
        [KEY_USER] = {.name = "user", .type = "text", .help = "The guest's user to run it as."},
        [KEY_ENV] = {.name = "env", .type = "text", .help = "Variables for it, NAME=value with blanks between them."},
        [KEY_STDIN] = {.name = "stdin", .type = "text", .help = "What it reads."},
        [KEY_SHELL] = {.name = "shell", .type = "text", .help = "The guest's shell that runs it."},
        [KEY_LOCAL] = {.name = "local", .type = "path", .help = "The file or folder on this host."},
        [KEY_REMOTE] = {.name = "remote", .type = "path", .help = "The file or folder in the guest."},

        [KEY_SNAPSHOT] = {.name = "snapshot", .type = "name", .help = "Name of the snapshot."},
        [KEY_LIVE] = {.name = "live", .type = "boolean", .fallback = "false", .help = "Keep its memory too, as it runs."},
        [KEY_FILE] = {.name = "file", .type = "path", .help = "The script's file."},
        [KEY_TOPIC] = {.name = "topic", .type = "text", .help = "A verb or a topic: targets, names, types, answers, codes, rexx."},
        [KEY_LINES] = {.name = "lines", .type = "count", .range = "1..", .fallback = "100", .help = "How many of the last lines."},

        [KEY_DRY_RUN] = {.name = "dry_run", .type = "boolean", .fallback = "false",
                         .help = "Only print the plan; nothing is changed."},
        [KEY_STEM] = {.name = "stem", .type = "stem", .help = "A stem of the calling script, such as 'out.', that gets the answer too."},
};

const struct cowherd_parameter *parameter_of(enum key key)
{
        return &parameters[key];
}
