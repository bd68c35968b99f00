#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Has system calls of cowherd fail (strace's inject), and looks at what it says and what is left.

    tests/crash/faults.py [--all] WORD…     the scenarios of scenarios.py whose name or fixture has one of the words

A command that fails says why, with a code of ours, and leaves nothing; one that succeeds has done it all. Prints what went
wrong, a line each, then a count; the status is 0 where nothing did. For each call and error one occurrence is taken, or
with --all each of them.
"""
import argparse
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from fixtures import Fixture  # noqa: E402
from herd import Broken, name_of_call  # noqa: E402
from objects import check_all  # noqa: E402
from scenarios import SCENARIOS  # noqa: E402

LOADER = importlib.machinery.SourceFileLoader("run", str(pathlib.Path(__file__).resolve().parent / "run"))
runner = importlib.util.module_from_spec(importlib.util.spec_from_loader("run", LOADER))
LOADER.exec_module(runner)

FAULTS = {
    "openat": ("ENOSPC", "EIO", "EMFILE", "ENOMEM"), "openat2": ("EIO", "EMFILE"), "mkdirat": ("ENOSPC", "EIO"), "pwrite64": ("ENOSPC", "EIO"),
    "write": ("ENOSPC", "EIO"), "pread64": ("EIO",), "read": ("EIO",), "renameat": ("ENOSPC", "EIO"), "ftruncate": ("ENOSPC", "EIO"),
    "fdatasync": ("EIO",), "fsync": ("EIO",), "syncfs": ("EIO",), "unlinkat": ("EIO",), "unlink": ("EIO",), "ioctl": ("EIO", "ENOMEM"),
    "mount": ("ENOMEM", "EIO"), "umount2": ("EBUSY",), "flock": ("ENOLCK",), "getdents64": ("EIO",), "fchmod": ("EIO",), "statx": ("EIO",),
    "newfstatat": ("EIO",), "fstat": ("EIO",), "fchownat": ("EIO",), "fsetxattr": ("ENOSPC",), "setxattr": ("ENOSPC",), "symlinkat": ("ENOSPC",), "linkat": ("ENOSPC",),
    "copy_file_range": ("ENOSPC", "EIO"), "mmap": ("ENOMEM",), "fcntl": ("ENOLCK",), "clone3": ("EAGAIN",), "pipe2": ("EMFILE",),
}
CODES = {64, 65, 66, 69, 71, 73, 74, 75, 77, 78}
ABORTED = -6  # what has no memory aborts


def occurrences(calls, name):
    """Which occurrences of a call are the program's own, counted from 1: what comes before rseq is the loader's."""
    names = [name_of_call(call) for call in calls]
    start = names.index("rseq") if "rseq" in names else 0
    before = names[:start].count(name)
    return range(before + 1, before + names[start:].count(name) + 1)


def inject(scenario, fixture, call, error, number):
    """Runs the command with one fault. Its status and its answer, or None where it gave none."""
    words = ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={number}",
             *fixture.herd.words(fixture.words(scenario.command))]
    done = subprocess.run(words, env=fixture.herd.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                          timeout=120)
    try:
        return done.returncode, json.loads(done.stdout)
    except ValueError:
        return done.returncode, None


def judge_answer(status, answer, call, error):
    if status == ABORTED and error == "ENOMEM":
        return
    if status != 0 and status not in CODES:
        raise Broken(f"it ended with {status}: {answer}")
    if answer is None:
        if call != "write":  # which may have been the one that writes the answer
            raise Broken(f"it ended with {status} and gave no answer")
    elif answer["success"] != (status == 0) or (status != 0 and (answer["code"] != status or not answer["error"])):
        raise Broken(f"status {status} and answer do not agree: {answer}")


def test_one(scenario, fixture, call, error, number):
    runner.put_state(scenario, fixture)
    status, answer = inject(scenario, fixture, call, error, number)
    judge_answer(status, answer, call, error)
    # Where there is an intent, whoever comes next finishes first what could be neither finished nor undone.
    if scenario.life is None and not scenario.running and not fixture.herd.query("SELECT * FROM intent"):
        check_all(fixture.herd, fixture.folder / "tree")
    fixture.herd.clean_up()
    done = runner.look(scenario, fixture)
    if status == 0 and not done and (scenario.makes or scenario.takes):
        raise Broken(f"it said that it was done, and it is not: {answer}")
    runner.finish(scenario, fixture, done)


def test(scenario, fixture, everything):
    wrong, count = 0, 0
    calls = runner.measure(scenario, fixture)
    for turn, (call, error) in enumerate((call, error) for call, errors in FAULTS.items() for error in errors):
        numbers = list(occurrences(calls, call))
        if numbers and not everything:
            numbers = [numbers[(turn * 7 + len(numbers) // 2) % len(numbers)]]
        for number in numbers:
            count += 1
            try:
                test_one(scenario, fixture, call, error, number)
            except (Broken, subprocess.TimeoutExpired, OSError) as broken:
                wrong += 1
                print(f"{scenario.name}: {call} {number} with {error}: {broken}", flush=True)
                runner.fresh(scenario, fixture)
    print(f"{scenario.name}: {count} faults, {wrong} wrong", flush=True)
    return count, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true")
    parser.add_argument("words", nargs="+")
    arguments = parser.parse_args()
    count, wrong, fixture = 0, 0, None
    for scenario in SCENARIOS:
        # "=NAME" is that scenario alone.
        if not any(scenario.name == word[1:] if word.startswith("=") else word in f"{scenario.fixture} {scenario.name}" for word in arguments.words):
            continue
        if fixture is None or fixture.kind != scenario.fixture:
            if fixture is not None:
                fixture.close()
            fixture = Fixture(scenario.fixture)
        tried, failed = test(scenario, fixture, arguments.all)
        count, wrong = count + tried, wrong + failed
    if fixture is not None:
        fixture.close()
    print(f"{count} faults, {wrong} wrong")
    return 0 if count > 0 and wrong == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
