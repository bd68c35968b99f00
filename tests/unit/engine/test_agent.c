/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's client against an agent that says what it was told to say, however wrong. */
#include "base/str.h"
#include "engine/qemu/agent.h"
#include "engine/qemu/agent_base64.h"
#include "engine/qemu/agent_exec.h"
#include "engine/qemu/agent_file.h"
#include "sys/clock.h"

// clang-format off
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SYNC "\xff{\"return\": @}\n"
#define PID "{\"return\": {\"pid\": 7}}\n"

/* For each line that it is sent, the next of its replies, in which @ stands for the number in the line; NULL ends them.
 */
struct fake {
        int fd;
        const char *const *replies;
        pthread_t thread;
        struct str heard;
        struct agent agent;
};

static void reply(struct fake *fake, const char *text, const char *line)
{
        const char *id = strstr(line, "\"id\":");
        struct str answer = {0};

        for (; *text != '\0'; text++)
                if (*text == '@' && id != NULL)
                        str_addf(&answer, "%.*s", (int)strspn(id + 5, "0123456789"), id + 5);
                else
                        str_add_char(&answer, *text);
        (void)send(fake->fd, answer.data, answer.length, MSG_NOSIGNAL);
        str_free(&answer);
}

static void *speak(void *context)
{
        struct fake *fake = context;
        struct str line = {0};
        char c;

        while (read(fake->fd, &c, 1) == 1) {
                str_add_char(&line, c);
                if (c != '\n')
                        continue;
                str_add(&fake->heard, line.data);
                if (*fake->replies != NULL)
                        reply(fake, *fake->replies++, line.data);
                str_free(&line);
        }
        str_free(&line);
        return NULL;
}

static void begin(struct fake *fake, const char *const *replies)
{
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        *fake = (struct fake){.fd = pair[1], .replies = replies, .agent = AGENT_CLOSED};
        fake->agent.fd = pair[0];
        fake->agent.name = x_strdup("vm-1");
        assert_int_equal(pthread_create(&fake->thread, NULL, speak, fake), 0);
}

static void end(struct fake *fake)
{
        agent_close(&fake->agent);
        assert_int_equal(pthread_join(fake->thread, NULL), 0);
        (void)close(fake->fd);
        str_free(&fake->heard);
}

static int synchronise(const char *answer, uint64_t timeout_ms, struct cowherd_error *err)
{
        const char *const replies[] = {answer, NULL};
        struct fake fake;

        begin(&fake, replies);
        int result = agent_synchronise(&fake.agent, AGENT_AWAITED, timeout_ms, err);
        end(&fake);
        return result;
}

static void test_synchronise(void **state)
{
        struct cowherd_error err;

        (void)state;
        assert_int_equal(synchronise(SYNC, 2000, &err), 0);
        /* what was meant for another, whole and cut, and the complaint about our own delimiter */
        assert_int_equal(synchronise("3, \"x\": [1,{\"return\": 1}\n{\"error\": {\"class\": \"GenericError\", "
                                     "\"desc\": \"JSON\"}}\n" SYNC,
                                     2000, &err),
                         0);
        assert_int_equal(
                synchronise("\xff{\"return\": 17}\n\xff{\"return\": \"17\"}\n\xff[]\n\xff\n\xff nonsense\n" SYNC, 2000,
                            &err),
                0);
        assert_int_equal(synchronise("\xff{\"return\": 17}\n", 50, &err), -1);
        assert_int_equal(err.code, COWHERD_BUSY);
        assert_int_equal(synchronise("{\"return\": @}\n", 50, &err),
                         -1); /* not behind a delimiter: it may be anybody's */
        assert_int_equal(err.code, COWHERD_BUSY);
        assert_int_equal(synchronise("", 50, &err), -1);
        assert_int_equal(err.code, COWHERD_BUSY);
}

static void test_endless(void **state)
{
        owned_str char *line = x_malloc(AGENT_REPLY_BYTES + 100);
        struct cowherd_error err;

        (void)state;
        memset(line, 'a', AGENT_REPLY_BYTES + 99);
        line[0] = '\xff';
        line[AGENT_REPLY_BYTES + 99] = '\0';
        assert_int_equal(synchronise(line, 5000, &err), -1);
        assert_int_equal(err.code, COWHERD_SYSTEM);
        assert_non_null(strstr(err.text, "more than it was asked for"));
}

