/* SPDX-License-Identifier: Apache-2.0 */
/* The tests' own view of a catalogue goes through connections of SQLite that know nothing of the code under test. */
#include "catalogue_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int begin_empty(void **state)
{
        struct herd *herd = x_calloc(1, sizeof *herd);

        (void)snprintf(herd->folder, sizeof herd->folder, "/tmp/cowherd-catalogue-XXXXXX");
        assert_non_null(mkdtemp(herd->folder));
        herd->fd = open(herd->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(herd->fd >= 0);
        *state = herd;
        return 0;
}

int begin(void **state)
{
        begin_empty(state);
        struct herd *herd = *state;
        herd->catalogue = open_again(herd);
        return 0;
}

int end(void **state)
{
        struct herd *herd = *state;

        catalogue_close(herd->catalogue);
        DIR *folder = fdopendir(herd->fd);
        assert_non_null(folder);
        for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
                    unlinkat(herd->fd, entry->d_name, 0) < 0)
                        (void)unlinkat(herd->fd, entry->d_name, AT_REMOVEDIR);
        (void)closedir(folder);
        assert_int_equal(rmdir(herd->folder), 0);
        free(herd);
        return 0;
}

struct catalogue *open_again(const struct herd *herd)
{
        struct catalogue *catalogue = NULL;
        struct cowherd_error err = {0};

        if (catalogue_open(herd->fd, herd->folder, true, &catalogue, &err) != 0)
                print_error("%s\n", err.text);
        assert_non_null(catalogue);
        return catalogue;
}

char *path_of(const struct herd *herd, const char *suffix)
{
        return x_asprintf("%s/" CATALOGUE_FILE "%s", herd->folder, suffix);
}

bool exists(const struct herd *herd, const char *suffix)
{
        owned_str char *path = path_of(herd, suffix);

        return access(path, F_OK) == 0;
}

char *bytes_of(const struct herd *herd, const char *suffix, size_t *ret_length)
{
        owned_str char *path = path_of(herd, suffix);
        int fd owned_fd = open(path, O_RDONLY | O_CLOEXEC);
        struct stat it;

        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &it), 0);
        char *bytes = x_malloc((size_t)it.st_size);
        assert_int_equal(read(fd, bytes, (size_t)it.st_size), it.st_size);
        *ret_length = (size_t)it.st_size;
        return bytes;
}

void write_file(const struct herd *herd, const char *suffix, const char *bytes, size_t length)
{
        owned_str char *path = path_of(herd, suffix);
        int fd owned_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, bytes, length), (ssize_t)length);
}

static sqlite3 *connect_to(const struct herd *herd)
{
        owned_str char *path = path_of(herd, "");
        sqlite3 *db = NULL;

        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        (void)sqlite3_busy_timeout(db, 10000);
        (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        return db;
}

int64_t ask(const struct herd *herd, const char *sql)
{
        sqlite3 *db = connect_to(herd);
        sqlite3_stmt *statement = NULL;

        assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        int64_t answer = sqlite3_column_int64(statement, 0);
        (void)sqlite3_finalize(statement);
        (void)sqlite3_close(db);
        return answer;
}

void tell(const struct herd *herd, const char *sql, bool keep_log)
{
        sqlite3 *db = connect_to(herd);

        (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep_log, NULL);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

struct catalogue_row base_row(const char *name)
{
        return (struct catalogue_row){
                .role = CATALOGUE_BASE,
                .target = COWHERD_QEMU,
                .name = (char *)(uintptr_t)name, /* borrowed: see the header */
                .store = (char *)(uintptr_t) "qcow2",
                .place = (char *)(uintptr_t) "",
                .kind = 1,
        };
}

struct catalogue_row clone_row(const char *name, uint64_t base_id)
{
        struct catalogue_row row = base_row(name);

        row.role = CATALOGUE_CLONE;
        row.base_id = base_id;
        return row;
}

int reserve(struct herd *herd, struct catalogue_row *row)
{
        struct catalogue_row taken owned_row = {0};

        return catalogue_reserve(herd->catalogue, row, 1, "test", NULL, NULL, &taken, &herd->err);
}

uint64_t make(const struct herd *herd, struct catalogue_row row)
{
        struct catalogue_row taken owned_row = {0};
        struct cowherd_error err = {0};

        if (catalogue_reserve(herd->catalogue, &row, 1, "test", NULL, NULL, &taken, &err) != 0)
                print_error("'%s' could not be reserved: %s\n", row.name, err.text);
        assert_int_equal(catalogue_settle(herd->catalogue, &row, 1, &err), 0);
        return row.id;
}

uint64_t make_base(const struct herd *herd, const char *name)
{
        return make(herd, base_row(name));
}

uint64_t make_clone(const struct herd *herd, const char *name, uint64_t base_id)
{
        return make(herd, clone_row(name, base_id));
}

uint64_t clones_of(const struct herd *herd, uint64_t id)
{
        struct catalogue_row row owned_row = {0};
        struct cowherd_error err = {0};
        owned_str char *question =
                x_asprintf("SELECT count(*) FROM object WHERE base_id = %llu", (unsigned long long)id);

        assert_int_equal(catalogue_get(herd->catalogue, id, &row, &err), 0);
        assert_int_equal(row.clones, ask(herd, question));
        return row.clones;
}

int phase_of(const struct herd *herd, uint64_t id)
{
        struct catalogue_row row owned_row = {0};
        struct cowherd_error err = {0};

        int got = catalogue_get(herd->catalogue, id, &row, &err);
        assert_true(got >= 0);
        return got > 0 ? -1 : (int)row.phase;
}
