/* SPDX-License-Identifier: Apache-2.0 */
/* The words of the programs that call one function at a time, for system tests, and what they tell. */
#include "engine_words.h"

#include "base/str.h"
#include "sys/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define KEY_BYTES 65536

const char *word_of(char **words, const char *key)
{
        size_t length = strlen(key);

        for (char **at = words; *at != NULL; at++)
                if (strncmp(*at, key, length) == 0 && (*at)[length] == '=')
                        return *at + length + 1;
        return NULL;
}

static char *read_input(size_t *ret_length)
{
        struct str text = {0};
        char piece[4096];
        ssize_t got;

        while ((got = read(STDIN_FILENO, piece, sizeof piece)) > 0)
                str_add_bytes(&text, piece, (size_t)got);
        *ret_length = text.length;
        return str_take(&text);
}

static int execute(const struct runner *runner, struct engine_command *command, int *ret_status, struct cowherd_error *err)
{
        struct engine_output output = {0};
        owned_str char *input = read_input(&command->input_length);

        command->input = input;
        if (runner->execute(runner->instance, command, &output, err) < 0)
                return -1;
        (void)fwrite(output.out, 1, output.out_length, stdout);
        (void)fwrite(output.errors, 1, output.errors_length, stderr);
        if (output.cut)
                (void)fprintf(stderr, "cut\n");
        *ret_status = output.exit_code;
        engine_output_free(&output);
        return 0;
}

int run_words(const struct runner *runner, char **words, int *ret_status, struct cowherd_error *err)
{
        const struct engine_streams streams = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, runner->terminal};
        struct engine_command command = {
                .argv = words[4] == NULL ? NULL : (const char *const *)(words + 4),
                .environment = runner->environment,
                .timeout_ms = strtoull(words[1], NULL, 10),
                .working_dir = words[2][0] == '\0' ? NULL : words[2],
                .user = words[3][0] == '\0' ? NULL : words[3],
        };

        if (str_equal(words[0], "execute"))
                return execute(runner, &command, ret_status, err);
        return runner->attach(runner->instance, &command, &streams, ret_status, err);
}

void said_identity_free(struct said_identity *said)
{
        free(said->key);
        free(said->public_key);
}

int read_identity(char **words, struct said_identity *ret, struct cowherd_error *err)
{
        owned_str char *key = NULL, *public_key = NULL, *public_file = x_asprintf("%s.pub", words[4]);

        if (file_read(AT_FDCWD, words[4], KEY_BYTES, &key, NULL, err) < 0 ||
            file_read(AT_FDCWD, public_file, KEY_BYTES, &public_key, NULL, err) < 0)
                return -1;
        *ret = (struct said_identity){.key = take(key), .public_key = take(public_key)};
        ret->identity = (struct engine_identity){
                .fresh = true,
                .hostname = words[0],
                .machine_id = words[1],
                .instance_id = words[2],
                .random_seed = words[3],
                .host_key = ret->key,
                .host_key_public = ret->public_key,
                .ssh_key = words[5],
        };
        return 0;
}

void tell_phases(const struct engine_phases *phases)
{
        for (size_t i = 0; i < phases->count; i++)
                (void)printf("%s_ms=%.1f\n", phases->items[i].name, phases->items[i].ms);
}

int tell_output(struct engine_output *output, struct cowherd_error *err)
{
        int exit_code = output->exit_code;

        (void)printf("%s", output->out);
        (void)fprintf(stderr, "%s", output->errors);
        engine_output_free(output);
        return exit_code == 0 ? 0 : fail(err, COWHERD_SYSTEM, "exit code %d", exit_code);
}

int tell_error(const struct cowherd_error *err)
{
        (void)fprintf(stderr, "error=%s\nhint=%s\n", err->text, err->hint);
        return err->code;
}
