# SPDX-License-Identifier: Apache-2.0
"""Whether an object that is listed is whole: looked at with the tools of others, never with cowherd's own word for it."""
import os
import pathlib
import tempfile

from herd import Broken, run

PATTERN = ("read -P 0x5a 1M 64k",)  # what the images of tests/lib/images.sh hold


def check_disk(item):
    path, form = item["path"], item["format"] if item["role"] == "base" else None
    form = form or ("qcow2" if path.endswith(".qcow2") else "raw")
    if form == "qcow2":
        run("qemu-img", "check", "-q", path)
    out = run("qemu-io", "-r", "-U", "-f", form, "-c", PATTERN[0], path)
    if "Pattern verification failed" in out:
        raise Broken(f"'{item['name']}' does not hold what its base does")


def compare_trees(tree, wanted, name):
    """File for file; `wanted` is the source, out of which the identity was taken."""
    out = run("diff", "-rq", "--no-dereference", wanted, tree, check=False)
    neutral = ("machine-id", "ssh_host", "dhclient", "random-seed", "hostname", "Only in " + str(wanted) + "/etc/ssh")
    wrong = [line for line in out.splitlines() if not any(word in line for word in neutral)]
    if wrong:
        raise Broken(f"'{name}' differs from what it was made of: {wrong[:3]}")


def check_tree(item, source):
    folder = pathlib.Path(item["path"]).parent
    if item["role"] == "base" or item["store"] not in ("overlay", "hardlink"):
        compare_trees(item["path"], source, item["name"])
        return
    lower = folder / "farm" if item["store"] == "hardlink" else base_tree(item, folder)
    for part in ("upper", "work", "tree"):
        if not (folder / part).is_dir():
            raise Broken(f"clone '{item['name']}' has no folder '{part}'")
    with tempfile.TemporaryDirectory() as point:
        run("mount", "-t", "overlay", "overlay", "-o", f"ro,lowerdir={folder / 'upper'}:{lower}", point)
        try:
            compare_trees(point, source, item["name"])
        finally:
            run("umount", point)


def base_tree(item, folder):
    return folder.parent.parent / "bases" / str(item["base_id"]) / "tree"


def check_all(herd, source_tree):
    """Every listed object of disks and trees; those of zfs and LXD are checked where they are tested."""
    rows = {row["id"]: row for row in herd.rows()}
    items = herd.listed()
    for item in items:
        item["base_id"] = rows[item["id"]]["base"]
        if item["role"] == "clone" and item["state"] != "stopped":
            raise Broken(f"clone '{item['name']}' is listed as {item['state']}")
        if item["store"] in ("zfs", "lxd_pool"):
            continue
        if not os.path.exists(item["path"]):
            raise Broken(f"'{item['name']}' is listed, and '{item['path']}' is not there")
        if item["engine"] == "qemu":
            check_disk(item)
        else:
            check_tree(item, source_tree)
    return items
