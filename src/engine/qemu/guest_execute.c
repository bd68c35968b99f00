/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command to its end, its outputs kept. Frames come as it writes, and one tells its end: nothing is asked meanwhile. Only silence is
 * looked into, now and then, as a helper that was killed inside says nothing.
 */
#include "engine/qemu/guest.h"

#include "sys/clock.h"

#include <stdlib.h>
#include <string.h>

#define LATE_MS 20000.0 /* after its timeout, which the guest keeps */
#define TOOL_BYTES 65536u

struct running {
        struct guest *guest;
        const struct engine_command *command;
        unsigned channel;
        const char *input;
        size_t left, window;
        struct str out, errors;
        size_t limit;
        bool cut;
        double begin_ms;
};

/* ---- The request ---- */

static const char *terminal_name(void)
{
        const char *name = getenv("TERM");

        return name == NULL || strlen(name) > 64 || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+") != strlen(name)
                       ? "linux"
                       : name;
}

static int add_environment(const struct engine_command *command, struct strv *ret, struct cowherd_error *err)
{
        for (size_t i = 0; command->environment != NULL && command->environment[i] != NULL; i++) {
                const char *word = command->environment[i], *equals = strchr(word, '=');
                if (equals == NULL || equals == word)
                        return fail(err, COWHERD_USAGE, "'%s' is no variable (expected NAME=value)", word);
                strv_add(ret, word);
        }
        return 0;
}

int guest_run_request(const struct engine_command *command, const struct engine_streams *streams, struct str *ret,
                      struct cowherd_error *err)
{
        bool terminal = streams != NULL && streams->terminal,
             no_input = streams != NULL ? streams->input < 0 : command->input == NULL;
        struct guest_run run = {.flags = terminal ? GUEST_RUN_TERMINAL : no_input ? GUEST_RUN_NO_INPUT : 0,
                                .folder = (char *)(uintptr_t)command->working_dir,
                                .user = (char *)(uintptr_t)command->user,
                                .term = (char *)(uintptr_t)(terminal ? terminal_name() : ""),
                                .rows = 24,
                                .columns = 80,
                                .timeout_ms = command->timeout_ms};
        int result = add_environment(command, &run.environment, err);

        for (size_t i = 0; command->argv != NULL && command->argv[i] != NULL; i++)
                strv_add(&run.argv, command->argv[i]);
        if (result == 0)
                guest_run_put(ret, &run);
        if (result == 0 && (ret->length > GUEST_MESSAGE_BYTES || run.argv.count > GUEST_WORDS))
                result = fail(err, COWHERD_USAGE, "a command and its environment of %zu bytes is too long for a guest", ret->length);
        strv_free(&run.argv);
        strv_free(&run.environment);
        return result;
}

/* ---- What comes ---- */

static int send_input(struct running *running, struct cowherd_error *err)
{
        owned_string struct str out = {0};

        while (running->left > 0 && running->window > 0) {
                size_t piece = running->left < running->window ? running->left : running->window;
                if (piece > GUEST_PAYLOAD_BYTES / 2)
                        piece = GUEST_PAYLOAD_BYTES / 2;
                guest_frame_add(&out, GUEST_INPUT, running->channel, running->input, piece);
                running->input += piece;
                running->left -= piece;
                running->window -= piece;
                if (running->left == 0)
                        guest_frame_add(&out, GUEST_INPUT_END, running->channel, NULL, 0);
        }
        return out.length == 0 ? 0 : guest_send(running->guest, &out, clock_ms() + GUEST_ANSWER_MS, err);
}

static void keep(struct running *running, struct str *to, const struct guest_frame *frame)
{
        size_t room = running->limit - to->length;

        running->cut |= frame->length > room;
        str_add_bytes(to, frame->payload, frame->length < room ? frame->length : room);
}

static int read_ended(const struct running *running, const struct guest_frame *frame, int *ret_code, struct cowherd_error *err)
{
        struct guest_reader reader = {.at = frame->payload, .left = frame->length};
        uint32_t code = guest_get_number(&reader), timed_out = guest_get_number(&reader);

        if (!guest_get_end(&reader) || code > 255)
                return guest_fail_nonsense(running->guest, err);
        if (timed_out != 0)
                return fail(err, COWHERD_BUSY, "a command in '%s' took longer than %llu ms; it was ended",
                            running->guest->instance->name, (unsigned long long)running->command->timeout_ms);
        *ret_code = (int)code;
        return 0;
}

