# SPDX-License-Identifier: Apache-2.0
"""Whether an object that is listed is whole: looked at with the tools of others, never with cowherd's own word for it."""
import contextlib
import os
import pathlib
import tempfile

from herd import FOLDERS, Broken, run

PATTERN = ("read -P 0x5a 1M 64k",)  # what the images of tests/lib/images.sh hold
MARK_FILE = "etc/cowherd-mark"  # what mark() writes into a tree


def path_of(herd, row, kind):
    """Where the bytes of a row's object are: of a snapshot and a nameless base no answer tells it."""
    folder = herd.places()[row["place"] or ""] / FOLDERS[row["role"]] / str(row["id"])
    return folder / "tree" if kind != "qemu" else next((folder / leaf for leaf in ("disk.qcow2", "disk.raw") if (folder / leaf).exists()), folder / "disk.qcow2")


def check_disk(item, foreign=False):
    form = "qcow2" if item["path"].endswith(".qcow2") else "raw"
    if form == "qcow2":
        run("qemu-img", "check", "-q", "-U", item["path"])
    if not foreign and "Pattern verification failed" in run("qemu-io", "-r", "-U", "-f", form, "-c", PATTERN[0], item["path"], check=False):
        raise Broken(f"'{item['name']}' does not hold what its base does")


def compare_trees(tree, wanted, name):
    """File for file; `wanted` is the source, out of which the identity was taken."""
    out = run("diff", "-rq", "--no-dereference", wanted, tree, check=False)
    neutral = ("machine-id", "ssh_host", "dhclient", "random-seed", "hostname", "Only in " + str(wanted) + "/etc/ssh",
               os.path.basename(MARK_FILE), ".cowherd-new", "etc: hosts", "etc: localtime", "etc: resolv.conf", "tmp: x", ".updated")
    wrong = [line for line in out.splitlines() if not any(word in line for word in neutral)]
    if wrong:
        raise Broken(f"'{name}' differs from what it was made of: {wrong[:3]}")


def layers(herd, rows, row):
    """The folders of an overlay from the top down: those of its own and of all that it stands on."""
    found = []
    while row is not None:
        folder = herd.places()[row["place"] or ""] / FOLDERS[row["role"]] / str(row["id"])
        below = rows.get(row["base"])
        found.append(folder / ("upper" if below else "tree"))
        row = below
    return found


@contextlib.contextmanager
def shown(herd, rows, row, item):
    """The tree of an object as a clone of it would see it."""
    folder = pathlib.Path(item["path"]).parent
    if item["store"] not in ("overlay", "hardlink") or not row["base"]:
        yield pathlib.Path(item["path"])
        return
    lowers = [folder / "upper", folder / "farm"] if item["store"] == "hardlink" else layers(herd, rows, row)
    for part in ("upper", "work", "tree"):
        if item["role"] == "clone" and not (folder / part).is_dir():
            raise Broken(f"clone '{item['name']}' has no folder '{part}'")
    with tempfile.TemporaryDirectory() as point:
        run("mount", "-t", "overlay", "overlay", "-o", f"ro,lowerdir={':'.join(map(str, lowers))}", point)
        try:
            yield pathlib.Path(point)
        finally:
            run("umount", point)


def check_all(herd, source_tree, state="stopped", wakes=(), foreign=False):
    """Every listed object of disks and trees; those of zfs and LXD are checked where they are tested. `state` is clone c's, or None;
    those of `wakes` run."""
    rows = {row["id"]: row for row in herd.rows()}
    items = herd.listed()
    for item in items:
        row = rows[item["id"]]
        wanted = state if item["name"] == "c" else "running" if item["name"] in wakes else "stopped"
        if item["role"] == "clone" and wanted and item["state"] != wanted:
            raise Broken(f"clone '{item['name']}' is listed as {item['state']}")
        if item["store"] in ("zfs", "lxd_pool"):
            continue
        item.setdefault("path", str(path_of(herd, row, item["engine"])))
        if not os.path.exists(item["path"]):
            raise Broken(f"'{item['name']}' is listed, and '{item['path']}' is not there")
        if item.get("state") == "running":
            continue  # what its machine has not written down yet nobody else can read
        if item["engine"] == "qemu":
            check_disk(item, foreign)
        else:
            with shown(herd, rows, row, item) as tree:
                compare_trees(tree, source_tree, item["name"])
    return items


# ---- marks: what a clone wrote ----

def mark(herd, name, value):
    """Has a stopped clone write a value, as its guest would."""
    item = next(item for item in herd.listed() if item["name"] == name)
    if item["engine"] == "qemu":
        form = "qcow2" if item["path"].endswith(".qcow2") else "raw"
        run("qemu-io", "-f", form, "-c", f"write -P {value} 0 64k", item["path"])
    elif item["store"] not in ("zfs", "lxd_pool"):
        row = next(row for row in herd.rows() if row["id"] == item["id"])
        top = pathlib.Path(item["path"]).parent / "upper" if item["store"] == "overlay" and row["base"] else pathlib.Path(item["path"])
        (top / "etc").mkdir(exist_ok=True)
        (top / MARK_FILE).write_text(str(value))


def marked(herd, items, name):
    """The value that an object holds, 0 for none; None where it is not listed, or not looked at. `items` are check_all's."""
    item = next((item for item in items if item["name"] == name), None)
    if item is None or item["store"] in ("zfs", "lxd_pool"):
        return None
    if item["engine"] != "qemu":
        rows = {row["id"]: row for row in herd.rows()}
        with shown(herd, rows, rows[item["id"]], item) as tree:
            return int((tree / MARK_FILE).read_text()) if (tree / MARK_FILE).exists() else 0
    form = "qcow2" if item["path"].endswith(".qcow2") else "raw"
    said = run("qemu-io", "-r", "-U", "-f", form, "-c", "read -v 0 16", item["path"])
    return int(said.splitlines()[0].split()[1], 16)
