# SPDX-License-Identifier: Apache-2.0
"""Prints the names of the verbs that a table in C has, a line each: Meson must know the pages' names before anything is built."""
import pathlib
import re
import sys

print("\n".join(re.findall(r"\.public = \{\s*\.name = \"(\w+)\"", pathlib.Path(sys.argv[1]).read_text())))