static void test_nobody_reads(void **state)
{
        struct agent agent = AGENT_CLOSED;
        struct cowherd_error err;
        int pair[2];

        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        agent.fd = pair[0];
        agent.name = x_strdup("vm-1");
        assert_int_equal(agent_synchronise(&agent, AGENT_AWAITED, 50, &err), -1);
        assert_int_equal(err.code, COWHERD_BUSY);
        assert_non_null(strstr(err.hint, "qemu-guest-agent"));
        double begin_ms = clock_ms();
        assert_int_equal(agent_synchronise(&agent, AGENT_EXPECTED, 60000, &err), -1);
        assert_int_equal(err.code, COWHERD_UNAVAILABLE);
        assert_non_null(strstr(err.hint, "qemu-guest-agent"));
        assert_true(clock_ms() - begin_ms < 10 * AGENT_GRACE_MS);
        (void)close(pair[1]);
        assert_int_equal(agent_synchronise(&agent, AGENT_AWAITED, 1000, &err), -1);
        assert_int_equal(err.code, COWHERD_SYSTEM);
        agent_close(&agent);
}

/* One question, its answer, and what is made of it. */
static int ask(const char *answer, json_type type, struct cowherd_error *err)
{
        const char *const replies[] = {answer, NULL};
        struct fake fake;

        begin(&fake, replies);
        int result = agent_ask(&fake.agent, "guest-x", json_object(), type, 4096, NULL, err);
        end(&fake);
        return result;
}

static void test_answers(void **state)
{
        static const char *const wrong[] = {
                "\n",
                "nonsense\n",
                "[]\n",
                "{}\n",
                "{\"return\": 1}\n",
                "{\"return\": null}\n",
                "{\"error\": 1}\n",
                "{\"return\": {}\n",
                "\xff{\"return\": {}}\n",
        };
        struct cowherd_error err;

        (void)state;
        assert_int_equal(ask("{\"return\": {}}\n", JSON_OBJECT, &err), 0);
        assert_int_equal(ask("{\"return\": 1}\r\n", JSON_INTEGER, &err), 0);
        for (size_t i = 0; i < array_length(wrong); i++) {
                assert_int_equal(ask(wrong[i], JSON_OBJECT, &err), -1);
                assert_int_equal(err.code, COWHERD_SYSTEM);
        }
}

static void test_refusals(void **state)
{
        static const struct {
                const char *answer;
                int code;
                const char *words;
        } cases[] = {
                {"{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command guest-x has not been "
                 "found\"}}\n",
                 COWHERD_UNAVAILABLE, "guest-x"},
                {"{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"Command guest-x has been disabled: the "
                 "agent is in frozen "
                 "state\"}}\n",
                 COWHERD_BUSY, "frozen"},
                {"{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\\u0007\\nway\"}}\n", COWHERD_SYSTEM,
                 "no  way"},
                {"{\"error\": {\"class\": 1, \"desc\": {}}}\n", COWHERD_SYSTEM, "no reason given"},
                {"{\"error\": {}, \"return\": {}}\n", COWHERD_SYSTEM, "no reason given"},
        };
        struct cowherd_error err;

        (void)state;
        for (size_t i = 0; i < array_length(cases); i++) {
                assert_int_equal(ask(cases[i].answer, JSON_OBJECT, &err), -1);
                assert_int_equal(err.code, cases[i].code);
                assert_non_null(strstr(err.text, cases[i].words));
        }
        assert_int_equal(ask(cases[0].answer, JSON_OBJECT, &err), -1);
        assert_non_null(strstr(err.hint, "block-rpcs"));
}

static void test_not_utf8(void **state)
{
        const char *const replies[] = {NULL};
        struct cowherd_error err;
        struct fake fake;

        (void)state;
        begin(&fake, replies);
        owned_agent_command struct agent_command command = {0};
        int64_t pid = 0;
        strv_add(&command.argv, "echo");
        strv_add(&command.argv, "\xff\xfe");
        assert_int_equal(agent_start(&fake.agent, &command, &pid, &err), -1);
        assert_int_equal(err.code, COWHERD_USAGE);
        end(&fake);
        assert_null(fake.heard.data);
}

