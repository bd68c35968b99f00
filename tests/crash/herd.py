# SPDX-License-Identifier: Apache-2.0
"""A herd under test: commands, kills, and what must hold after each of them.

Every check asks fresh processes, or the files and engines themselves; the catalogue is read as a file. A check that fails
raises Broken with a sentence.
"""
import json
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
PROGRAM = os.environ.get("COWHERD_PROGRAM", str(TOP / "build" / "cowherd"))
BASE, CLONE, SNAPSHOT = 0, 1, 2  # enum catalogue_role
FOLDERS = {BASE: "bases", CLONE: "clones", SNAPSHOT: "snapshots"}
LIMIT_S = 120


class Broken(Exception):
    pass


def run(*words, check=True):
    """A tool of the test's own: its output; where it fails, so does the check."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, errors="replace", timeout=LIMIT_S,
                          stdin=subprocess.DEVNULL)
    if check and done.returncode != 0:
        raise Broken(f"{' '.join(map(str, words))}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


def call_numbers():
    """The names of this machine's system calls, by number."""
    text = subprocess.run(["cc", "-E", "-dM", "-include", "sys/syscall.h", "-x", "c", "/dev/null"], capture_output=True, text=True).stdout
    return {int(number): name for name, number in re.findall(r"#define __NR_(\w+) (\d+)", text)}


CALLS = call_numbers()
# What can change nothing outside of the process, nor lets anybody else: see `run`. A call that is not here is killed at.
HARMLESS = set("""read pread64 readv preadv preadv2 lseek fstat stat lstat newfstatat statx statfs fstatfs access faccessat faccessat2 readlink
        readlinkat getdents64 getcwd getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr fadvise64 readahead name_to_handle_at
        open openat openat2 close close_range dup dup2 dup3 fcntl flock pipe pipe2 eventfd2 epoll_create1 epoll_ctl timerfd_create signalfd4
        inotify_init1 memfd_create pidfd_open socket socketpair getsockopt setsockopt getsockname getpeername recvfrom recvmsg
        mmap munmap mremap mprotect madvise mincore brk membarrier futex getrandom
        rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending sigaltstack restart_syscall
        getpid gettid getppid getpgrp getpgid getsid getuid geteuid getgid getegid getgroups getresuid getresgid capget getpriority
        getrlimit setrlimit prlimit64 getrusage times uname sysinfo arch_prctl prctl set_tid_address set_robust_list rseq
        sched_yield sched_getaffinity sched_getparam sched_getscheduler clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time
        chdir fchdir umask unshare exit""".split())
CREATING = " creating"


def changes(call):
    """Whether a call, as kill_at logs it, can change anything outside of the process."""
    number, creating = int(call.split()[0]), call.endswith(CREATING)
    return creating or CALLS.get(number) not in HARMLESS


def name_of_call(call):
    return CALLS.get(int(call.split()[0]), call)


def is_kept_elsewhere(row):
    """What lies in no folder of ours: all of LXD's, and snapshots on zfs, which are its own."""
    return row["store"] == "lxd_pool" or (row["store"] == "zfs" and row["role"] == SNAPSHOT)


def is_warm(row):
    """A clone that is kept ready: it has no name, and its base does not count it."""
    return row["role"] == CLONE and row["name"] is None


