/* SPDX-License-Identifier: Apache-2.0 */
/* The verb's work from its words to its answer. */
#include "compare/machine.h"
#include "compare/room.h"
#include "compare/worker.h"

#include "report/report.h"
#include "sys/file.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- the answer ---- */

static void add_summary(struct cowherd_answer *answer, const json_t *figure, const char *side)
{
        const json_t *summary = json_object_get(figure, side);
        static const char *const names[] = {"median", "p05", "p95"};

        for (size_t i = 0; i < array_length(names); i++) {
                const json_t *value = json_object_get(summary, names[i]);
                char name[32];
                (void)snprintf(name, sizeof name, "%s_%s", side, names[i]);
                if (json_is_number(value))
                        answer_ms(answer, name, json_number_value(value));
        }
}

/* An item for each figure, for scripts. */
static void add_figures(struct cowherd_answer *answer, const json_t *document)
{
        static const char *const texts[] = {"engine", "store", "figure", "title", "unit"};
        size_t index;
        json_t *figure;

        answer_list(answer);
        json_array_foreach(json_object_get(document, "figures"), index, figure) {
                answer_item(answer);
                for (size_t i = 0; i < array_length(texts); i++)
                        answer_text(answer, texts[i], json_string_value(json_object_get(figure, texts[i])));
                answer_number(answer, "n", (uint64_t)json_integer_value(json_object_get(figure, "n")));
                add_summary(answer, figure, "ours");
                add_summary(answer, figure, "raw");
                answer_text(answer, "raw_name", json_string_value(json_object_get(figure, "raw_name")));
                if (json_is_number(json_object_get(figure, "ratio")))
                        answer_ms(answer, "ratio", json_number_value(json_object_get(figure, "ratio")));
        }
        answer_items_end(answer);
}

static int write_document(const char *path, const json_t *document, struct cowherd_error *err)
{
        owned_str char *text = json_dumps(document, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
        owned_str char *whole = x_asprintf("%s\n", text);

        return file_publish(path, whole, 0644, err);
}

/* What is to be written besides the answer; what changed since `old` (NULL: nothing is compared with) goes into the report. */
static int write_files(const struct compare_options *options, const json_t *document, const json_t *old, struct cowherd_answer *answer, struct cowherd_error *err)
{
        if (options->json != NULL && write_document(options->json, document, err) < 0)
                return -1;
        if (options->html != NULL && (old == NULL ? report_html(document, options->html, err) : report_html_against(document, old, options->html, err)) < 0)
                return -1;
        answer_text(answer, "json", options->json);
        answer_text(answer, "html", options->html);
        return 0;
}

/* What changed, as a part of the text and of the document. */
static int add_changes(json_t *document, const json_t *old, struct str *text, struct cowherd_error *err)
{
        struct report_changes changes owned_by(report_changes_free) = {0};
        json_t *list = json_array();

        if (report_against(old, document, &changes, err) < 0) {
                json_decref(list);
                return -1;
        }
        for (size_t i = 0; i < changes.count; i++) {
                const struct report_change *change = &changes.items[i];
                json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s}", "engine", change->engine, "store", change->store, "figure", change->figure, "verdict",
                                                      report_verdict_name(change->verdict), "told_by", change->told_by));
        }
        str_addf(text, "\nCHANGED since %s\n", changes.old_started == NULL ? "then" : changes.old_started);
        report_changes_lines(&changes, text);
        return json_object_set_new(document, "changes", list);
}

static size_t count_of(const json_t *document, const char *list)
{
        return json_array_size(json_object_get(document, list));
}

static int answer_document(const struct compare_options *options, json_t *document, const json_t *old, struct cowherd_answer *answer, struct cowherd_error *err)
{
        owned_str char *tables = text_of_document(document);
        owned_string struct str text = {0};
        const json_t *failed = json_object_get(document, "failed"), *first = json_array_get(failed, 0);

        add_figures(answer, document);
        str_add(&text, tables);
        int done = old == NULL ? 0 : add_changes(document, old, &text, err);
        owned_str char *json = json_dumps(document, JSON_COMPACT | JSON_REAL_PRECISION(12));
        answer_set_document(answer, json);
        answer_text(answer, "report", str_text(&text));
        if (done < 0 || write_files(options, document, old, answer, err) < 0)
                return -1;
        if (count_of(document, "failed") > 0)
                return fail(err, COWHERD_SYSTEM, "%zu of the measurements failed, the first, %s of %s on %s: %s", count_of(document, "failed"),
                            json_string_value(json_object_get(first, "figure")), json_string_value(json_object_get(first, "engine")),
                            json_string_value(json_object_get(first, "store")), json_string_value(json_object_get(first, "error")));
        if (count_of(document, "figures") == 0) {
                (void)fail(err, COWHERD_UNAVAILABLE, "nothing of what was asked for works here, so nothing was measured");
                return fail_hint(err, "'cowherd doctor' tells what is missing");
        }
        answer_done(answer, "%zu figures measured in %.0f s", count_of(document, "figures"), json_number_value(json_object_get(document, "seconds")));
        return 0;
}

