#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds answers against docs/schemas.

    schemas.py [--part] SCHEMAS ANSWERS [VERB…]

ANSWERS has an answer a line. Each must be valid by answer.json; every field in it must be described in fields.json, and those
of an item and of a single object by the schema of its kind too, so that nothing is answered that is not written down. Each VERB
must have had an answer that is a success, and every schema must have been met, but with --part: those are one engine's answers.
"""
import json
import pathlib
import re
import sys
import warnings

import jsonschema

HEAD = {"success", "operation", "output", "error", "code", "hint", "warning", "count", "items"}
OF_LISTS = {"failed", "skipped", "matched", "duration_ms", "total_unique_bytes", "bases", "clones", "problems", "engines", "warning",
            "needs", "stack", "filesystem", "acceleration", "measured", "note"}


def load(folder):
    schemas = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
    for name, schema in schemas.items():
        jsonschema.Draft202012Validator.check_schema(schema)
        schema["$id"] = f"https://cowherd.invalid/schemas/{name}"
    return schemas


def validator_of(schemas, name):
    store = {schema["$id"]: schema for schema in schemas.values()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer releases prefer another way to resolve, which Debian's does not have
        resolver = jsonschema.RefResolver(schemas[name]["$id"], schemas[name], store=store)
        return jsonschema.Draft202012Validator(schemas[name], resolver=resolver)


def has_field(schema, name):
    return name in schema.get("properties", {}) or any(re.search(pattern, name) for pattern in schema.get("patternProperties", {}))


class Check:
    def __init__(self, folder):
        self.schemas = load(folder)
        self.whole = validator_of(self.schemas, "answer.json")
        self.kinds = {name: validator_of(self.schemas, name) for name in self.schemas if name not in ("answer.json", "fields.json")}
        self.met, self.succeeded, self.complaints = set(), set(), []

    def complain(self, answer, text):
        self.complaints.append(f"{text}\n    in {json.dumps(answer)[:600]}")

    def kinds_of(self, answer, of_items):
        """The schemas that answer.json's rule for this operation names."""
        for rule in self.schemas["answer.json"]["allOf"]:
            if rule["if"]["properties"]["operation"]["const"] == answer["operation"]:
                part = rule["then"]["properties"]["items"]["items"] if of_items else rule["then"].get("then", {})
                choices = part.get("anyOf", [part])
                choices = [inner for choice in choices for inner in choice.get("anyOf", [choice])]
                return [choice["$ref"] for choice in choices if "$ref" in choice]
        return []

    def thing(self, answer, fields, kinds):
        """One object: it is of one of the kinds, and has no field that this kind does not have."""
        fitting = [kind for kind in kinds if self.kinds[kind].is_valid(fields)]
        for kind in fitting:
            if all(has_field(self.schemas[kind], name) for name in fields):
                self.met.add(kind)
                return
        if not fitting:
            why = [error.message for kind in kinds[:1] for error in self.kinds[kind].iter_errors(fields)]
            self.complain(answer, f"{list(fields)} is none of {kinds}: {why}")
        else:
            self.complain(answer, f"{fitting[0]} does not have {[name for name in fields if not has_field(self.schemas[fitting[0]], name)]}")

    def answer(self, answer):
        for error in self.whole.iter_errors(answer):
            self.complain(answer, f"answer.json: {'/'.join(map(str, error.absolute_path))}: {error.message[:300]}")
        if answer["success"] == 1:
            self.succeeded.add(answer["operation"])
        elif "items" not in answer:
            return
        rest = {name: value for name, value in answer.items() if name not in HEAD}
        if "items" not in answer:
            self.thing(answer, rest, self.kinds_of(answer, False))
            return
        for item in answer["items"]:
            self.thing(answer, item, self.kinds_of(answer, True))
        unknown = set(rest) - OF_LISTS
        if unknown and answer["operation"] != "help":
            self.complain(answer, f"a list with {sorted(unknown)}")


def main():
    words = [word for word in sys.argv[1:] if word != "--part"]
    check = Check(pathlib.Path(words[0]))
    lines = pathlib.Path(words[1]).read_text(encoding="utf-8").splitlines()
    for line in lines:
        check.answer(json.loads(line))
    if not lines:
        check.complaints.append("there was no answer")
    for verb in words[2:]:
        if verb not in check.succeeded:
            check.complaints.append(f"no answer of '{verb}' was a success")
    if "--part" not in sys.argv:
        check.complaints += [f"no answer was of the kind {kind}" for kind in sorted(set(check.kinds) - check.met)]
    for complaint in check.complaints:
        print(complaint)
    return 1 if check.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
