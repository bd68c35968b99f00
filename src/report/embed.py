# SPDX-License-Identifier: Apache-2.0
"""Makes a C string of the style sheet, without its comments and indentation: embed.py style.css style.c"""
import re
import sys

source, target = sys.argv[1:]
with open(source, encoding="ascii") as file:
    text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
with open(target, "w", encoding="ascii") as file:
    file.write('#include "report/parts.h"\n\nconst char report_style[] = "\\n"')
    for line in filter(None, (line.strip() for line in text.splitlines())):
        escaped = line.replace("\\", "\\\\").replace('"', '\\"')
        file.write(f'\n        "{escaped}\\n"')
    file.write(";\n")
