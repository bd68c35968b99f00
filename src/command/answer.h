/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building an answer: an ordered list of fields, and for a list its items. The first fields (success, operation, output
 * or error, code, hint) are set by answer_done and answer_failed, whenever they are called, and stand first.
 */
#pragma once

#include "base/error.h"
#include "base/str.h"
#include "command/verbs.h"

/* A new answer for a verb (`operation`; "" where not even that is known). The caller's, for cowherd_answer_free. */
struct cowherd_answer *answer_new(const char *operation);
/* success=1 and the one sentence. */
void answer_done(struct cowherd_answer *answer, const char *format, ...) format_like(2, 3);
/* success=0, error, code and hint from err; fields that were added stay. */
void answer_failed(struct cowherd_answer *answer, const struct cowherd_error *err);

/* The code of a success: of a command that ran in a guest, its own exit code. After answer_done. */
void answer_set_code(struct cowherd_answer *answer, int code);

/* Adds a field to the answer, or to the item that was begun last. A NULL text is left out. A name already there is replaced. */
void answer_text(struct cowherd_answer *answer, const char *name, const char *value);
void answer_number(struct cowherd_answer *answer, const char *name, uint64_t value);
void answer_ms(struct cowherd_answer *answer, const char *name, double ms);
void answer_flag(struct cowherd_answer *answer, const char *name, bool value);
/* Another spelling of a field that was added before, with its value (nothing where it was not): RexxJS's names. */
void answer_also(struct cowherd_answer *answer, const char *name, const char *of);

/* Makes it a list (count=0 until items come). */
void answer_list(struct cowherd_answer *answer);
/* Begins the next item; fields go to it until answer_items_end. */
void answer_item(struct cowherd_answer *answer);
void answer_items_end(struct cowherd_answer *answer);

/* Adds a text as JSON writes it, with its quotes. */
void answer_add_json_text(struct str *json, const char *text);

/* What format= and columns= said of a list, or NULL: columns are kept from answer_items_end on, the format is for faces that print. */
void answer_set_list(struct cowherd_answer *answer, const char *format, const char *columns);

/*
 * Gives the answer a document, an object in JSON: as JSON the answer then is its head (success, operation, output …) and what is in that,
 * its own fields and items being another face of the same.
 */
void answer_set_document(struct cowherd_answer *answer, const char *json);

void answer_set_stem(struct cowherd_answer *answer, const char *stem);
