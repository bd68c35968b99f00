/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree, drawn: a heading for each engine, then a line for each base and clone behind its branches, its figures in columns
 * at the right. The branches are Unicode's box drawing where the terminal's locale is UTF-8, ASCII otherwise. A name is never
 * cut: where it leaves no room for the figures they stand in the next line.
 */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

enum { GAP = 2, BRANCH = 3, FIGURES = 4 };

struct figure {
        const char *field;
        const char *heading;
        bool right;
        size_t width; /* 0: not shown */
};

struct drawing {
        const struct cowherd_answer *answer;
        const struct cli_output *output;
        struct figure figures[FIGURES];
        size_t label; /* width of the names with their branches */
        bool *open;   /* by depth: whether a branch goes on below */
};

static size_t depth_of(const struct cowherd_answer *answer, size_t item)
{
        const char *depth = cowherd_answer_item_get(answer, item, "depth");

        return depth == NULL ? 0 : (size_t)strtoul(depth, NULL, 10);
}

static const char *text_of(const struct cowherd_answer *answer, size_t item, const char *field)
{
        const char *text = cowherd_answer_item_get(answer, item, field);

        return text == NULL ? "" : text;
}

static const char *name_of(const struct cowherd_answer *answer, size_t item)
{
        const char *name = text_of(answer, item, "name");

        return name[0] == '\0' ? "(removed base)" : name;
}

/* Whether another item of the same depth hangs under the same parent below. */
static bool has_sibling_below(const struct cowherd_answer *answer, size_t item)
{
        size_t depth = depth_of(answer, item);
        const char *engine = text_of(answer, item, "engine");

        for (size_t below = item + 1; below < cowherd_answer_items(answer); below++) {
                size_t other = depth_of(answer, below);
                if (other < depth || strcmp(text_of(answer, below, "engine"), engine) != 0)
                        return false;
                if (other == depth)
                        return true;
        }
        return false;
}

/* A figure's text; to be free()d. */
static char *figure_of(const struct cowherd_answer *answer, size_t item, const char *name)
{
        const struct cowherd_field *field;
        char *text = NULL;

        for (size_t i = 0; text == NULL && (field = cowherd_answer_item_field(answer, item, i)) != NULL; i++)
                if (strcmp(field->name, name) == 0)
                        text = cli_readable(field);
        if (text == NULL)
                text = strdup(strcmp(name, "state") == 0 ? text_of(answer, item, "role") : "?");
        if (text == NULL)
                abort();
        return text;
}

static size_t width_of_figures(const struct drawing *drawing)
{
        size_t width = 0;

        for (size_t i = 0; i < FIGURES; i++)
                width += drawing->figures[i].width == 0 ? 0 : drawing->figures[i].width + GAP;
        return width;
}

/* Column widths; the store is left out where it doesn't fit, and names that are too long do without figures beside them. */
static void measure(struct drawing *drawing)
{
        size_t items = cowherd_answer_items(drawing->answer);

        for (size_t i = 0; i < FIGURES; i++) {
                struct figure *figure = &drawing->figures[i];
                figure->width = strlen(figure->heading);
                for (size_t item = 0; item < items; item++) {
                        char *text = figure_of(drawing->answer, item, figure->field);
                        size_t width = cli_columns_of(text);
                        figure->width = width > figure->width ? width : figure->width;
                        free(text);
                }
        }
        for (size_t item = 0; item < items; item++) {
                size_t width = (depth_of(drawing->answer, item) + 1) * BRANCH + cli_columns_of(name_of(drawing->answer, item));
                drawing->label = width > drawing->label ? width : drawing->label;
        }
        if (drawing->label + width_of_figures(drawing) > drawing->output->columns)
                drawing->figures[0].width = 0;
        size_t figures = width_of_figures(drawing), room = drawing->output->columns;
        if (drawing->label + figures > room)
                drawing->label = room > figures ? room - figures : 0;
}

static void print_branches(const struct drawing *drawing, size_t depth, const char *last)
{
        bool unicode = drawing->output->unicode;

        for (size_t level = 0; level < depth; level++)
                (void)fputs(!drawing->open[level] ? "   " : unicode ? "\xe2\x94\x82  " : "|  ", drawing->output->out);
        (void)fputs(last, drawing->output->out);
}

