/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Progress: one line on the terminal, drawn again at most ten times a second, and gone when the work is. With a bar, a rate and
 * the time that is left where it is known how much there is to do. The width is asked at each drawing, so that no signal has to
 * be caught for a window that changes; and the last column stays free, since many terminals wrap a line that fills it.
 */
#include "cli/cli.h"

#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

enum { INTERVAL_MS = 100, RATE_AFTER_MS = 500, BAR_LEAST = 8, BAR_MOST = 24, ROUND_BAR = 8, WHAT_MOST = 20 };

static double now_ms(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* "1.5 GiB" */
static void format_bytes(double bytes, char *buffer, size_t size)
{
        static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
        size_t unit = 0;

        for (; bytes >= 1024 && unit + 1 < sizeof units / sizeof units[0]; unit++)
                bytes /= 1024;
        (void)snprintf(buffer, size, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
}

/* "0:07", "1:02:45" */
static void format_time(double ms, char *buffer, size_t size)
{
        unsigned long seconds = (unsigned long)(ms / 1e3 + 0.5);

        if (seconds >= 3600)
                (void)snprintf(buffer, size, "%lu:%02lu:%02lu", seconds / 3600, seconds / 60 % 60, seconds % 60);
        else
                (void)snprintf(buffer, size, "%lu:%02lu", seconds / 60, seconds % 60);
}

/* Other work, or the same from its beginning, has its own time and rate. */
static void begin_if_new(struct cli_progress *progress, const char *what, unsigned long long done, unsigned long long total, double now)
{
        bool same = progress->begun && done >= progress->done && total == progress->total &&
                    (total > 0 || strncmp(progress->what, what, sizeof progress->what - 1) == 0 || done == 0);

        if (!same) {
                progress->begun = true;
                progress->begun_ms = progress->rated_ms = now;
                progress->begun_bytes = progress->rated_bytes = done;
                progress->rate = 0;
                (void)snprintf(progress->what, sizeof progress->what, "%s", what);
        }
        progress->done = done;
        progress->total = total;
}

/* Bytes in a ms: of the last seconds more than of those before. */
static void measure_rate(struct cli_progress *progress, double now)
{
        double since = now - progress->rated_ms;

        if (since < RATE_AFTER_MS)
                return;
        double rate = (double)(progress->done - progress->rated_bytes) / since;
        progress->rate = progress->rate <= 0 ? rate : 0.6 * progress->rate + 0.4 * rate;
        progress->rated_ms = now;
        progress->rated_bytes = progress->done;
}

/* What is known of how much and how fast: "1.2 GiB of 3.0 GiB, 210.0 MiB/s, 0:08 left". */
static void format_figures(const struct cli_progress *progress, double now, char *buffer, size_t size)
{
        char done[32], total[32], rate[32], left[32];
        size_t used = 0;

        format_bytes((double)progress->done, done, sizeof done);
        format_bytes((double)progress->total, total, sizeof total);
        format_bytes(progress->rate * 1e3, rate, sizeof rate);
        if (progress->total > 0)
                used += (size_t)snprintf(buffer, size, "%s of %s", done, total);
        else if (progress->done > 0)
                used += (size_t)snprintf(buffer, size, "%s", done);
        if (progress->rate > 0 && used < size)
                used += (size_t)snprintf(buffer + used, size - used, "%s%s/s", used > 0 ? ", " : "", rate);
        if (progress->rate > 0 && progress->total > progress->done) {
                format_time((double)(progress->total - progress->done) / progress->rate, left, sizeof left);
                if (used < size)
                        used += (size_t)snprintf(buffer + used, size - used, ", %s left", left);
        } else if (progress->total == 0 && now - progress->begun_ms >= 1e3 && used < size) {
                format_time(now - progress->begun_ms, left, sizeof left);
                (void)snprintf(buffer + used, size - used, "%s%s", used > 0 ? ", " : "", left);
        }
}

/* " 42% [#####-----] " */
static void format_bar(const struct cli_progress *progress, size_t width, bool unicode, char *buffer, size_t size)
{
        double share = progress->total == 0 ? 0 : (double)(progress->done < progress->total ? progress->done : progress->total) / (double)progress->total;
        size_t filled = (size_t)(share * (double)width), used = (size_t)snprintf(buffer, size, "%3.0f%%", share * 100);

        if (width == 0)
                return;
        used += (size_t)snprintf(buffer + used, size - used, " %s", unicode ? "" : "[");
        for (size_t i = 0; i < width && used + 8 < size; i++)
                used += (size_t)snprintf(buffer + used, size - used, "%s", unicode ? i < filled ? "\xe2\x96\x88" : "\xe2\x96\x91" : i < filled ? "#" : "-");
        (void)snprintf(buffer + used, size - used, "%s", unicode ? "" : "]");
}

/* Adds text of at most `columns` columns, control characters as blanks; returns how many it took. */
static size_t add_clipped(const char *text, size_t columns, char *buffer, size_t size)
{
        size_t used = strlen(buffer), shown = 0;

        for (; *text != '\0' && used + 1 < size; text++) {
                shown += ((unsigned char)*text & 0xc0) != 0x80;
                if (shown > columns) {
                        shown--;
                        break;
                }
                buffer[used++] = (unsigned char)*text < ' ' || *text == 0x7f ? ' ' : *text;
        }
        buffer[used] = '\0';
        return shown;
}

void cli_format_progress(struct cli_progress *progress, const char *what, unsigned long long done, unsigned long long total, double now,
                         size_t columns, char *line, size_t size)
{
        char figures[160] = "", bar[160] = "";

        begin_if_new(progress, what, done, total, now);
        measure_rate(progress, now);
        format_figures(progress, now, figures, sizeof figures);
        size_t room = columns > 0 ? columns - 1 : 0, taken = cli_columns_of(figures) + 2, width = 0;
        size_t wanted = cli_columns_of(what) < WHAT_MOST ? cli_columns_of(what) : WHAT_MOST;
        if (total > 0 && room >= taken + ROUND_BAR + wanted + BAR_LEAST) {
                width = room - taken - ROUND_BAR - wanted;
                width = width > BAR_MOST ? BAR_MOST : width;
        }
        if (total > 0)
                format_bar(progress, width, progress->output->unicode, bar, sizeof bar);
        line[0] = '\0';
        size_t used = bar[0] == '\0' ? 0 : add_clipped(bar, room, line, size);
        if (used > 0)
                used += add_clipped(" ", room - used, line, size);
        if (figures[0] != '\0' && used + taken + wanted <= room) {
                used += add_clipped(figures, room - used, line, size);
                used += add_clipped("  ", room - used, line, size);
        }
        (void)add_clipped(what, room - used, line, size);
}

/* The terminal's width now, where it is one. */
static size_t columns_of(const struct cli_output *output)
{
        struct winsize size;
        int fd = fileno(output->err);

        return fd >= 0 && ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : output->columns;
}

void cli_draw_progress(void *context, const char *what, unsigned long long done, unsigned long long total)
{
        struct cli_progress *progress = context;
        double now = now_ms();
        char line[1024];

        if (progress->drawn_ms > 0 && now - progress->drawn_ms < INTERVAL_MS)
                return;
        progress->drawn_ms = now;
        cli_format_progress(progress, what, done, total, now, columns_of(progress->output), line, sizeof line);
        (void)fprintf(progress->output->err, "\r\033[K%s", line);
        (void)fflush(progress->output->err);
}

void cli_end_progress(struct cli_progress *progress)
{
        if (progress->drawn_ms > 0) {
                (void)fputs("\r\033[K", progress->output->err);
                (void)fflush(progress->output->err);
        }
        *progress = (struct cli_progress){.output = progress->output};
}
