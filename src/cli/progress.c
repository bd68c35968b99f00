/* SPDX-License-Identifier: Apache-2.0 */
/* Progress: one line on the terminal, drawn again at most ten times a second, and gone when the work is. */
#include "cli/cli.h"

#include <string.h>
#include <time.h>

enum { INTERVAL_MS = 100 };

static double now_ms(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

void cli_draw_progress(void *context, const char *what, unsigned long long done, unsigned long long total)
{
        struct cli_progress *progress = context;
        double now = now_ms();
        char line[512];

        if (progress->drawn_ms > 0 && now - progress->drawn_ms < INTERVAL_MS)
                return;
        progress->drawn_ms = now;
        if (total > 0)
                (void)snprintf(line, sizeof line, "%3.0f%% %s",
                               100.0 * (double)(done < total ? done : total) / (double)total, what);
        else if (done > 0)
                (void)snprintf(line, sizeof line, "%.1f MiB %s", (double)done / (1 << 20), what);
        else
                (void)snprintf(line, sizeof line, "%s", what);
        size_t bytes = 0;
        for (size_t columns = 0; line[bytes] != '\0'; bytes++) {
                columns += ((unsigned char)line[bytes] & 0xc0) != 0x80;
                if (columns >= progress->output->columns)
                        break;
                if ((unsigned char)line[bytes] < ' ')
                        line[bytes] = ' ';
        }
        (void)fprintf(progress->output->err, "\r\033[K%.*s", (int)bytes, line);
        (void)fflush(progress->output->err);
}

void cli_end_progress(struct cli_progress *progress)
{
        if (progress->drawn_ms > 0)
                (void)fputs("\r\033[K", progress->output->err);
        progress->drawn_ms = 0;
}