/* ---- the plan ---- */

static void add_step(struct cowherd_answer *answer, unsigned number, const char *format, ...) format_like(3, 4);

static void add_step(struct cowherd_answer *answer, unsigned number, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        owned_str char *what = x_vasprintf(format, args);
        va_end(args);
        answer_item(answer);
        answer_number(answer, "step", number);
        answer_text(answer, "what", what);
}

static int answer_plan(const struct compare_options *options, struct cowherd_answer *answer)
{
        answer_list(answer);
        add_step(answer, 1, "make a folder with a herd of its own in '%s/tmp'", options->root);
        add_step(answer, 2, "see that there is space and memory enough for %s", options->image == NULL ? "the base that is used most, or small images made for this" : options->image);
        add_step(answer, 3, "measure %s on %s, in turn with the raw tools%s", options->engine == NULL ? "every engine that works here" : options->engine,
                 options->store == NULL ? "every store that works here" : options->store, options->quick ? ", the figures that say most" : "");
        add_step(answer, 4, "take all of it away again");
        answer_items_end(answer);
        answer_done(answer, "nothing done: this is the plan to compare");
        return 0;
}

/* ---- the way through ---- */

static int measure(const struct compare_options *options, const struct site *site, const struct interrupts *interrupts, json_t **ret_document, struct cowherd_error *err)
{
        struct images images owned_by(images_free) = {0};

        if (images_choose(options, site, &images, err) < 0)
                return -1;
        const struct needs needs = needs_of(options, &images);
        if (needs_check(&needs, site->folder, machine_available_bytes(), err) < 0)
                return -1;
        return worker_run(options, site, &images, interrupts, ret_document, err);
}

/* Measures, and takes away what was made for it, whatever came of it. */
static int measure_somewhere(const struct compare_options *options, json_t **ret_document, bool *ret_left, struct cowherd_error *undo, struct cowherd_error *err)
{
        struct interrupts interrupts owned_by(interrupts_end) = {.fd = -1};
        struct site site owned_by(site_free) = SITE_NONE;

        interrupts_begin(&interrupts);
        if (site_make(options->root, &site, err) < 0)
                return -1;
        int done = measure(options, &site, &interrupts, ret_document, err);
        *ret_left = site_remove(&site, undo) < 0;
        if (!*ret_left)
                return done;
        (void)fail_hint(undo, "'cowherd cleanup' tries again");
        return done < 0 ? fail_hint(err, "what was made for it is still there (%.300s): 'cowherd cleanup' takes it away", undo->text) : 0;
}

static int compare_with(const struct compare_options *options, const json_t *old, struct cowherd_answer *answer, struct cowherd_error *err)
{
        struct cowherd_error undo = {0};
        json_t *document = NULL;
        bool is_left = false;

        if (measure_somewhere(options, &document, &is_left, &undo, err) < 0)
                return -1;
        int done = answer_document(options, document, old, answer, err);
        json_decref(document);
        if (done == 0 && is_left) {
                *err = undo;
                return -1;
        }
        return done;
}

/* That a file can't be written is said before anything is measured for it. */
static int expect_folder_of(const char *file, struct cowherd_error *err)
{
        const char *slash = file == NULL ? NULL : strrchr(file, '/');
        owned_str char *folder = slash == NULL ? x_strdup(".") : slash == file ? x_strdup("/") : x_strndup(file, (size_t)(slash - file));

        if (file == NULL || access(folder, W_OK) == 0)
                return 0;
        return fail_errno(err, "cannot write '%s' into '%s'", file, folder);
}

int compare_run(const struct compare_options *options, struct cowherd_answer *answer, struct cowherd_error *err)
{
        json_t *old = NULL;

        if (options->dry_run)
                return answer_plan(options, answer);
        if (expect_folder_of(options->json, err) < 0 || expect_folder_of(options->html, err) < 0 ||
            (options->against != NULL && report_read(options->against, &old, err) < 0))
                return -1;
        int done = compare_with(options, old, answer, err);
        json_decref(old);
        return done;
}
