# SPDX-License-Identifier: Apache-2.0
"""Where herds are tested: filesystems, a ZFS pool, an LXD daemon, made by tests/lib in a bash of its own.

That bash waits for the end of its standard input, so that all it has made is taken away however this program ends.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys

from herd import BASE, FOLDERS, SNAPSHOT, TOP, Broken, Herd, is_kept_elsewhere, is_warm, run

SOURCES = r"""
. tests/lib/images.sh
make_sources() {
        image_qcow2 "$1/disk.qcow2" 8M && qemu-img convert -O vmdk "$1/disk.qcow2" "$1/disk.vmdk" &&
                image_tree "$1/tree" && mkdir -p "$1/tree/sbin" && ln -sfn ../usr/bin/busybox "$1/tree/sbin/init" &&
                tar -C "$1/tree" --numeric-owner -cf "$1/tree.tar" . && mkdir "$1/meta" &&
                printf 'architecture: %s\ncreation_date: 1\nproperties:\n  os: debian\n  release: bookworm\n' "$(uname -m)" >"$1/meta/metadata.yaml" &&
                cp -a "$1/tree" "$1/meta/rootfs" && tar -C "$1/meta" --numeric-owner -cf "$1/lxd.tar" metadata.yaml rootfs
}
"""
MAKE = {
    "ext4": 'fixture_ext4 place 1G && place=$FIXTURE_DIR/place && images_prepare tiny >/dev/null && ln -s "$IMAGES/tiny.qcow2" "$FIXTURE_DIR/tiny.qcow2"',
    "btrfs": 'fixture_btrfs place 1G && place=$FIXTURE_DIR/place',
    "xfs": 'fixture_xfs place 1G && place=$FIXTURE_DIR/place',
    "zfs": 'fixture_zfs 1G && place=$FIXTURE_DIR',
    "lxd": '. tests/lib/lxd.sh; LXD_POOL_SIZE=2GiB; trap \'lxd_stop "$FIXTURE_DIR"; fixture_cleanup\' EXIT; '
           'lxd_start "$FIXTURE_DIR" && place=$FIXTURE_DIR',
}


# Nothing here survives a power cut, and nothing needs to: what is killed is the process. In memory a sync costs nothing.
MEMORY, ENOUGH_BYTES = "/dev/shm", 8 << 30


def place_to_be():
    """The environment of the fixtures' maker: it makes them in memory where there is enough of it, and nobody said where."""
    if "COWHERD_TEST_DIR" in os.environ or not os.path.ismount(MEMORY):
        return os.environ
    room = os.statvfs(MEMORY)
    return {**os.environ, "COWHERD_TEST_DIR": MEMORY} if room.f_bavail * room.f_frsize > ENOUGH_BYTES else os.environ


