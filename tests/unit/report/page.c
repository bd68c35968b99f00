/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a report of a document, for pages.py to look at: page html DOCUMENT FILE [EARLIER], page picture DOCUMENT FILE, or
 * page changes EARLIER DOCUMENT.
 */
#include "report/document.h"
#include "report/report.h"

#include <stdio.h>
#include <string.h>

static int make(int argc, char **argv, struct cowherd_error *err)
{
        owned_document json_t *first = NULL, *second = NULL;
        struct report_changes changes owned_by(report_changes_free) = {0};
        owned_string struct str lines = {0};

        if (argc < 4)
                return fail(err, COWHERD_USAGE, "expected html, picture or changes, and two files");
        if (report_read(argv[2], &first, err) < 0)
                return -1;
        if (strcmp(argv[1], "picture") == 0)
                return report_picture(first, argv[3], err);
        if (strcmp(argv[1], "html") == 0 && argc == 4)
                return report_html(first, argv[3], err);
        if (report_read(argv[strcmp(argv[1], "html") == 0 ? 4 : 3], &second, err) < 0)
                return -1;
        if (strcmp(argv[1], "html") == 0)
                return report_html_against(first, second, argv[3], err);
        if (report_against(first, second, &changes, err) < 0)
                return -1;
        report_changes_lines(&changes, &lines);
        (void)fputs(str_text(&lines), stdout);
        return 0;
}

int main(int argc, char **argv)
{
        struct cowherd_error err = {0};

        if (make(argc, argv, &err) == 0)
                return 0;
        (void)fprintf(stderr, "%s\n%s\n", err.text, err.hint);
        return err.code;
}
