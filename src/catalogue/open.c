/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening the catalogue is on the hot path of every command, so it does little: the file's header is looked at through
 * SQLite's own descriptor (closing another one would drop SQLite's POSIX locks), and only a file that is a catalogue of
 * our version is worked on, an older one once it was brought up to it (migrate.c). WAL mode is a property of the file and is not asked for again.
 *
 * Closing does not checkpoint: the last process out would pay several syncs and a deleted file at each command. The log
 * is carried over into the file when it has grown (SQLite's automatic checkpoint). So catalogue.db-wal is a part of the
 * catalogue, and whoever copies the one copies the other.
 */
#include "catalogue/connection.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HEADER_BYTES 100 /* https://www.sqlite.org/fileformat2.html, section 1.3 */
#define HEADER_VERSION_AT 60
#define HEADER_APPLICATION_AT 68
#define LOG_PAGES                                                                                                      \
        256 /* the log is read again by whoever opens first: a longer one costs there what it saves in syncs */

static uint64_t monotonic_ms(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/*
 * SQLite calls this while another process has the lock. Its own handler sleeps up to 100 ms between looks; our
 * transactions take some 0.05 ms. The random part keeps processes that began together from staying together.
 */
static int wait_for_lock(void *context, int looks)
{
        struct catalogue *catalogue = context;
        unsigned random = 0;

        if (looks == 0)
                catalogue->waiting_ms = monotonic_ms();
        else if (monotonic_ms() - catalogue->waiting_ms >= catalogue->wait_ms)
                return 0;
        sqlite3_randomness(sizeof random, &random);
        long longest_ns = 100000L << (looks < 6 ? looks : 6);
        struct timespec pause = {.tv_nsec = longest_ns / 2 + (long)(random % (unsigned)(longest_ns / 2))};
        (void)nanosleep(&pause, NULL);
        return 1;
}

static int fail_not_ours(const struct catalogue *catalogue, const char *why, struct cowherd_error *err)
{
        (void)fail(err, COWHERD_CONFIG, "'%s' is not a catalogue: %s", catalogue->path, why);
        return fail_hint(err,
                         "choose another root folder, put a backup of the catalogue in its place, or move it away");
}

static int check_version(const struct catalogue *catalogue, uint32_t version, struct cowherd_error *err)
{
        if (version > 0 && version <= CATALOGUE_VERSION)
                return 0;
        if (version == 0)
                return fail_not_ours(catalogue, "it has no version", err);
        (void)fail(err, COWHERD_CONFIG, "the catalogue '%s' has version %u, which is newer than this program's %u",
                   catalogue->path, version, CATALOGUE_VERSION);
        return fail_hint(err, "use the newer cowherd that wrote it, or another root folder");
}

static uint32_t read_be32(const unsigned char *at)
{
        uint32_t value;

        memcpy(&value, at, sizeof value);
        return be32toh(value);
}

/* SQLite has opened the file but neither read nor written it yet. */
static int check_header(struct catalogue *catalogue, struct cowherd_error *err)
{
        unsigned char header[HEADER_BYTES];
        sqlite3_file *file = NULL;

        if (sqlite3_file_control(catalogue->db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK)
                return catalogue_fail(catalogue, err);
        int result = file->pMethods->xRead(file, header, sizeof header, 0);
        if (result == SQLITE_IOERR_SHORT_READ)
                return fail_not_ours(catalogue, "it is too short", err);
        if (result != SQLITE_OK)
                return fail(err, COWHERD_IO, "cannot read the catalogue '%s'", catalogue->path);
        if (memcmp(header, "SQLite format 3", 16) != 0)
                return fail_not_ours(catalogue, "it is no SQLite database", err);
        if (read_be32(header + HEADER_APPLICATION_AT) != CATALOGUE_APPLICATION)
                return fail_not_ours(catalogue, "it is the database of another program", err);
        return check_version(catalogue, read_be32(header + HEADER_VERSION_AT), err);
}

/* The version once more: a newer program may have written it into the log, which the header does not show. */
static int read_version(struct catalogue *catalogue, struct cowherd_error *err)
{
        sqlite3_stmt *statement = NULL;
        uint32_t version = 0;

        if (sqlite3_prepare_v2(catalogue->db, "PRAGMA user_version", -1, &statement, NULL) != SQLITE_OK)
                return catalogue_fail(catalogue, err);
        int got = statement_step(catalogue, statement, err);
        if (got > 0)
                version = (uint32_t)sqlite3_column_int(statement, 0);
        (void)sqlite3_finalize(statement);
        if (got < 0 || check_version(catalogue, version, err) < 0)
                return -1;
        return version < CATALOGUE_VERSION ? migrate(catalogue, err) : 0;
}

static int run_pragma(struct catalogue *catalogue, const char *text, struct cowherd_error *err)
{
        return sqlite3_exec(catalogue->db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : catalogue_fail(catalogue, err);
}

static int set_up(struct catalogue *catalogue, struct cowherd_error *err)
{
        (void)sqlite3_db_config(catalogue->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        (void)sqlite3_db_config(catalogue->db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
        (void)sqlite3_db_config(catalogue->db, SQLITE_DBCONFIG_ENABLE_QPSG, 1, NULL); /* else a list is prepared again for each value */
        (void)sqlite3_busy_handler(catalogue->db, wait_for_lock, catalogue);
        (void)sqlite3_wal_autocheckpoint(catalogue->db, LOG_PAGES);

        if (check_header(catalogue, err) < 0 || read_version(catalogue, err) < 0)
                return -1;
        if (run_pragma(catalogue, "PRAGMA synchronous = NORMAL", err) < 0)
                return -1;
        if (catalogue_get_setting(catalogue, CATALOGUE_UUID_KEY, &catalogue->uuid, err) < 0)
                return -1;
        return catalogue->uuid == NULL ? fail_not_ours(catalogue, "it has no UUID", err) : 0;
}

/*
 * Why the file cannot be opened for reading and writing; SQLite does not tell. 1 where there is none, and where there
 * was none: SQLite, not finding it, tries once more to open it for reading, and by then another process may have made it.
 */
static int explain(int folder, const struct catalogue *catalogue, struct cowherd_error *err)
{
        struct stat it;

        if (faccessat(folder, CATALOGUE_FILE, R_OK | W_OK, AT_EACCESS) == 0) {
                if (fstatat(folder, CATALOGUE_FILE, &it, 0) == 0 && !S_ISREG(it.st_mode))
                        return fail_not_ours(catalogue, "it is no regular file", err);
                if (sqlite3_errcode(catalogue->db) == SQLITE_OK || sqlite3_system_errno(catalogue->db) == ENOENT)
                        return 1;
                return catalogue_fail(catalogue, err);
        }
        return errno == ENOENT ? 1 : fail_errno(err, "cannot open the catalogue '%s'", catalogue->path);
}

/* 1 where there is none. */
static int open_existing(int folder, struct catalogue *catalogue, struct cowherd_error *err)
{
        int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;

        /* Where it may not be written, SQLite opens it for reading and says nothing. */
        if (sqlite3_open_v2(catalogue->path, &catalogue->db, flags, NULL) != SQLITE_OK ||
            sqlite3_db_readonly(catalogue->db, "main") == 1)
                return explain(folder, catalogue, err);
        return set_up(catalogue, err);
}

static void forget_connection(struct catalogue *catalogue)
{
        for (size_t i = 0; i < STATEMENTS; i++)
                (void)sqlite3_finalize(catalogue->statements[i]);
        (void)sqlite3_close(catalogue->db);
        memset(catalogue->statements, 0, sizeof catalogue->statements);
        catalogue->db = NULL;
}

int catalogue_open(int folder, const char *folder_path, bool create, struct catalogue **ret, struct cowherd_error *err)
{
        struct catalogue *catalogue = x_calloc(1, sizeof *catalogue);

        catalogue->path = x_asprintf("%s/" CATALOGUE_FILE, folder_path);
        catalogue->wait_ms = CATALOGUE_WAIT_MS;
        int got = open_existing(folder, catalogue, err);
        if (got > 0 && faccessat(folder, CATALOGUE_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
                forget_connection(catalogue); /* it has come just now, or could not be opened for a moment */
                got = open_existing(folder, catalogue, err);
        }
        if (got > 0 && create) {
                forget_connection(catalogue);
                got = create_file(folder, catalogue->path, err);
                if (got == 0)
                        got = open_existing(folder, catalogue, err);
                if (got > 0)
                        got = fail(err, COWHERD_BUSY, "the catalogue '%s' was taken away while it was opened", catalogue->path);
        }
        if (got != 0) {
                catalogue_close(catalogue);
                return got;
        }
        *ret = catalogue;
        return 0;
}

void catalogue_close(struct catalogue *catalogue)
{
        if (catalogue == NULL)
                return;
        forget_connection(catalogue);
        free(catalogue->uuid);
        free(catalogue->path);
        free(catalogue);
}

const char *catalogue_uuid(const struct catalogue *catalogue)
{
        return catalogue->uuid;
}

int catalogue_set_durable(struct catalogue *catalogue, bool durable, struct cowherd_error *err)
{
        if (durable == catalogue->durable)
                return 0;
        if (run_pragma(catalogue, durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", err) < 0)
                return -1;
        catalogue->durable = durable;
        return 0;
}
