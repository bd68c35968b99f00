#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Types into a real shell on a terminal, and prints the words that its line then has, one a line, and a blank one.

    completion_keys.py bash|zsh|fish SCRIPT KEYS…

SCRIPT is what is sourced first. KEYS may have \\t, the tab key; each is waited for, as a person would. Then the line is made
an argument list: to its beginning `wordlist ` is written, a function that prints its arguments.
"""
import os
import pty
import re
import select
import signal
import sys
import termios
import time

SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "PS1='ready> '; bind 'set enable-bracketed-paste off'; bind 'set bell-style none'; "
             "wordlist() { printf '<<%s>>\\n' \"$@\"; echo end-of-words; }; "),
    "zsh": (["zsh", "-f", "-i"], "PS1='ready> '; unsetopt zle_bracketed_paste prompt_cr prompt_sp beep; unset zle_bracketed_paste; bindkey -e; "
            "zstyle ':completion:*' insert-tab false; wordlist() { printf '<<%s>>\\n' \"$@\"; echo end-of-words; }; autoload -U compinit; compinit -u -D; "),
    "fish": (["fish", "--no-config", "-i"], "function fish_prompt; echo -n 'ready> '; end; function fish_right_prompt; end; set -g fish_autosuggestion_enabled 0; "
             "function wordlist; printf '<<%s>>\\n' $argv; echo end-of-words; end; "),
}


class Terminal:
    def __init__(self, words):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm"
            os.execvp(words[0], words)
        termios.tcsetwinsize(self.fd, (24, 200))
        self.text = ""
        self.mark = 0  # behind what was waited for last

    def read(self, until=None, quiet=0.3, limit=20.0):
        """Reads to a text, and gives what stood before it; or until nothing has come for a while."""
        start, deadline = len(self.text), time.monotonic() + limit
        while time.monotonic() < deadline:
            if until is not None and until in self.text[self.mark:]:
                before, self.mark = self.mark, self.text.index(until, self.mark) + len(until)
                return self.text[before:self.mark]
            ready, _, _ = select.select([self.fd], [], [], deadline - time.monotonic() if until is not None else quiet)
            if not ready:
                if until is None:
                    return self.text[start:]
                continue
            try:
                got = os.read(self.fd, 4096)
            except OSError:
                break
            if not got:
                break
            self.text += got.decode("utf-8", "replace")
        if until is not None:
            sys.exit(f"no '{until}' in {limit:.0f} s, but: {self.text[start:]!r}")
        return self.text[start:]

    def write(self, keys):
        os.write(self.fd, keys.encode())

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def main():
    shell, script = sys.argv[1:3]
    words, preparation = SHELLS[shell]
    terminal = Terminal(words)
    try:
        terminal.write(f"{preparation} source {script}; echo set-\"\"up-done\n")
        terminal.read("set-up-done")
        for keys in sys.argv[3:]:
            terminal.read("ready> ")
            for part in re.findall(r"[^\t]+|\t", keys.replace("\\t", "\t")):
                terminal.write(part)
                terminal.read(quiet=0.3 if part == "\t" else 0.05)
            terminal.write("\x01wordlist \n")
            print("\n".join(re.findall(r"<<(.*?)>>", terminal.read("end-of-words"))) + "\n")
    finally:
        terminal.end()


if __name__ == "__main__":
    main()
