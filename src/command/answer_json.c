/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An answer as one line of JSON (RFC 8259), written as it goes: no tree is built, and no library is loaded for it.
 * Bytes that are not UTF-8 become U+FFFD, so that whatever a tool or a guest said, the line can be parsed.
 */
#include "command/answer_data.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

static bool continues(unsigned char c)
{
        return (c & 0xc0) == 0x80;
}

/* Bytes of the UTF-8 character at `at` (NUL-terminated, so looking ahead is safe), or 0 where it is none (RFC 3629). */
static size_t character_length(const unsigned char *at)
{
        if (at[0] < 0x80)
                return 1;
        if (at[0] < 0xc2 || at[0] > 0xf4 || !continues(at[1]))
                return 0;
        if (at[0] < 0xe0)
                return 2;
        if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) || !continues(at[2]))
                return 0;
        if (at[0] < 0xf0)
                return 3;
        if ((at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f) || !continues(at[3]))
                return 0;
        return 4;
}

static void add_escaped(struct str *json, unsigned char c)
{
        static const char *const short_forms[32] = {
                ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f", ['\r'] = "\\r"};

        if (c == '"')
                str_add_bytes(json, "\\\"", 2);
        else if (c == '\\')
                str_add_bytes(json, "\\\\", 2);
        else if (c < 32 && short_forms[c] != NULL)
                str_add_bytes(json, short_forms[c], 2);
        else
                str_addf(json, "\\u%04x", c);
}

void answer_add_json_text(struct str *json, const char *text)
{
        const unsigned char *at = (const unsigned char *)text;

        str_add_char(json, '"');
        while (*at != '\0') {
                const unsigned char *plain = at;
                while (*at >= ' ' && *at < 0x7f && *at != '"' && *at != '\\')
                        at++;
                str_add_bytes(json, plain, (size_t)(at - plain));
                if (*at == '\0')
                        break;
                size_t length = character_length(at);
                if (length == 0) {
                        str_add_bytes(json, "\xef\xbf\xbd", 3);
                        length = 1;
                } else if (length == 1) {
                        add_escaped(json, *at);
                } else {
                        str_add_bytes(json, at, length);
                }
                at += length;
        }
        str_add_char(json, '"');
}

static void add_value(struct str *json, const struct cowherd_field *field)
{
        if (field->type == COWHERD_TEXT)
                answer_add_json_text(json, field->value);
        else
                str_add(json, field->value);
}

static void add_fields(struct str *json, const struct cowherd_answer *answer)
{
        const struct cowherd_field *field;

        for (size_t i = 0; (field = cowherd_answer_field(answer, i)) != NULL; i++) {
                if (i > 0)
                        str_add_char(json, ',');
                answer_add_json_text(json, field->name);
                str_add_char(json, ':');
                add_value(json, field);
        }
}

/* Items that are alike share their names, so `,"name":` is made once for each place in an item. */
#define PLACES 48

struct prefix {
        const char *name; /* the very text that was written, not one that is equal */
        struct str text;
};

static void add_item(struct str *json, const struct cowherd_answer *answer, size_t item,
                     struct prefix prefixes[static PLACES])
{
        const struct cowherd_field *fields = &answer->item_fields.items[answer->items[item].first];

        for (size_t i = 0; i < answer->items[item].count; i++) {
                struct prefix *prefix = &prefixes[i % PLACES];
                if (prefix->name != fields[i].name) {
                        prefix->name = fields[i].name;
                        prefix->text.length = 0;
                        str_add_char(&prefix->text, ',');
                        answer_add_json_text(&prefix->text, prefix->name);
                        str_add_char(&prefix->text, ':');
                }
                size_t comma = i == 0 ? 1 : 0;
                str_add_bytes(json, prefix->text.data + comma, prefix->text.length - comma);
                add_value(json, &fields[i]);
        }
}

/* The head's fields, then what is in the document. */
static char *json_of_document(const struct cowherd_answer *answer)
{
        owned_string struct str json = {0};

        for (size_t i = 0; i < HEAD_COUNT; i++) {
                if (answer->head[i].name == NULL)
                        continue;
                str_add_char(&json, json.length == 0 ? '{' : ',');
                answer_add_json_text(&json, answer->head[i].name);
                str_add_char(&json, ':');
                add_value(&json, &answer->head[i]);
        }
        str_add_char(&json, ',');
        str_add(&json, answer->document + 1); /* without its '{' */
        return str_take(&json);
}

char *cowherd_answer_json(const struct cowherd_answer *answer)
{
        if (answer->document != NULL)
                return json_of_document(answer);
        owned_string struct str json = {0};
        struct prefix prefixes[PLACES] = {0};

        str_add_char(&json, '{');
        add_fields(&json, answer);
        if (answer->is_list)
                str_add(&json, ",\"items\":[");
        for (size_t item = 0; item < answer->item_count; item++) {
                str_add(&json, item == 0 ? "{" : ",{");
                if (answer->items[item].count > 0)
                        add_item(&json, answer, item, prefixes);
                str_add_char(&json, '}');
        }
        str_add(&json, answer->is_list ? "]}" : "}");
        for (size_t i = 0; i < PLACES; i++)
                str_free(&prefixes[i].text);
        return str_take(&json);
}