class Fixture:
    def __init__(self, kind):
        self.kind = kind
        script = f"{SOURCES}\n. tests/lib/fixtures.sh\nfixture_begin && {MAKE[kind]} && make_sources \"$FIXTURE_DIR\" && " \
                 'echo "$FIXTURE_DIR:$place:$FIXTURE_POOL:${LXD_DIR:-}" || exit 1; read -r _; exit 0'
        self.keeper = subprocess.Popen(["bash", "-c", script], cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                       env=place_to_be())
        made = self.keeper.stdout.readline().strip()
        if not made:
            raise Broken(f"the fixture '{kind}' could not be made")
        folder, place, self.pool, self.lxd = made.split(":")
        self.folder, self.place = pathlib.Path(folder), pathlib.Path(place)
        environment = {"LXD_DIR": self.lxd} if self.lxd else {"LXD_DIR": "/nonexistent"}
        self.herd = Herd(self.place, environment)
        self.baseline = self.engine_objects()

    def close(self):
        self.reset()
        self.keeper.stdin.close()
        status = self.keeper.wait()
        if self.folder.exists():  # it was killed: what a next fixture would take away is taken away here, and told
            print(f"# the keeper of '{self.folder}' ended with {status} and left it", file=sys.stderr, flush=True)
            run("bash", "-c", '. "$0/tests/lib/fixtures.sh"; fixture_remove "$1"', str(TOP), str(self.folder))

    def words(self, command):
        """A command of a scenario with this fixture's files in it."""
        return [word.format(f=self.folder, p=self.place, pool=self.pool) for word in command]

    # ---- what lies in engines and filesystems ----

    def lxd_get(self, path):
        out = run("curl", "-s", "-f", "--unix-socket", f"{self.lxd}/unix.socket", f"http://lxd/1.0/{path}?recursion=1")
        return json.loads(out)["metadata"]

    def lxd_objects(self):
        found = {f"{kind} {item['name']}" for kind in ("instances", "profiles", "storage-pools") for item in self.lxd_get(kind)}
        return found | {f"image {item['fingerprint'][:12]}" for item in self.lxd_get("images")}

    def engine_objects(self):
        if self.lxd:
            return self.lxd_objects()
        if self.pool:
            return set(run("zfs", "list", "-H", "-r", "-t", "filesystem,snapshot", "-o", "name", self.pool).split())
        if self.kind == "btrfs":
            return {line.split(" path ")[1] for line in run("btrfs", "subvolume", "list", self.place).splitlines()}
        return set()

    def expected(self, rows):
        """What the catalogue says that engines and filesystems hold besides what was there before."""
        uuid = self.herd.setting("herd.uuid") if rows else ""
        for source, in self.herd.query("SELECT source FROM place WHERE store = 'lxd_pool' AND ours AND folder IS NULL"):
            yield f"storage-pools {source}"
            yield "profiles cowherd"
        for row in rows:
            below = FOLDERS[row["role"]]
            if row["role"] == SNAPSHOT and is_kept_elsewhere(row):
                continue  # LXD's and ZFS's own snapshots, of what is told of itself
            if row["store"] == "lxd_pool":
                ours = f"cowherd-{uuid[:8]}-{'w' if row['role'] else 'b'}{row['id']}"
                yield f"instances {ours if row['role'] == BASE or is_warm(row) else row['name']}"
            elif row["store"] == "zfs":
                yield f"{below}/{row['id']}"
            elif row["store"] == "btrfs" and self.kind == "btrfs":
                yield f"herd/{below}/{row['id']}/tree"

    def check(self):
        """Nothing is in an engine or filesystem that the catalogue does not know, and nothing is missing."""
        found, wanted = self.engine_objects() - self.baseline, set(self.expected(self.herd.rows()))
        if self.pool:
            found = {"/".join(name.split("/")[2:]) for name in found if "@" not in name} - {"", "bases", "clones", "snapshots"}
            if wanted:  # what was removed waits there for what stands on it
                found = {name for name in found if name.split("/")[0] != "removed"}
        if found != wanted:
            raise Broken(f"{self.kind} holds {sorted(found)}, and the catalogue knows {sorted(wanted)}")
        if self.kind == "ext4" and "btrfs" in self.herd.places():
            self.check_pool()

    def check_pool(self):
        pool = self.herd.places()["btrfs"]
        found = {line.split(" path ")[1] for line in run("btrfs", "subvolume", "list", pool).splitlines()}
        wanted = {f"{FOLDERS[row['role']]}/{row['id']}/tree" for row in self.herd.rows() if row["place"] == "btrfs"}
        if found != wanted:
            raise Broken(f"the pool holds {sorted(found)}, and the catalogue knows {sorted(wanted)}")

    # ---- by force ----

    def end_lives(self):
        """A container goes on without its folder, and a machine with its disk deleted: they are ended while the herd still knows them."""
        for engine in ("qemu", "nspawn") if self.herd.processes() else ():
            subprocess.run(self.herd.words((engine, "delete", "name=*", "force=true")), env=self.herd.environment, capture_output=True,
                           stdin=subprocess.DEVNULL, check=False)

    def reset(self):
        """Takes the herd away without cowherd's help, so that one broken kill point does not spoil the next."""
        self.herd.end_machines()
        self.end_lives()
        points = [line.split()[4] for line in open("/proc/self/mountinfo")]
        for point in sorted((point for point in points if point.startswith(f"{self.herd.root}/")), reverse=True):
            run("umount", point, check=False)
        if self.lxd:
            self.reset_lxd()
        if self.pool:
            for name in run("zfs", "list", "-H", "-o", "name", "-d", "1", self.pool).split()[1:]:
                run("zfs", "destroy", "-R", name, check=False)
        run("chattr", "-R", "-f", "-i", self.herd.root, check=False)
        if self.kind == "btrfs":
            for name in sorted(self.engine_objects(), reverse=True):
                run("btrfs", "subvolume", "delete", self.place / name, check=False)
        if (self.herd.root / "catalogue.db").exists():
            uuid = self.herd.setting("herd.uuid")
            shutil.rmtree(f"/run/cowherd/{uuid[:8]}", ignore_errors=True)  # of the machines that were just killed
        shutil.rmtree(self.herd.root, ignore_errors=True)

    def reset_lxd(self):
        for name in sorted(self.engine_objects() - self.baseline):
            kind, name = name.split(" ", 1)
            environment = dict(os.environ, LXD_DIR=self.lxd)
            commands = {"instances": [["config", "set", name, "security.protection.delete=false"], ["delete", "-f", name]],
                        "image": [["image", "delete", name]], "profiles": [["profile", "delete", name]],
                        "storage-pools": [["storage", "delete", name]]}
            for words in commands[kind]:
                subprocess.run(["lxc", *words], env=environment, capture_output=True, stdin=subprocess.DEVNULL)
