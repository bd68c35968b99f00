#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sits at a terminal before a login shell: its size, a new size, Ctrl-C, its exit code. Words: the command to run."""
import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time

pid, terminal = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm"
    os.execv(sys.argv[1], sys.argv[1:])


def resize(rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def expect(pattern):
    """Reads until the pattern has been seen."""
    seen, deadline = "", time.monotonic() + 20
    while not re.search(pattern, seen):
        if time.monotonic() > deadline or not select.select([terminal], [], [], 20)[0]:
            sys.exit(f"'{pattern}' not seen in: {seen!r}")
        try:
            seen += os.read(terminal, 4096).decode(errors="replace")
        except OSError:
            sys.exit(f"hung up before '{pattern}' in: {seen!r}")


def type_in(text):
    os.write(terminal, text.encode())


resize(40, 100)
expect(r"# ")
resize(41, 101)
type_in("until stty size | grep '41 101'; do sleep 0.1; done; echo term=$TERM\n")
expect(r"term=xterm")
type_in("sleep 1000; echo ended\n")
time.sleep(0.5)
type_in("\x03")
expect(r"\^C")
type_in("echo still-$((40 + 2))\n")
expect(r"still-42")
type_in("exit 7\n")
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.exit(0 if code == 7 else f"exit code {code} instead of 7")
