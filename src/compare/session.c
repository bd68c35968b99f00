/* SPDX-License-Identifier: Apache-2.0 */
/* A comparison from its first line of progress to its document. */
#include "compare/machine.h"
#include "compare/pair.h"

#include "sys/clock.h"
#include "sys/process.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MINUTE 60.0
#define SURE 3.0 /* seconds after which the pace so far says more than the guess */

/* One line to whoever draws it: a "P" and the sentence. */
static void tell(const struct session *session, const char *text)
{
        owned_str char *line = x_asprintf("P%s\n", text);

        (void)!write(session->channel, line, strlen(line));
}

void session_step(struct session *session, const char *engine, const char *store, const char *what, double seconds)
{
        session->done += session->last_guess;
        session->last_guess = seconds;
        double behind = session->behind + session->done, elapsed = (clock_ms() - session->began_ms) / 1000;
        double left = session->planned > behind ? session->planned - behind : 0;
        double pace = behind > SURE ? elapsed / behind : 1;
        left *= pace;
        owned_str char *text = left >= 1.5 * MINUTE ? x_asprintf("%s on %s: %s (about %.0f min left)", engine, store, what, left / MINUTE)
                                                    : x_asprintf("%s on %s: %s (about %.0f s left)", engine, store, what, left < 1 ? 1 : left);
        tell(session, text);
}

void session_pair_ended(struct session *session, double seconds)
{
        session->behind += seconds;
        session->done = session->last_guess = 0;
}

/* The program itself: this process, or what is installed. To be freed, or NULL. */
static char *find_program(void)
{
        char path[4096];
        ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);

        if (length > 0) {
                path[length] = '\0';
                if (str_ends(path, "/cowherd"))
                        return x_strdup(path);
        }
        return process_find("cowherd");
}

/* One that was made for this has no path that anybody could use later. */
static void add_image(const struct session *session, json_t *list, const char *engine, const struct image *image)
{
        if (image->path == NULL)
                return;
        json_t *path = str_starts(image->path, session->site->folder) ? json_null() : json_stringn_nocheck(image->path, strlen(image->path));
        json_array_append_new(list, json_pack("{s:s, s:o, s:s, s:I, s:o}", "engine", engine, "path", path, "format",
                                              image->format, "size_bytes", (json_int_t)image->bytes, "note", json_stringn_nocheck(image->note, strlen(image->note))));
}

static json_t *begin_document(const struct session *session, const struct images *images)
{
        static const char *const lists[] = {"rows", "figures", "phases", "space", "isolation", "setup", "failed", "left_out"};
        const struct compare_options *options = session->options;
        char started[CLOCK_TEXT_BYTES];

        json_t *document = json_pack("{s:i, s:s, s:s, s:n, s:b, s:s}", "compare", 1, "version", COWHERD_VERSION, "started", clock_format(clock_wall_ms(), started), "seconds",
                                     "quick", options->quick, "command", options->command);
        json_object_set_new(document, "machine", machine_describe(options->root));
        json_object_set_new(document, "tools", machine_tools());
        json_t *list = json_array();
        for (int target = 0; target < COWHERD_ENGINES; target++)
                if (options->engine == NULL || str_equal_case(options->engine, cowherd_target_name((enum cowherd_target)target)))
                        add_image(session, list, cowherd_target_name((enum cowherd_target)target), image_of(images, (enum cowherd_target)target));
        json_object_set_new(document, "images", list);
        for (size_t i = 0; i < array_length(lists); i++)
                json_object_set_new(document, lists[i], json_array());
        return document;
}

json_t *session_measure(struct session *session, const struct images *images, struct cowherd_error *err)
{
        const struct cowherd_options options = {.root = session->site->herd};

        tool_work_for(session->site->lock);
        session->began_ms = clock_ms();
        session->program = find_program();
        session->document = begin_document(session, images);
        session->copies = json_object();
        if (cowherd_open(&options, &session->herd, err) < 0)
                return NULL;
        int done = pairs_measure_all(session, images, err);
        cowherd_close(session->herd);
        json_decref(session->copies);
        free(session->program);
        json_object_set_new(session->document, "seconds", number_of((clock_ms() - session->began_ms) / 1000));
        json_object_set_new(json_object_get(session->document, "machine"), "load_after", number_of(machine_load()));
        return done < 0 ? NULL : session->document;
}
