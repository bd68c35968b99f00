/* SPDX-License-Identifier: Apache-2.0 */
/* SFTP against answers written by hand on a socketpair: right ones, and what a hostile instance's helper might say. */
#include "lxd_api/sftp.h"
#include "lxd_test.h"

#include "base/mem.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct cowherd_error err;
static int server = -1;

#define VERSION "\0\0\0\5\2\0\0\0\3"
/* The numbers of questions go up from 1. */
#define STATUS(number, code) "\0\0\0\x11\x65\0\0\0" number "\0\0\0" code "\0\0\0\0\0\0\0\0"

/* A session whose server has said all it will. */
static int begin(const char *answers, size_t length, struct lxd_sftp **ret)
{
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        assert_int_equal(write(fds[1], answers, length), (ssize_t)length);
        assert_int_equal(shutdown(fds[1], SHUT_WR), 0);
        server = fds[1];
        return lxd_sftp_adopt(fds[0], ret, &err);
}

static void end(struct lxd_sftp *sftp)
{
        lxd_sftp_close(sftp);
        close_at(&server);
        server = -1;
}

#define BEGIN(answers) assert_int_equal(begin(VERSION answers, sizeof(VERSION answers) - 1, &sftp), 0)

static void test_beginning(void **state)
{
        struct lxd_sftp *sftp = NULL;

        (void)state;
        BEGIN("");
        end(sftp);
        assert_int_equal(begin("\0\0\0\5\2\0\0\0\4", 9, &sftp), -1);
        close_at(&server);
        assert_int_equal(begin("\0\0\0\1\2", 5, &sftp), -1);
        close_at(&server);
        assert_int_equal(begin("\xff\xff\xff\xff\2", 5, &sftp), -1);
        close_at(&server);
        assert_int_equal(begin("\0\0", 2, &sftp), -1);
        assert_non_null(strstr(err.text, "broke off"));
        close_at(&server);
}

static void test_stat(void **state)
{
        struct lxd_sftp *sftp = NULL;
        mode_t mode = 0;

        (void)state;
        /* size, owner, mode and times of a pipe; then what is not there; then what may not be seen */
        BEGIN("\0\0\0\x25\x69\0\0\0\1\0\0\0\xf\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x11\xa4\0\0\0\0\0\0\0\0"
              "\0\0\0\x11\x65\0\0\0\2\0\0\0\2\0\0\0\0\0\0\0\0"
              "\0\0\0\x14\x65\0\0\0\3\0\0\0\3\0\0\0\3no!\0\0\0\0");
        assert_int_equal(lxd_sftp_stat(sftp, "/fifo", &mode, &err), 0);
        assert_true(S_ISFIFO(mode));
        assert_int_equal(mode & 0777, 0644);
        assert_int_equal(lxd_sftp_stat(sftp, "/none", &mode, &err), 1);
        assert_int_equal(lxd_sftp_stat(sftp, "/denied", &mode, &err), -1);
        assert_int_equal(err.code, COWHERD_DENIED);
        assert_non_null(strstr(err.text, "no!"));
        end(sftp);
}

static void test_links(void **state)
{
        struct lxd_sftp *sftp = NULL;
        char *target = NULL;

        (void)state;
        BEGIN("\0\0\0\x18\x68\0\0\0\1\0\0\0\1\0\0\0\3../\0\0\0\0\0\0\0\0");
        assert_int_equal(lxd_sftp_read_link(sftp, "/link", &target, &err), 0);
        assert_string_equal(target, "../");
        free(target);
        end(sftp);
}

#define NAME(text) "\0\0\0\3" text "\0\0\0\0\0\0\0\0"

static void test_lists(void **state)
{
        struct lxd_sftp *sftp = NULL;
        owned_strv struct strv names = {0};

        (void)state;
        BEGIN("\0\0\0\xa\x66\0\0\0\1\0\0\0\1h"
              "\0\0\0\x36\x68\0\0\0\2\0\0\0\3" NAME("a\nb") NAME("\xff-\xff") NAME("...") STATUS("\3", "\1") STATUS("\4", "\0"));
        assert_int_equal(lxd_sftp_list(sftp, "/folder", 10, &names, &err), 0);
        assert_int_equal(names.count, 3);
        assert_string_equal(names.items[1], "\xff-\xff");
        end(sftp);
}

static void test_hostile_lists(void **state)
{
        static const struct {
                const char *answer;
                int code;
        } cases[] = {
                {"a/b", COWHERD_DENIED},
                {"../", COWHERD_DENIED},
                {"a\0b", COWHERD_DENIED},
        };

        (void)state;
        for (size_t i = 0; i < array_length(cases); i++) {
                owned_strv struct strv names = {0};
                struct lxd_sftp *sftp = NULL;
                char bytes[] = VERSION "\0\0\0\xa\x66\0\0\0\1\0\0\0\1h"
                                       "\0\0\0\x18\x68\0\0\0\2\0\0\0\1" NAME("???");
                memcpy(bytes + sizeof bytes - 1 - 8 - 3, cases[i].answer, 3);
                assert_int_equal(begin(bytes, sizeof bytes - 1, &sftp), 0);
                assert_int_equal(lxd_sftp_list(sftp, "/folder", 10, &names, &err), -1);
                assert_int_equal(err.code, cases[i].code);
                end(sftp);
        }
}

static void test_more_than_wanted(void **state)
{
        struct lxd_sftp *sftp = NULL;
        owned_strv struct strv names = {0};

        (void)state;
        BEGIN("\0\0\0\xa\x66\0\0\0\1\0\0\0\1h\0\0\0\x27\x68\0\0\0\2\0\0\0\2" NAME("abc") NAME("def"));
        assert_int_equal(lxd_sftp_list(sftp, "/folder", 1, &names, &err), -1);
        assert_int_equal(err.code, COWHERD_DATA);
        end(sftp);
}

static void test_damaged(void **state)
{
        static const struct {
                const char *bytes;
                size_t length;
        } cases[] = {
                {VERSION "\0\0\0\5\x69\0\0\0\2", 18},                         /* another's answer */
                {VERSION "\0\0\0\5\x69\0\0\0\1", 18},                         /* without attributes */
                {VERSION "\0\0\0\x9\x69\0\0\0\1\0\0\0\4", 22},                /* without the mode that it has */
                {VERSION "\0\0\0\x9\x69\0\0\0\1\x80\0\0\0", 22},              /* with extensions of a later version */
                {VERSION "\0\0\0\x9\x66\0\0\0\1\0\0\0\0", 22},                /* a handle */
                {VERSION "\0\0\0\xd\x65\0\0\0\1\0\0\0\4\xff\xff\xff\xff", 26}, /* words beyond its end */
                {VERSION "\0\0\0\0\x69", 14},                                 /* of no length */
                {VERSION "\0\x10\0\1\x69", 14},                               /* too long */
        };

        (void)state;
        for (size_t i = 0; i < array_length(cases); i++) {
                struct lxd_sftp *sftp = NULL;
                mode_t mode;
                assert_int_equal(begin(cases[i].bytes, cases[i].length, &sftp), 0);
                assert_int_equal(lxd_sftp_stat(sftp, "/x", &mode, &err), -1);
                end(sftp);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_beginning),     cmocka_unit_test(test_stat),
                cmocka_unit_test(test_links),         cmocka_unit_test(test_lists),
                cmocka_unit_test(test_hostile_lists), cmocka_unit_test(test_more_than_wanted),
                cmocka_unit_test(test_damaged),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