static void print_figures(const struct drawing *drawing, size_t item)
{
        FILE *out = drawing->output->out;
        size_t last = FIGURES - 1;

        for (size_t i = 0; i < FIGURES; i++) {
                const struct figure *figure = &drawing->figures[i];
                if (figure->width == 0)
                        continue;
                char *text = figure_of(drawing->answer, item, figure->field);
                size_t width = cli_columns_of(text), fill = figure->width > width ? figure->width - width : 0;
                bool colours = strcmp(figure->field, "state") == 0;
                (void)fprintf(out, "%*s%*s", GAP, "", figure->right ? (int)fill : 0, "");
                if (colours)
                        cli_begin_colour(cli_colour_of_state(text), drawing->output);
                (void)fputs(text, out);
                if (colours)
                        cli_end_colour(cli_colour_of_state(text), drawing->output);
                (void)fprintf(out, "%*s", figure->right || i == last ? 0 : (int)fill, "");
                free(text);
        }
        (void)fputc('\n', out);
}

static void print_item(struct drawing *drawing, size_t item)
{
        const struct cowherd_answer *answer = drawing->answer;
        bool unicode = drawing->output->unicode, more = has_sibling_below(answer, item);
        bool is_base = strcmp(text_of(answer, item, "role"), "base") == 0;
        size_t depth = depth_of(answer, item), width = (depth + 1) * BRANCH + cli_columns_of(name_of(answer, item));
        const char *branch = unicode ? more ? "\xe2\x94\x9c\xe2\x94\x80 " : "\xe2\x94\x94\xe2\x94\x80 " : more ? "|- " : "`- ";

        print_branches(drawing, depth, branch);
        cli_begin_colour(is_base ? CLI_BOLD : CLI_PLAIN, drawing->output);
        (void)fputs(name_of(answer, item), drawing->output->out);
        cli_end_colour(is_base ? CLI_BOLD : CLI_PLAIN, drawing->output);
        drawing->open[depth] = more;
        if (width > drawing->label) {
                bool leads = item + 1 < cowherd_answer_items(answer) && depth_of(answer, item + 1) > depth;
                (void)fputc('\n', drawing->output->out);
                print_branches(drawing, depth + 1, !leads ? "   " : unicode ? "\xe2\x94\x82  " : "|  ");
                width = (depth + 2) * BRANCH;
        }
        (void)fprintf(drawing->output->out, "%*s", width < drawing->label ? (int)(drawing->label - width) : 0, "");
        print_figures(drawing, item);
}

static void print_heading(const struct drawing *drawing, const char *engine)
{
        size_t width = cli_columns_of(engine);

        cli_begin_colour(CLI_DIM, drawing->output);
        (void)fprintf(drawing->output->out, "%s%*s", engine, width < drawing->label ? (int)(drawing->label - width) : 0, "");
        for (size_t i = 0; i < FIGURES; i++) {
                const struct figure *figure = &drawing->figures[i];
                if (figure->width > 0)
                        (void)fprintf(drawing->output->out, figure->right ? "%*s%*s" : "%*s%-*s", GAP, "", (int)figure->width, figure->heading);
        }
        cli_end_colour(CLI_DIM, drawing->output);
        (void)fputc('\n', drawing->output->out);
}

void cli_print_tree(const struct cowherd_answer *answer, const struct cli_output *output)
{
        size_t items = cowherd_answer_items(answer), deepest = 0;
        struct drawing drawing = {.answer = answer,
                                  .output = output,
                                  .figures = {{"store", "STORE", false, 0},
                                              {"state", "STATE", false, 0},
                                              {"unique_bytes", "OWN", true, 0},
                                              {"shared_bytes", "SHARED", true, 0}}};
        const char *engine = "";

        for (size_t item = 0; item < items; item++)
                deepest = depth_of(answer, item) > deepest ? depth_of(answer, item) : deepest;
        drawing.open = calloc(deepest + 2, sizeof *drawing.open);
        if (drawing.open == NULL)
                abort();
        measure(&drawing);
        for (size_t item = 0; item < items; item++) {
                if (strcmp(text_of(answer, item, "engine"), engine) != 0)
                        print_heading(&drawing, engine = text_of(answer, item, "engine"));
                print_item(&drawing, item);
        }
        free(drawing.open);
}
