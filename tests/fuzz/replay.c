/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fuzzers once found worth keeping, given to the same functions again: without libFuzzer, by either compiler, and so by
 * every test run. A file has one input a line, its bytes in hexadecimal (`tests/fuzz/keep` writes it). Each is also
 * given cut short at every byte, which is what a parser of untrusted bytes gets wrong first.
 *
 *     replay_NAME FILE
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int digit(char c)
{
        static const char digits[] = "0123456789abcdef";
        const char *found = c == '\0' ? NULL : strchr(digits, c);

        return found == NULL ? -1 : (int)(found - digits);
}

/* The number of bytes, -1 where it is no hexadecimal. They are written over the text. */
static ssize_t from_hexadecimal(char *line)
{
        size_t length = strcspn(line, "\n"), count = length / 2;

        if (length % 2 != 0)
                return -1;
        for (size_t i = 0; i < count; i++) {
                int high = digit(line[2 * i]), low = digit(line[2 * i + 1]);
                if (high < 0 || low < 0)
                        return -1;
                line[i] = (char)(high << 4 | low);
        }
        return (ssize_t)count;
}

/* From memory of exactly that size, so that a sanitizer sees a read beyond it. */
static void give(const char *bytes, size_t size)
{
        uint8_t *exact = malloc(size == 0 ? 1 : size);

        if (exact == NULL)
                abort();
        memcpy(exact, bytes, size);
        (void)LLVMFuzzerTestOneInput(exact, size);
        free(exact);
}

static unsigned replay(FILE *file)
{
        char *line = NULL;
        size_t room = 0;
        unsigned count = 0;

        while (getline(&line, &room, file) > 0) {
                ssize_t size = from_hexadecimal(line);
                if (size < 0) {
                        (void)printf("Bail out! input %u is no hexadecimal\n", count + 1);
                        exit(1);
                }
                for (size_t cut = 0; cut <= (size_t)size; cut++)
                        give(line, cut);
                count++;
        }
        free(line);
        return count;
}

int main(int argc, char **argv)
{
        FILE *file = argc == 2 ? fopen(argv[1], "re") : NULL;

        (void)puts("1..1");
        if (file == NULL) {
                (void)puts("not ok 1 - a file of inputs can be read");
                return 1;
        }
        unsigned count = replay(file);
        (void)fclose(file);
        (void)printf("%sok 1 - %u inputs, cut at every byte\n", count > 0 ? "" : "not ", count);
        return count > 0 ? 0 : 1;
}
