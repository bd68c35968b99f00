/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists for other programs: csv as RFC 4180 has it, but with line feeds; tsv with \t, \n, \r and \\ written out, so that
 * a line is an item and a tab a column's end; plain, the table's columns without a heading and whole, for awk and read.
 * Values are as the answer has them: bytes as a number, yes as 1.
 */
#include "cli/table.h"

#include <stdlib.h>
#include <string.h>

static void print_csv(const char *value, FILE *out)
{
        if (value[strcspn(value, ",\"\r\n")] == '\0') {
                (void)fputs(value, out);
                return;
        }
        (void)fputc('"', out);
        for (; *value != '\0'; value++)
                (void)fprintf(out, *value == '"' ? "\"%c" : "%c", *value);
        (void)fputc('"', out);
}

static void print_tsv(const char *value, FILE *out)
{
        static const char special[] = "\t\n\r\\", letters[] = "tnr\\";

        for (; *value != '\0'; value++) {
                const char *found = strchr(special, *value);
                if (found != NULL)
                        (void)fprintf(out, "\\%c", letters[found - special]);
                else
                        (void)fputc(*value, out);
        }
}

static void print_separated(const struct table *table, const struct cowherd_answer *answer, bool csv, FILE *out)
{
        void (*print)(const char *value, FILE *out) = csv ? print_csv : print_tsv;

        for (size_t i = 0; i < table->count; i++) {
                print(table->columns[i].name, out);
                (void)fputc(i + 1 == table->count ? '\n' : csv ? ',' : '\t', out);
        }
        for (size_t item = 0; item < cowherd_answer_items(answer); item++)
                for (size_t i = 0; i < table->count; i++) {
                        const struct cowherd_field *field = table_field(answer, item, table->columns[i].name);
                        print(field == NULL ? "" : field->value, out);
                        (void)fputc(i + 1 == table->count ? '\n' : csv ? ',' : '\t', out);
                }
}

static const char *plain_value(const struct cowherd_answer *answer, size_t item, const char *name)
{
        const struct cowherd_field *field = table_field(answer, item, name);

        return field == NULL || field->value[0] == '\0' ? "-" : field->value;
}

static void print_plain(struct table *table, const struct cowherd_answer *answer, FILE *out)
{
        size_t items = cowherd_answer_items(answer);

        for (size_t i = 0; i < table->count; i++)
                for (size_t item = 0; item < items; item++) {
                        size_t width = cli_columns_of(plain_value(answer, item, table->columns[i].name));
                        table->columns[i].width = width > table->columns[i].width ? width : table->columns[i].width;
                }
        for (size_t item = 0; item < items; item++) {
                for (size_t i = 0; i < table->count; i++) {
                        const char *value = plain_value(answer, item, table->columns[i].name);
                        size_t width = cli_columns_of(value);
                        bool last = i + 1 == table->count;
                        for (; *value != '\0'; value++)
                                (void)fputc((unsigned char)*value < ' ' || *value == 0x7f ? '?' : *value, out);
                        (void)fprintf(out, "%*s", last ? 0 : (int)(table->columns[i].width - width) + 2, "");
                }
                (void)fputc('\n', out);
        }
}

bool cli_print_format(const struct cowherd_answer *answer, const struct cowherd_verb *verb, const struct cli_output *output)
{
        const char *format = cowherd_answer_format(answer);
        bool csv = format != NULL && strcmp(format, "csv") == 0, tsv = format != NULL && strcmp(format, "tsv") == 0;
        bool plain = format != NULL && strcmp(format, "plain") == 0;

        if (!cowherd_answer_is_list(answer) || (!csv && !tsv && !plain))
                return false;
        struct table *table = malloc(sizeof *table);
        if (table == NULL)
                abort();
        if (plain) {
                table_choose(table, answer, verb);
                print_plain(table, answer, output->out);
        } else {
                table_choose_all(table, answer);
                print_separated(table, answer, csv, output->out);
        }
        free(table);
        return true;
}
