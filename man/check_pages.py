#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sees that every verb has its manual page, and that man(1)'s formatter has nothing to say about any page. TAP."""
import pathlib
import re
import subprocess
import sys

folder, writer = pathlib.Path(sys.argv[1]), sys.argv[2]
everything = subprocess.run([writer], stdout=subprocess.PIPE, text=True, check=True).stdout
verbs = re.findall(r"^## (\w+)$", everything, re.M)
pages = sorted(path for path in folder.iterdir() if re.fullmatch(r"cowherd[a-z_-]*\.[17]", path.name))
missing = [verb for verb in verbs if not (folder / f"cowherd-{verb}.1").is_file()]
print("1..2")
print("not ok 1 - every verb has a page" if missing or not verbs else f"ok 1 - every one of {len(verbs)} verbs has a page")
for verb in missing:
    print(f"# no page for '{verb}'")
complaints = []
for page in pages:
    formatted = subprocess.run(["groff", "-man", "-Kutf8", "-Tutf8", "-ww", "-z", page], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if formatted.returncode != 0 or formatted.stderr:
        complaints.append(f"{page.name}: {formatted.stderr.strip()[:300]}")
print("not ok 2 - the pages can be formatted" if complaints or not pages else f"ok 2 - {len(pages)} pages can be formatted")
for complaint in complaints:
    print(f"# {complaint}")
sys.exit(1 if missing or complaints or not verbs or not pages else 0)
