/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside this room: markup that is made text by text. What is written is HTML and well-formed XML at once, so that any parser
 * can check it, and whatever stands in a document is text in it: `markup_text` is the only way in.
 */
#pragma once

#include "base/str.h"

/* Adds a text that others wrote: & < > " ' escaped, what XML 1.0 has no characters for as U+FFFD. NULL adds nothing. */
void markup_text(struct str *out, const char *text);
/* Adds <TAG class="CLASS">text</TAG>; class may be NULL. */
void markup_element(struct str *out, const char *tag, const char *class, const char *text);

/* "0.63 ms", "132 ms", "4.3 s" of ms, "12.0 KiB" of bytes, as people read them. */
#define MARKUP_VALUE_BYTES 48
const char *markup_value(bool is_bytes, double value, char *buffer);
/* The same where the unit stands on an axis: "0.1 ms", "10 ms", "1 s". */
const char *markup_tick(bool is_bytes, double value, char *buffer);
/* "13,995". */
const char *markup_count(double count, char *buffer);
/* How ours compares with the raw one: "16× quicker", "as quick", "1.5× slower"; of bytes smaller and bigger. */
const char *markup_ratio(bool is_bytes, double ours, double raw, char *buffer);
/* "QEMU", "LXD", "nspawn", or the name itself. */
const char *markup_engine(const char *engine);
/* The style class of an engine: "qemu", "lxd", "nspawn" or "other". Static. */
const char *markup_class(const char *engine);
/* "QEMU on qcow2", of which the store may be empty. */
void markup_pair(struct str *out, const char *engine, const char *store);