class Herd:
    def __init__(self, folder, environment=None):
        self.root = pathlib.Path(folder) / "herd"
        self.work = pathlib.Path(folder) / "work"
        self.work.mkdir(parents=True, exist_ok=True)
        self.environment = {**os.environ, "LC_ALL": "C", **(environment or {})}
        self.killer = str(self.work / "kill_at")
        self.log = self.work / "calls"
        self.others = self.living()  # they were there before, and are none of ours
        if not os.path.exists(self.killer):
            run("cc", "-D_GNU_SOURCE", "-O2", "-o", self.killer, HERE / "kill_at.c")

    # ---- commands ----

    def words(self, command):
        return [PROGRAM, "--root", str(self.root), "--json", *command]

    def ask(self, *command):
        """Runs a command: its status and its answer."""
        done = subprocess.run(self.words(command), capture_output=True, text=True, errors="replace", env=self.environment,
                              stdin=subprocess.DEVNULL, timeout=LIMIT_S)
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            raise Broken(f"'{' '.join(command)}' (status {done.returncode}) answered no JSON: {done.stdout[-200:]} {done.stderr[-300:]}")
        return done.returncode, answer

    def do(self, *command, codes=(0,)):
        status, answer = self.ask(*command)
        if status not in codes:
            raise Broken(f"'{' '.join(command)}' ended with {status}: {answer.get('error', answer.get('output'))}")
        return answer

    def kill_at(self, number, command, between=()):
        """Runs a command and kills it at a system call (0: never). Its status, and the calls that it began: all, or those of a part."""
        part = ["--between", *between] if between else []
        with open(self.work / "output", "w") as output:
            status = subprocess.call([self.killer, *part, str(self.log), str(number), *self.words(command)], stdout=output,
                                     stderr=subprocess.STDOUT, env=self.environment, stdin=subprocess.DEVNULL, timeout=10 * LIMIT_S)
        return status, self.log.read_text().splitlines()

    # ---- what there is ----

    def query(self, text):
        """Rows of the catalogue's file, read beside cowherd."""
        path = self.root / "catalogue.db"
        if not path.exists():
            return []
        database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
        try:
            return database.execute(text).fetchall()
        finally:
            database.close()

    def rows(self):
        """All rows of the catalogue: id, phase, role, store, place, name, base, of (whose a snapshot is), label, clones."""
        names = ("id", "phase", "role", "store", "place", "name", "base", "of", "label", "clones")
        return [dict(zip(names, row)) for row in self.query("SELECT id, phase, role, store, place, name, base_id, of_id, label, clones FROM object ORDER BY id")]

    def setting(self, key):
        return self.query(f"SELECT value FROM setting WHERE key = '{key}'")[0][0]

    def places(self):
        """Folders in which objects of this herd lie, by the name of their place."""
        btrfs, zfs = self.root / "pools" / "btrfs", self.root / "pools" / "zfs"
        return {"": self.root, **({"btrfs": btrfs} if os.path.ismount(btrfs) else {}), **({"zfs": zfs} if zfs.is_dir() else {})}

    def listed(self):
        """What list and list_bases show, each also asked for by info."""
        items = []
        for verb in ("list", "list_bases"):
            answer = self.do(verb)
            if answer["count"] != len(answer["items"]):
                raise Broken(f"{verb} counts {answer['count']} and lists {len(answer['items'])}")
            for item in answer["items"]:
                info = self.do(item["engine"], "info", f"name={item['name']}")
                if info["id"] != item["id"]:
                    raise Broken(f"{verb} and info disagree about '{item['name']}'")
                items.append(info)
        return items + [snapshot for item in items if item["role"] == "clone" for snapshot in self.snapshots_of(item)]

    def snapshots_of(self, clone):
        """A clone's snapshots, named "c@s"."""
        answer = self.do(clone["engine"], "list_snapshots", f"name={clone['name']}")
        if answer["count"] != clone["snapshots"]:
            raise Broken(f"list_snapshots counts {answer['count']} of '{clone['name']}', and info {clone['snapshots']}")
        return [{**item, "role": "snapshot", "of": item["name"], "name": f"{item['name']}@{item['snapshot']}"} for item in answer.get("items", ())]

    def names(self):
        return {item["name"] for item in self.listed()}

    # ---- cleaning up ----

    def clean_up(self):
        """cleanup until nobody is busy any more: none may fail, and one more has nothing to do."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            answer = self.do("cleanup")
            if answer["failed"] != 0:
                raise Broken(f"cleanup failed: {answer}")
            if answer["busy"] == 0:
                break
            if time.monotonic() > deadline:
                raise Broken(f"cleanup is busy for ever: {answer}")
            time.sleep(0.05)
        answer = self.do("cleanup")
        if answer["removed"] != 0 or answer["busy"] != 0:
            raise Broken(f"a second cleanup found something: {answer}")

    def end_lives(self, engine):
        """All instances are what they are said to be; stopped by force, nothing is left of what ran."""
        for item in self.do(engine, "list")["items"]:
            if item["state"] not in ("running", "paused", "stopped"):
                raise Broken(f"clone '{item['name']}' is listed as {item['state']}")
        self.do(engine, "stop_if_running", "name=*", "force=true", codes=(0, 66))
        self.clean_up()
        runtime = pathlib.Path("/run/cowherd") / self.setting("herd.uuid")[:8]
        left = os.listdir(runtime) if runtime.is_dir() else []
        if left:
            raise Broken(f"left in '{runtime}': {left}")

    def check_leftovers(self, machines=0):
        """What lies there is what the catalogue knows, no more and no less."""
        rows = self.rows()
        if any(row["phase"] != 1 for row in rows):
            raise Broken(f"unfinished rows after cleanup: {[row for row in rows if row['phase'] != 1]}")
        if self.query("SELECT * FROM intent"):
            raise Broken(f"intents after cleanup: {self.query('SELECT * FROM intent')}")
        self.check_counts(rows)
        self.check_root()
        for name, folder in self.places().items():
            for role, below in FOLDERS.items():
                wanted = {str(row["id"]) for row in rows
                          if row["role"] == role and (row["place"] or "") == name and not is_kept_elsewhere(row)}
                found = set(os.listdir(folder / below)) if (folder / below).is_dir() else set()
                if found != wanted:
                    raise Broken(f"'{folder / below}' holds {sorted(found)}, and the catalogue knows {sorted(wanted)}")
        self.check_mounts()
        self.check_processes(machines)

    @staticmethod
    def check_counts(rows):
        """What stands on what: nothing on what is not there, each counted, and nothing waits that nobody waits for."""
        ids = {row["id"] for row in rows}
        for row in rows:
            standing = [other for other in rows if other["base"] == row["id"]]
            counted, standing = len(standing) - sum(map(is_warm, standing)), len(standing)
            if row["clones"] != counted:
                raise Broken(f"{counted} stand on object {row['id']}, and the catalogue counts {row['clones']}")
            if row["base"] and row["base"] not in ids:
                raise Broken(f"object {row['id']} stands on {row['base']}, which is not there")
            waits = row["name"] is None if row["role"] == BASE else row["role"] == SNAPSHOT and row["label"] is None
            if waits and standing == 0:
                raise Broken(f"object {row['id']} has no name, and nothing stands on it")

    def check_root(self):
        if not self.root.exists():
            return
        usual = {"catalogue.db", "catalogue.db-wal", "catalogue.db-shm", "bases", "clones", "snapshots", "locks", "tmp", "pools"}
        strange = set(os.listdir(self.root)) - usual
        for folder in self.places().values():
            strange |= {name for name in os.listdir(folder) if name.startswith(".probe")}
        for folder, allowed in (("locks", {"objects"}), ("tmp", set())):
            if (self.root / folder).is_dir():
                strange |= {f"{folder}/{name}" for name in os.listdir(self.root / folder) if name not in allowed}
        if strange:
            raise Broken(f"left in the herd's root: {sorted(strange)}")

    def check_mounts(self):
        points = [line.split()[4] for line in open("/proc/self/mountinfo")]
        extra = [point for point in points if point.startswith(f"{self.root}/") and point != str(self.root / "pools" / "btrfs")]
        if extra:
            raise Broken(f"left mounted: {extra}")
        if len([point for point in points if point == str(self.root / "pools" / "btrfs")]) > 1:
            raise Broken("the pool is mounted twice")
        loops = self.loops()
        if len(loops) != (1 if os.path.ismount(self.root / "pools" / "btrfs") else 0):
            raise Broken(f"loop devices on files of the herd: {loops}")

    def loops(self):
        found = []
        for file in pathlib.Path("/sys/block").glob("loop*/loop/backing_file"):
            try:
                if file.read_text().startswith(f"{self.root}/"):
                    found.append(file.parts[3])
            except OSError:
                pass  # it was freed meanwhile
        return found

    @staticmethod
    def living():
        """All processes, each by its number and when it was started."""
        found = set()
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    found.add((int(name), pathlib.Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[19]))
                except OSError:
                    pass  # it has ended
        return found

    def processes(self):
        """Processes that have the herd's root among their words or their open files."""
        found = []
        for folder in (pathlib.Path("/proc") / str(pid) for pid, _ in self.living() - self.others):
            try:
                words = (folder / "cmdline").read_bytes().decode(errors="replace")
                links = [os.readlink(link) for link in (folder / "fd").iterdir()]
            except OSError:
                continue
            if int(folder.name) != os.getpid() and (f"{self.root}/" in words or any(link.startswith(f"{self.root}/") for link in links)):
                found.append(f"{folder.name}: {words[:100]!r}")
        return found

    def end_machines(self):
        """By force, those of this herd."""
        for line in self.processes():
            if "qemu-system" in line:
                os.kill(int(line.split(":")[0]), signal.SIGKILL)

    def check_processes(self, machines=0):
        found = self.processes()
        if len([line for line in found if "qemu-system" in line]) != machines:
            raise Broken(f"{machines} machines should run: {found}")
        found = [line for line in found if "qemu-system" not in line]
        if found:
            raise Broken(f"processes go on: {found}")
