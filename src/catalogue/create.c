/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a catalogue. Many processes may want to at once, and any of them may be killed: it is made whole under another
 * name and then renamed, by one process at a time. That is whoever holds a lock on the new file itself (fcntl(2), an
 * open file description lock: SQLite's own on the same file are the process's, and its closing drops those alone). So
 * catalogue.db is never seen half-made, and what a killed maker left is made anew by the next one.
 */
#include "catalogue/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEW_FILE CATALOGUE_FILE ".new"
/*
 * A row has some 350 bytes. The log has whole pages, which a clone writes seven of and the next process reads again: with pages of 4096
 * a clone by a process of its own takes 6 % longer. A list of 10,000, which reads all of them, is 7 % quicker with those.
 */
#define PAGE_BYTES 1024
#define FILE_MODE 0600

static int fail_making(const char *path, struct cowherd_error *err)
{
        return fail_errno(err, "cannot make the catalogue '%s'", path);
}

static bool is_made(int folder)
{
        return faccessat(folder, CATALOGUE_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Whether a descriptor's file is still the one of that name: its last holder has renamed or removed it, if not. */
static bool is_new_file(int folder, int fd)
{
        struct stat opened, named;

        return fstat(fd, &opened) == 0 && fstatat(folder, NEW_FILE, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
               opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

/* Opens the new file and takes its lock: 1 where there is a catalogue by now. */
static int lock_new(int folder, const char *path, int *ret_fd, struct cowherd_error *err)
{
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};

        for (;;) {
                if (is_made(folder))
                        return 1;
                int fd owned_fd = openat(folder, NEW_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
                if (fd < 0)
                        return fail_making(path, err);
                int locked;
                do
                        locked = fcntl(fd, F_OFD_SETLKW, &lock);
                while (locked < 0 && errno == EINTR);
                if (locked < 0)
                        return fail_making(path, err);
                if (is_new_file(folder, fd)) {
                        *ret_fd = take_fd(fd);
                        return 0;
                }
        }
}

/* SQLite removes these when it closes the new file; where they are, their maker was killed. */
static void remove_leftovers(int folder)
{
        (void)unlinkat(folder, NEW_FILE "-wal", 0);
        (void)unlinkat(folder, NEW_FILE "-shm", 0);
        (void)unlinkat(folder, NEW_FILE "-journal", 0);
}

/*
 * The log of a catalogue that is gone: SQLite would carry it over into the next one. Only to be called by whoever holds
 * the new file's lock, while there is no catalogue.
 */
static void remove_log(int folder)
{
        (void)unlinkat(folder, CATALOGUE_FILE "-wal", 0);
        (void)unlinkat(folder, CATALOGUE_FILE "-shm", 0);
}

/* Fills an empty file. No syncs: the whole file is synced once, before it gets its name. */
static int fill(const char *path, struct cowherd_error *err)
{
        struct catalogue catalogue = {.path = x_asprintf("%s.new", path)};
        owned_str char *owned_path = catalogue.path;
        owned_str char *text =
                x_asprintf("PRAGMA page_size = %d; PRAGMA synchronous = OFF; PRAGMA application_id = %d; PRAGMA user_version = %d; "
                           "BEGIN; %s COMMIT; PRAGMA journal_mode = WAL;",
                           PAGE_BYTES, CATALOGUE_APPLICATION, CATALOGUE_VERSION, catalogue_schema);
        int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, failed = 0;

        if (sqlite3_open_v2(owned_path, &catalogue.db, flags, NULL) != SQLITE_OK ||
            sqlite3_exec(catalogue.db, text, NULL, NULL, NULL) != SQLITE_OK)
                failed = catalogue_fail(&catalogue, err);
        if (sqlite3_close(catalogue.db) != SQLITE_OK && failed == 0)
                failed = fail(err, COWHERD_INTERNAL, "cannot close the new catalogue '%s'", owned_path);
        return failed;
}

/* Makes it whole and puts it on its disk. `fd` holds the lock of NEW_FILE. */
static int make(int folder, const char *path, int fd, struct cowherd_error *err)
{
        remove_leftovers(folder);
        remove_log(folder);
        if (ftruncate(fd, 0) < 0 || fchmod(fd, FILE_MODE) < 0)
                return fail_making(path, err);
        if (fill(path, err) < 0)
                return -1;
        if (fsync(fd) < 0 || renameat(folder, NEW_FILE, folder, CATALOGUE_FILE) < 0 || fsync(folder) < 0)
                return fail_making(path, err);
        return 0;
}

int create_file(int folder, const char *path, struct cowherd_error *err)
{
        int fd owned_fd = -1;

        int got = lock_new(folder, path, &fd, err);
        if (got != 0)
                return got < 0 ? -1 : 0;
        got = is_made(folder) ? 0 : make(folder, path, fd, err);
        if (is_new_file(folder, fd)) { /* it was not made, or not by us */
                remove_leftovers(folder);
                (void)unlinkat(folder, NEW_FILE, 0);
        }
        return got;
}

/* Whether a sweep could find anything. */
static bool has_remains(int folder)
{
        if (faccessat(folder, NEW_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
                return true;
        return !is_made(folder) && (faccessat(folder, CATALOGUE_FILE "-wal", F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
                                    faccessat(folder, CATALOGUE_FILE "-shm", F_OK, AT_SYMLINK_NOFOLLOW) == 0);
}

int catalogue_sweep(int folder, const char *folder_path, bool *ret_found, struct cowherd_error *err)
{
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};

        *ret_found = false;
        if (!has_remains(folder))
                return 0;
        int fd owned_fd = openat(folder, NEW_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
        if (fd < 0)
                return fail_errno(err, "cannot open '%s/%s'", folder_path, NEW_FILE);
        if (fcntl(fd, F_OFD_SETLK, &lock) < 0 || !is_new_file(folder, fd))
                return 0; /* somebody is making one, or has just done so */
        if (!is_made(folder))
                remove_log(folder);
        remove_leftovers(folder);
        if (unlinkat(folder, NEW_FILE, 0) < 0)
                return fail_errno(err, "cannot remove '%s/%s'", folder_path, NEW_FILE);
        *ret_found = true;
        return 0;
}