/* A command that is started and whose status is asked until it has ended. */
static int run(const char *const *replies, struct engine_output *ret, struct cowherd_error *err)
{
        const struct engine_instance instance = {.name = "vm-1"};
        owned_agent_command struct agent_command command = {.input = "a\0b", .input_length = 3};
        struct fake fake;

        begin(&fake, replies);
        strv_add(&command.argv, "prog");
        strv_add(&command.argv, "it's \"x\"");
        strv_add(&command.environment, "A=b");
        int result = agent_run(&instance, &fake.agent, &command, 0, ret, err);
        (void)shutdown(fake.agent.fd, SHUT_WR);
        assert_int_equal(pthread_join(fake.thread, NULL), 0);
        assert_non_null(strstr(fake.heard.data, "\"path\":\"prog\""));
        assert_non_null(strstr(fake.heard.data, "\"arg\":[\"it's \\\"x\\\"\"]"));
        assert_non_null(strstr(fake.heard.data, "\"env\":[\"A=b\"]"));
        assert_non_null(strstr(fake.heard.data, "\"input-data\":\"YQBi\""));
        agent_close(&fake.agent);
        (void)close(fake.fd);
        str_free(&fake.heard);
        return result;
}

static void test_execute(void **state)
{
        const char *const good[] = {
                PID, "{\"return\": {\"exited\": false}}\n", "{\"return\": {\"exited\": false}}\n",
                "{\"return\": {\"exited\": true, \"exitcode\": 3, \"out-data\": \"AAH/\", \"err-data\": \"eA==\", "
                "\"err-truncated\": true}}\n",
                NULL};
        const char *const killed[] = {PID, "{\"return\": {\"exited\": true, \"signal\": 9}}\n", NULL};
        const char *const wide[] = {PID, "{\"return\": {\"exited\": true, \"exitcode\": 256}}\n", NULL};
        struct engine_output output = {0};
        struct cowherd_error err;

        (void)state;
        assert_int_equal(run(good, &output, &err), 0);
        assert_int_equal(output.exit_code, 3);
        assert_int_equal(output.out_length, 3);
        assert_memory_equal(output.out, "\0\1\xff", 4);
        assert_string_equal(output.errors, "x");
        assert_true(output.cut);
        engine_output_free(&output);
        assert_int_equal(run(killed, &output, &err), 0);
        assert_int_equal(output.exit_code, 137);
        assert_string_equal(output.out, "");
        engine_output_free(&output);
        assert_int_equal(run(wide, &output, &err), 0);
        assert_int_equal(output.exit_code, 255); /* never success */
        engine_output_free(&output);
}

static void test_execute_nonsense(void **state)
{
        static const char *const status[] = {
                "{\"return\": {}}\n",
                "{\"return\": {\"exited\": 1}}\n",
                "{\"return\": {\"exited\": true}}\n",
                "{\"return\": {\"exited\": true, \"exitcode\": \"0\"}}\n",
                "{\"return\": {\"exited\": true, \"signal\": 4711}}\n",
                "{\"return\": {\"exited\": true, \"exitcode\": 0, \"out-data\": 5}}\n",
                "{\"return\": {\"exited\": true, \"exitcode\": 0, \"out-data\": \"a\"}}\n",
                "{\"return\": {\"exited\": true, \"exitcode\": 0, \"err-data\": \"a b=\"}}\n",
        };
        const char *const no_pid[] = {"{\"return\": {\"pid\": -1}}\n", NULL};
        const char *const absent[] = {"{\"error\": {\"class\": \"GenericError\", \"desc\": \"Guest agent command "
                                      "failed, error was 'Failed to "
                                      "execute child process “prog” (No such file or directory)'\"}}\n",
                                      NULL};
        struct engine_output output = {0};
        struct cowherd_error err;

        (void)state;
        for (size_t i = 0; i < array_length(status); i++) {
                const char *const replies[] = {PID, status[i], NULL};
                assert_int_equal(run(replies, &output, &err), -1);
                assert_int_equal(err.code, COWHERD_SYSTEM);
                assert_null(output.out);
        }
        assert_int_equal(run(no_pid, &output, &err), -1);
        assert_int_equal(err.code, COWHERD_SYSTEM);
        assert_int_equal(run(absent, &output, &err), -1);
        assert_int_equal(err.code, COWHERD_NOT_FOUND);
}

