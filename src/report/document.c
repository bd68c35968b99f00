/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The document of compare, field by field. It may come from a file that somebody edited, or from another version: so each
 * question has an answer for "not there", and no caller looks at the JSON itself without one.
 */
#include "report/document.h"

#include "base/str.h"
#include "sys/file.h"

#include <fcntl.h>

#define SENSIBLE_MAX 1e18 /* an exabyte, or thirty million years */

int document_read(const char *path, json_t **ret, struct cowherd_error *err)
{
        owned_str char *text = NULL;
        owned_document json_t *document = NULL;
        size_t length = 0;
        json_error_t why;

        if (file_read(AT_FDCWD, path, DOCUMENT_LIMIT_BYTES, &text, &length, err) < 0)
                return -1;
        document = json_loadb(text, length, JSON_REJECT_DUPLICATES, &why);
        if (document == NULL) {
                (void)fail(err, COWHERD_DATA, "'%s' is not JSON: line %d: %s", path, why.line, why.text);
                return fail_hint(err, "expected what 'cowherd compare --json' printed");
        }
        if (document_check(document, err) < 0)
                return fail_while(err, "reading '%s'", path);
        *ret = take(document);
        return 0;
}

int document_check(const json_t *document, struct cowherd_error *err)
{
        const json_t *version = json_object_get(document, "compare");

        if (!json_is_integer(version) || !json_is_array(json_object_get(document, "figures"))) {
                (void)fail(err, COWHERD_DATA, "this is no comparison (expected an object with 'compare' and 'figures')");
                return fail_hint(err, "'cowherd compare --json' prints one");
        }
        if (json_integer_value(version) != DOCUMENT_VERSION) {
                (void)fail(err, COWHERD_DATA, "this comparison is of version %lld (expected %d)", (long long)json_integer_value(version),
                           DOCUMENT_VERSION);
                return fail_hint(err, "measure again with this cowherd: cowherd compare --json");
        }
        return 0;
}

const char *document_text(const json_t *object, const char *name)
{
        const char *text = json_string_value(json_object_get(object, name));

        return str_is_empty(text) ? NULL : text;
}

const char *document_text_or_empty(const json_t *object, const char *name)
{
        const char *text = document_text(object, name);

        return text == NULL ? "" : text;
}

bool document_number(const json_t *object, const char *name, double *ret)
{
        const json_t *value = json_object_get(object, name);
        double number = json_number_value(value);

        if (!json_is_number(value) || !(number >= 0 && number <= SENSIBLE_MAX))
                return false;
        *ret = number;
        return true;
}

bool document_flag(const json_t *object, const char *name)
{
        return json_is_true(json_object_get(object, name));
}

/* The range is p05 to p95, else the least and the most that was seen. */
static struct spread spread_of(const json_t *object)
{
        struct spread spread = {0};

        spread.known = document_number(object, "median", &spread.median);
        spread.low = spread.high = spread.median;
        spread.has_range = spread.known && (document_number(object, "p05", &spread.low) || document_number(object, "min", &spread.low)) &&
                           (document_number(object, "p95", &spread.high) || document_number(object, "max", &spread.high)) &&
                           spread.low <= spread.median && spread.median <= spread.high;
        return spread;
}

bool document_figure_at(const json_t *document, size_t index, struct figure *ret)
{
        const json_t *figures = json_object_get(document, "figures"), *object = json_array_get(figures, index);

        if (index >= json_array_size(figures))
                return false;
        *ret = (struct figure){
                .engine = document_text_or_empty(object, "engine"),
                .store = document_text_or_empty(object, "store"),
                .figure = document_text_or_empty(object, "figure"),
                .title = document_text(object, "title"),
                .unit = document_text_or_empty(object, "unit"),
                .ours = spread_of(json_object_get(object, "ours")),
                .raw = spread_of(json_object_get(object, "raw")),
                .raw_name = document_text(object, "raw_name"),
                .compared = document_text(object, "compared"),
                .samples = json_object_get(object, "samples"),
                .raw_samples = json_object_get(object, "raw_samples"),
        };
        if (ret->title == NULL)
                ret->title = ret->figure;
        if (ret->raw_name == NULL)
                ret->raw_name = "the raw tool";
        ret->is_bytes = str_equal(ret->unit, "bytes");
        (void)document_number(object, "n", &ret->runs);
        return true;
}

bool document_figure_of(const json_t *document, const char *engine, const char *store, const char *figure, struct figure *ret)
{
        struct figure found;

        for (size_t i = 0; document_figure_at(document, i, &found); i++)
                if (found.ours.known && str_equal(found.engine, engine) && str_equal(found.store, store) && str_equal(found.figure, figure)) {
                        *ret = found;
                        return true;
                }
        return false;
}

size_t document_pairs(const json_t *document, struct pair ret[static DOCUMENT_PAIRS])
{
        struct figure figure;
        size_t count = 0;

        for (size_t i = 0; document_figure_at(document, i, &figure); i++) {
                size_t at = 0;
                while (at < count && !(str_equal(ret[at].engine, figure.engine) && str_equal(ret[at].store, figure.store)))
                        at++;
                if (at == count && count < DOCUMENT_PAIRS && figure.ours.known)
                        ret[count++] = (struct pair){figure.engine, figure.store};
        }
        return count;
}
