/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cowherd from C: some clones of a base, a command in each of them, and gone again.
 *
 *     cc -o herd herd.c $(pkg-config --cflags --libs cowherd)
 *     ./herd nspawn BASE 5 'cat /etc/machine-id'
 */
#include <cowherd.h>

#include <stdio.h>
#include <stdlib.h>

/* Executes a command that is given with a format; tells on stderr where it failed. The answer is the caller's. */
static struct cowherd_answer *say(struct cowherd_herd *herd, enum cowherd_target target, const char *format, const char *a, const char *b)
{
        char command[1024];

        (void)snprintf(command, sizeof command, format, a, b);
        struct cowherd_answer *answer = cowherd_execute(herd, target, command, NULL);
        if (!cowherd_answer_success(answer))
                (void)fprintf(stderr, "%s\n", cowherd_answer_text(answer));
        return answer;
}

/* Runs the command in each clone that an answer lists; how many could not. */
static int run_in_each(struct cowherd_herd *herd, enum cowherd_target target, const struct cowherd_answer *clones, const char *guest_command)
{
        int failed = 0;

        for (size_t i = 0; i < cowherd_answer_items(clones); i++) {
                const char *words[4] = {"execute", cowherd_answer_item_get(clones, i, "name"), "--", guest_command};
                if (words[1] == NULL)
                        continue;
                struct cowherd_answer *answer = cowherd_execute_words(herd, target, 4, words);
                const char *output = cowherd_answer_get(answer, "stdout");
                printf("%s: %s", words[1], output != NULL ? output : "(nothing)\n");
                failed += !cowherd_answer_success(answer);
                cowherd_answer_free(answer);
        }
        return failed;
}

int main(int argc, char **argv)
{
        enum cowherd_target target = COWHERD_QEMU;
        struct cowherd_herd *herd = NULL;
        struct cowherd_error err;

        if (argc != 5 || !cowherd_target_parse(argv[1], &target))
                return (void)fprintf(stderr, "usage: %s qemu|lxd|nspawn BASE COUNT COMMAND\n", argv[0]), COWHERD_USAGE;
        if (cowherd_open(NULL, &herd, &err) < 0)
                return (void)fprintf(stderr, "%s\n", err.text), err.code;
        struct cowherd_answer *clones = say(herd, target, "clone_from_base base=%s name=demo count=%s start=true wait=true", argv[2], argv[3]);
        int status = cowherd_answer_code(clones);
        if (run_in_each(herd, target, clones, argv[4]) > 0 && status == 0)
                status = EXIT_FAILURE;
        cowherd_answer_free(clones);
        cowherd_answer_free(say(herd, target, "delete name=%s force=true%s", "demo-*", ""));
        cowherd_close(herd);
        return status;
}