/* Output of more than is kept: 16 MiB and 2 bytes of zeros. */
static void test_execute_cut(void **state)
{
        size_t groups = (ENGINE_OUTPUT_BYTES + 2) / 3;
        struct str answer = {0};
        struct engine_output output = {0};
        struct cowherd_error err;

        (void)state;
        str_add(&answer, "{\"return\": {\"exited\": true, \"exitcode\": 0, \"out-data\": \"");
        for (size_t i = 0; i < groups; i++)
                str_add(&answer, "AAAA");
        str_add(&answer, "\"}}\n");
        const char *const replies[] = {PID, answer.data, NULL};
        assert_int_equal(run(replies, &output, &err), 0);
        assert_int_equal(output.out_length, ENGINE_OUTPUT_BYTES);
        assert_true(output.cut);
        engine_output_free(&output);
        str_free(&answer);
}

static int read_file(const char *answer, char **ret, size_t *ret_count, bool *ret_end, struct cowherd_error *err)
{
        const char *const replies[] = {answer, NULL};
        struct fake fake;

        begin(&fake, replies);
        int result = agent_file_read(&fake.agent, 1000, ret, ret_count, ret_end, err);
        end(&fake);
        return result;
}

static void test_files(void **state)
{
        owned_mem char *bytes = NULL;
        struct cowherd_error err;
        bool is_end = false;
        size_t count = 0;

        (void)state;
        assert_int_equal(read_file("{\"return\": {\"count\": 999999, \"buf-b64\": \"aGk=\", \"eof\": true}}\n", &bytes,
                                   &count, &is_end, &err),
                         0);
        assert_int_equal(count, 2); /* what was sent, not what was said */
        assert_true(is_end);
        /* no bytes and no end would go on for ever */
        assert_int_equal(read_file("{\"return\": {\"count\": 0, \"buf-b64\": \"\", \"eof\": false}}\n", &bytes, &count,
                                   &is_end, &err),
                         -1);
        assert_int_equal(err.code, COWHERD_SYSTEM);
        assert_int_equal(read_file("{\"return\": {\"count\": 2, \"eof\": true}}\n", &bytes, &count, &is_end, &err), -1);
        assert_int_equal(read_file("{\"error\": {\"class\": \"GenericError\", \"desc\": \"failed to open file 'x': No "
                                   "such file or directory\"}}\n",
                                   &bytes, &count, &is_end, &err),
                         -1);
        assert_int_equal(err.code, COWHERD_NOT_FOUND);
}

static void test_base64(void **state)
{
        static const char *const wrong[] = {"A",    "AA",   "AAA",    "A===",     "AA=A",
                                            "A A=", "====", "AAAA\n", "AAA=AAAA", "\xff\xff\xff\xff"};
        char *bytes = NULL;
        size_t count = 0;

        (void)state;
        for (size_t length = 0; length < 50; length++) {
                char before[50];
                random_bytes(before, sizeof before);
                owned_str char *text = agent_base64_encode(before, length);
                owned_mem char *after = NULL;
                assert_true(agent_base64_decode(text, strlen(text), &after, &count));
                assert_int_equal(count, length);
                assert_memory_equal(after, before, length);
        }
        for (size_t i = 0; i < array_length(wrong); i++)
                assert_false(agent_base64_decode(wrong[i], strlen(wrong[i]), &bytes, &count));
        assert_null(bytes);
}

/* A machine's socket: one client after the other, as QEMU serves them, as many as there are replies. */
struct server {
        int fd;
        pthread_t thread;
};

static void *serve(void *context)
{
        static const char *const replies[] = {SYNC, NULL};
        struct server *server = context;

        for (int i = 0; i < 2; i++) {
                struct fake fake = {.replies = replies, .fd = accept(server->fd, NULL, NULL)};
                (void)speak(&fake);
                (void)close(fake.fd);
                str_free(&fake.heard);
        }
        return NULL;
}

struct second {
        const struct engine_instance *instance;
        int result;
};

static void *come_second(void *context)
{
        struct agent agent = AGENT_CLOSED;
        struct second *second = context;
        struct cowherd_error err;

        second->result = agent_open(second->instance, AGENT_EXPECTED, 10000, &agent, &err);
        agent_close(&agent);
        return NULL;
}

