# SPDX-License-Identifier: Apache-2.0
"""Makes a C string of schema.sql, without its comments and line ends: embed.py schema.sql schema.c"""
import re
import sys

source, target = sys.argv[1:]
with open(source, encoding="ascii") as file:
    text = re.sub(r"--[^\n]*", "", file.read())
statements = [" ".join(part.split()) for part in text.split(";")]
with open(target, "w", encoding="ascii") as file:
    file.write('#include "catalogue/connection.h"\n\nconst char catalogue_schema[] =')
    for statement in filter(None, statements):
        escaped = statement.replace("\\", "\\\\").replace('"', '\\"')
        file.write(f'\n        "{escaped};"')
    file.write(";\n")
