/* SPDX-License-Identifier: Apache-2.0 */
/* Standard output and error are turned into files of the test's folder while a script runs, as REXX writes to both. */
#include "script.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/cowherd-rexx-XXXXXX";
static char *old_out, *old_err;

int fresh(void **state)
{
        (void)state;
        fake_reset();
        memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
        return mkdtemp(folder) == NULL || chdir(folder) != 0;
}

int tidy(void **state)
{
        static const char *const files[] = {"t.rexx",     "out",       "err",        "made",
                                            "other.rexx", "link.rexx", "sub/t.rexx", "PROG"};

        (void)state;
        for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
                (void)unlink(files[i]);
        (void)rmdir("sub");
        free(old_out);
        free(old_err);
        old_out = old_err = NULL;
        fake_reset();
        return chdir("/") != 0 || rmdir(folder) != 0;
}

static void write_file(const char *path, const char *text, size_t length)
{
        FILE *file = fopen(path, "w");

        assert_non_null(file);
        assert_int_equal(fwrite(text, 1, length, file), length);
        assert_int_equal(fclose(file), 0);
}

static char *read_file(const char *path)
{
        char *text = calloc(1, 1 << 20);
        FILE *file = fopen(path, "r");

        assert_non_null(file);
        size_t length = fread(text, 1, (1 << 20) - 1, file);
        assert_int_equal(ferror(file), 0);
        text[length] = '\0';
        (void)fclose(file);
        return text;
}

static int divert(int fd, const char *path)
{
        int saved = fcntl(fd, F_DUPFD_CLOEXEC, 10), file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_true(saved >= 0 && file >= 0 && dup2(file, fd) == fd);
        (void)close(file);
        return saved;
}

static void put_back(int fd, int saved)
{
        (void)dup2(saved, fd);
        (void)close(saved);
}

struct ran run_with(struct cowherd_rexx_options options, const char *text, size_t length)
{
        struct ran ran;

        if (options.file == NULL)
                options.file = "t.rexx";
        if (text != NULL)
                write_file(options.file, text, length);
        (void)fflush(stdout);
        int out = divert(STDOUT_FILENO, "out"), err = divert(STDERR_FILENO, "err");
        ran.status = cowherd_rexx_run(&options);
        (void)fflush(stdout);
        put_back(STDOUT_FILENO, out);
        put_back(STDERR_FILENO, err);
        free(old_out);
        free(old_err);
        ran.out = old_out = read_file("out");
        ran.err = old_err = read_file("err");
        return ran;
}

struct ran run_script(const char *text)
{
        return run_with((struct cowherd_rexx_options){0}, text, strlen(text));
}

void assert_says(const char *script, const char *expected)
{
        struct ran ran = run_script(script);

        assert_string_equal(ran.out, expected);
        assert_string_equal(ran.err, "");
        assert_int_equal(ran.status, 0);
}

void assert_has(const char *text, const char *part)
{
        if (strstr(text, part) == NULL)
                fail_msg("'%s' is not in '%s'", part, text);
}

void assert_has_not(const char *text, const char *part)
{
        if (strstr(text, part) != NULL)
                fail_msg("'%s' is in '%s'", part, text);
}

void assert_commands(const char *expected)
{
        char all[8192] = "";

        for (size_t i = 0; i < fake.commands; i++) {
                (void)strcat(all, i == 0 ? "" : "\n");
                (void)strcat(all, fake.log[i]);
        }
        assert_string_equal(all, expected);
}