static void test_no_machine(void **state)
{
        char folder[] = "/tmp/cowherd-agent.XXXXXX";
        struct agent agent = AGENT_CLOSED;
        struct cowherd_error err;

        (void)state;
        assert_non_null(mkdtemp(folder));
        const struct engine_instance instance = {.name = "vm-1", .runtime = folder};
        assert_int_equal(agent_open(&instance, AGENT_EXPECTED, 1000, &agent, &err), -1);
        assert_int_equal(err.code, COWHERD_BUSY);
        assert_non_null(strstr(err.text, "does not run"));
        owned_str char *lock = x_asprintf("%s/agent.lock", folder);
        assert_int_equal(unlink(lock), 0);
        assert_int_equal(rmdir(folder), 0);
        assert_int_equal(agent_open(&instance, AGENT_EXPECTED, 1000, &agent, &err), -1);
        assert_int_equal(err.code, COWHERD_BUSY);
}

/* Whoever comes second is seen to wait, and gets his turn. */
static void test_turns(void **state)
{
        char folder[] = "/tmp/cowherd-agent.XXXXXX";
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        const struct engine_instance instance = {.name = "vm-1", .runtime = folder};
        struct server server = {.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        struct second second = {.instance = &instance, .result = -2};
        struct agent agent = AGENT_CLOSED;
        struct cowherd_error err;
        pthread_t thread;

        (void)state;
        assert_non_null(mkdtemp(folder));
        (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/agent.sock", folder);
        assert_int_equal(bind(server.fd, (struct sockaddr *)&address, sizeof address), 0);
        assert_int_equal(listen(server.fd, 1), 0);
        assert_int_equal(pthread_create(&server.thread, NULL, serve, &server), 0);

        assert_int_equal(agent_open(&instance, AGENT_EXPECTED, 10000, &agent, &err), 0);
        assert_false(agent_is_wanted(&agent));
        assert_int_equal(pthread_create(&thread, NULL, come_second, &second), 0);
        double pause_ms = 1;
        for (int i = 0; i < 200 && !agent_is_wanted(&agent); i++)
                agent_pause(&pause_ms);
        assert_true(agent_is_wanted(&agent));
        agent_close(&agent);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(second.result, 0);

        assert_int_equal(pthread_join(server.thread, NULL), 0);
        (void)close(server.fd);
        owned_str char *lock = x_asprintf("%s/agent.lock", folder);
        assert_int_equal(unlink(lock), 0);
        assert_int_equal(unlink(address.sun_path), 0);
        assert_int_equal(rmdir(folder), 0);
}

static void test_wrapping(void **state)
{
        static const char *const argv[] = {"ls", "-l", NULL}, *const environment[] = {"A=$(x)", NULL};
        struct engine_command command = {
                .argv = argv, .environment = environment, .working_dir = "/x y", .user = "bob"};
        owned_agent_command struct agent_command plain = {0}, wrapped = {0};
        struct agent agent = {.fd = -1, .lock = -1};
        struct cowherd_error err;
        char name[] = "vm-1";

        (void)state;
        agent.name = name;
        agent_wrap(&command, true, "token", &wrapped);
        assert_string_equal(wrapped.argv.items[0], "/bin/sh");
        assert_null(strstr(wrapped.argv.items[2], "bob")); /* the script is the same for all */
        assert_string_equal(wrapped.argv.items[5], "/x y");
        assert_string_equal(wrapped.argv.items[6], "bob");
        assert_string_equal(wrapped.argv.items[9], "A=$(x)");
        assert_string_equal(wrapped.argv.items[11], "-l");
        command.user = command.working_dir = NULL;
        agent_wrap(&command, false, "token", &plain);
        assert_string_equal(plain.argv.items[0], "ls"); /* a guest without a shell runs it too */
        assert_true(strv_has(&plain.environment, "A=$(x)"));
        assert_int_equal(agent_unwrap(&agent, &command, "token", "tokem command\n", 14, &err), 0);
        assert_int_equal(agent_unwrap(&agent, &command, "token", "tok", 3, &err), 0);
        assert_int_equal(agent_unwrap(&agent, &command, "token", "token command\n", 14, &err), -1);
        assert_int_equal(err.code, COWHERD_NOT_FOUND);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_synchronise),  cmocka_unit_test(test_endless),
                cmocka_unit_test(test_nobody_reads), cmocka_unit_test(test_answers),
                cmocka_unit_test(test_refusals),     cmocka_unit_test(test_not_utf8),
                cmocka_unit_test(test_execute),      cmocka_unit_test(test_execute_nonsense),
                cmocka_unit_test(test_execute_cut),  cmocka_unit_test(test_files),
                cmocka_unit_test(test_base64),       cmocka_unit_test(test_no_machine),
                cmocka_unit_test(test_turns),        cmocka_unit_test(test_wrapping),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