/* 1: it goes on. */
static int take_frame(struct running *running, const struct guest_frame *frame, int *ret_code, struct cowherd_error *err)
{
        struct guest_reader reader = {.at = frame->payload, .left = frame->length};

        if (guest_is_lost(frame))
                return guest_fail_lost(running->guest, err);
        if (frame->channel != running->channel)
                return 1;
        if (frame->type == GUEST_OUTPUT)
                keep(running, &running->out, frame);
        else if (frame->type == GUEST_ERRORS)
                keep(running, &running->errors, frame);
        else if (frame->type == GUEST_TAKEN)
                running->window += guest_get_number(&reader) % (GUEST_INPUT_BYTES + 1);
        else if (frame->type == GUEST_FAILED)
                return guest_failed(running->guest, frame, running->command, err);
        else if (frame->type == GUEST_ENDED)
                return read_ended(running, frame, ret_code, err);
        return frame->type == GUEST_TAKEN && send_input(running, err) < 0 ? -1 : 1;
}

/* Nothing has come for a while: is anybody there, and does it know of our command? 1: it does, as far as can be told. */
static int look_into_silence(struct running *running, struct cowherd_error *err)
{
        owned_string struct str out = {0};

        if (guest_is_there(running->guest->instance) == 0)
                return guest_fail_lost(running->guest, err);
        if (running->command->timeout_ms > 0 &&
            clock_ms() - running->begin_ms > (double)running->command->timeout_ms + LATE_MS)
                return fail(err, COWHERD_BUSY, "a command in '%s' took longer than %llu ms, and its guest does not answer",
                            running->guest->instance->name, (unsigned long long)running->command->timeout_ms);
        guest_ping_add(&out);
        if (guest_send(running->guest, &out, clock_ms() + GUEST_ANSWER_MS, err) < 0)
                return -1;
        return 1;
}

static int follow(struct running *running, int *ret_code, struct cowherd_error *err)
{
        for (;;) {
                struct guest_frame frame;
                int over = guest_next(running->guest, clock_ms() + GUEST_SILENCE_MS, &frame, err);
                if (over < 0)
                        return -1;
                int result = over > 0 ? look_into_silence(running, err) : take_frame(running, &frame, ret_code, err);
                if (result <= 0)
                        return result;
        }
}

static int run(struct running *running, int *ret_code, struct cowherd_error *err)
{
        owned_string struct str request = {0}, out = {0};

        if (guest_run_request(running->command, NULL, &request, err) < 0)
                return -1;
        running->channel = running->guest->channel = running->guest->channel % 0xffff + 1;
        running->window = GUEST_INPUT_BYTES;
        running->begin_ms = clock_ms();
        guest_message_add(&out, GUEST_RUN, running->channel, request.data, request.length);
        if (running->command->input != NULL && running->left == 0)
                guest_frame_add(&out, GUEST_INPUT_END, running->channel, NULL, 0);
        if (guest_send(running->guest, &out, clock_ms() + GUEST_ANSWER_MS, err) < 0 || send_input(running, err) < 0)
                return -1;
        return follow(running, ret_code, err);
}

static void running_free(struct running *running)
{
        str_free(&running->out);
        str_free(&running->errors);
}
define_owned(struct running, running_free)

int guest_execute(struct guest *guest, const struct engine_command *command, struct engine_output *ret, struct cowherd_error *err)
{
        struct running running owned_by(running_free) = {.guest = guest,
                                                         .command = command,
                                                         .input = command->input,
                                                         .left = command->input == NULL ? 0 : command->input_length,
                                                         .limit = ENGINE_OUTPUT_BYTES};
        int code = 0;

        if (run(&running, &code, err) < 0)
                return -1;
        *ret = (struct engine_output){.exit_code = code,
                                      .out_length = running.out.length,
                                      .errors_length = running.errors.length,
                                      .cut = running.cut,
                                      .ms = clock_ms() - running.begin_ms};
        ret->out = str_take(&running.out);
        ret->errors = str_take(&running.errors);
        return 0;
}

int guest_tool(struct guest *guest, const char *const *argv, uint64_t timeout_ms, int *ret_status, struct cowherd_error *err)
{
        const struct engine_command command = {.argv = argv, .timeout_ms = timeout_ms};
        struct running running owned_by(running_free) = {.guest = guest, .command = &command, .limit = TOOL_BYTES};

        return run(&running, ret_status, err);
}
