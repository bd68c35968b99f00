/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page. It is one file that asks nobody for anything: the style sheet is in it, pictures are SVG within the text, and its
 * Content-Security-Policy says so to the browser, which then would not even run a script that somebody managed to put in.
 */
#include "report/parts.h"

#include "sys/file.h"

#include <stdio.h>

void part_begin(struct str *out, const char *id, const char *heading, const char *explanation)
{
        str_addf(out, "<section id=\"%s\">\n<h2>%s</h2>\n", id, heading);
        if (explanation != NULL)
                str_addf(out, "<p class=\"note\">%s</p>\n", explanation);
}

void part_end(struct str *out)
{
        str_add(out, "</section>\n");
}

static void add_head(struct str *out)
{
        str_add(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
                     "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
                     "<meta name=\"color-scheme\" content=\"light dark\"/>\n"
                     "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n"
                     "<title>cowherd compare</title>\n<style>");
        str_add(out, report_style);
        str_add(out, "</style>\n</head>\n<body>\n<main>\n");
}

/* Figures of a machine that had other work to do are worth less, which the reader is told before the first of them. */
static void add_load(struct str *out, const json_t *machine)
{
        double load, cores;

        if (document_number(machine, "load_before", &load) && document_number(machine, "cores", &cores) && load > cores)
                str_addf(out, "<p class=\"note\"><span class=\"state half\">busy</span> the machine had other work as this began: load %.1f on %.0f processor%s. "
                              "Ratios are worth more than times.</p>\n",
                         load, cores, cores == 1 ? "" : "s");
}

/* "26 November 2026" needs a locale; the time stands as the document has it. */
static void add_title(struct str *out, const json_t *document)
{
        const json_t *machine = json_object_get(document, "machine");
        const char *processor = document_text(machine, "processor"), *started = document_text(document, "started");
        double cores, seconds;

        str_add(out, "<header><p class=\"brand\">cowherd compare</p>\n<h1>What a clone costs on this machine</h1>\n<p class=\"note\">");
        markup_text(out, processor == NULL ? document_text_or_empty(machine, "kernel") : processor);
        if (document_number(machine, "cores", &cores))
                str_addf(out, ", %.0f processor%s", cores, cores == 1 ? "" : "s");
        if (document_text(machine, "filesystem") != NULL) {
                str_add(out, ", ");
                markup_text(out, document_text(machine, "filesystem"));
        }
        if (started != NULL) {
                str_add(out, "<br/>measured at ");
                markup_text(out, started);
        }
        if (document_number(document, "seconds", &seconds))
                str_addf(out, " in %.0f seconds", seconds);
        if (document_flag(document, "quick"))
                str_add(out, ", a quick run");
        str_add(out, "</p>\n");
        add_load(out, machine);
        str_add(out, "</header>\n");
}

static void add_page(struct str *out, const json_t *document, const struct report_changes *changes)
{
        add_head(out);
        add_title(out, document);
        part_headlines(out, document);
        if (changes != NULL)
                part_changes(out, changes);
        part_summary(out, document);
        part_charts(out, document);
        part_phases(out, document);
        part_areas(out, document);
        part_isolation(out, document);
        part_technology(out, document);
        part_setup(out, document);
        part_left_out(out, document);
        part_method(out, document);
        part_machine(out, document);
        part_repeat(out, document);
        str_add(out, "</main>\n</body>\n</html>\n");
}

static int write_page(const json_t *document, const struct report_changes *changes, const char *path, struct cowherd_error *err)
{
        owned_string struct str page = {0};

        add_page(&page, document, changes);
        if (file_publish(path, str_text(&page), 0644, err) < 0)
                return fail_while(err, "writing the report '%s'", path);
        return 0;
}

int report_html(const json_t *document, const char *path, struct cowherd_error *err)
{
        return document_check(document, err) < 0 ? -1 : write_page(document, NULL, path, err);
}

int report_html_against(const json_t *document, const json_t *old, const char *path, struct cowherd_error *err)
{
        struct report_changes changes owned_by(report_changes_free) = {0};

        return report_against(old, document, &changes, err) < 0 ? -1 : write_page(document, &changes, path, err);
}

int report_read(const char *path, json_t **ret, struct cowherd_error *err)
{
        return document_read(path, ret, err);
}
