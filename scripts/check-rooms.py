#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fails on an include that goes up: every room may include only itself and the rooms named here (HACKING.md, "Rooms")."""
import pathlib
import re
import sys

ALLOWED = {
    "base": set(),
    "sys": {"base"},
    "image": {"base", "sys"},
    "lxd_api": {"base", "sys"},
    "store": {"base", "sys", "lxd_api"},
    "guest": {"base"},
    "engine": {"base", "sys", "lxd_api", "guest"},
    "catalogue": {"base"},
    "command": {"base"},
    "report": {"base", "sys", "command"},
    "advise": {"base"},
    "compare": {"base", "sys", "command", "report"},
    "herd": {"base", "sys", "image", "store", "engine", "catalogue", "command", "report", "advise", "compare"},
    "rexx": set(),
    "cli": {"rexx"},
}
# The faces stand on the public header alone; the others may use it too, as the floor that errors and targets come from.
PUBLIC = {"cowherd.h"}
GENERATED = {"config.h"}


def includes(path):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        found = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if found:
            yield number, found.group(1)


def complaints(source):
    for path in sorted(source.rglob("*.[ch]")):
        room = path.relative_to(source).parts[0]
        if room not in ALLOWED:
            yield f"{path}: room '{room}' is not in the table of rooms"
            continue
        for number, name in includes(path):
            if name in PUBLIC | GENERATED:
                continue
            other = name.split("/")[0]
            if "/" not in name:
                yield f"{path}:{number}: \"{name}\" does not name its room"
            elif other != room and other not in ALLOWED[room]:
                yield f"{path}:{number}: room '{room}' may not include '{name}'"


def main():
    found = list(complaints(pathlib.Path(sys.argv[1])))
    print("1..1")
    for line in found:
        print("#", line)
    print("not ok 1 - no include goes up" if found else "ok 1 - no include goes up")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
