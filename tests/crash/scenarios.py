# SPDX-License-Identifier: Apache-2.0
"""What is killed: for each verb that changes something, on each store, the command and the state around it."""
import dataclasses
import shutil
import time

from herd import Broken
from objects import mark, marked

QEMU, NSPAWN, LXD = ("qemu",), ("nspawn",), ("lxd",)


@dataclasses.dataclass
class Scenario:
    """`command` is killed. `prepare` once, `before` before each kill, `after` after each repetition; {f} is the fixture's folder.

    The command was done where the names in `makes` are all listed and those in `takes` are not: then its repetition ends
    with `again`, else with 0. Anything in between is a half-done one.
    """
    fixture: str
    name: str
    command: tuple
    prepare: tuple = ()
    before: tuple = ()
    after: tuple = ()
    makes: tuple = ()
    takes: tuple = ()
    again: int = 73
    running: bool = False    # the clone runs before, and has to run afterwards
    wakes: tuple = ()        # clones that run where they are there
    points: int = 0          # of `quick`; 0: as many as usual
    set_up: object = None    # called with the fixture before each kill
    look: object = None      # called with the fixture and what is listed after each kill, once cleanup is done
    helper: bool = False     # a helper goes on when the command is done: cleanup ends it before anything is looked at
    life: object = None      # instances may run afterwards: commands done before the repetition, once all of them were stopped
    gone: bool = False       # after `after`, nothing at all may be left of the herd
    between: tuple = ()      # it is killed only in this part: from the first open of a file of the one name to the next one of the other
    foreign: bool = False    # its disks are none of tests/lib/images.sh's small ones: what they hold is not known


def register(target, source, name="b", *more):
    return (*target, "register_base", f"name={name}", source, *more)


def clone(target, name="c", *more):
    return (*target, "clone_from_base", "base=b", f"name={name}", *more)


def delete(target, name="c"):
    return (*target, "delete", f"name={name}")


def remove(target, name="b"):
    return (*target, "remove_base", f"name={name}")


def of_store(fixture, label, target, source, before=(), more=(), clone_more=()):
    """The four verbs that every store has."""
    made = register(target, source, "b", *more)
    common = dict(fixture=fixture)
    ready = (*before, made)
    return [
        Scenario(name=f"{label}: register_base", command=made, prepare=before, after=(remove(target),), makes=("b",), **common),
        Scenario(name=f"{label}: clone", command=clone(target, "c", *clone_more), prepare=ready, after=(delete(target),), makes=("c",), **common),
        Scenario(name=f"{label}: delete", command=delete(target), prepare=ready, before=(clone(target, "c", *clone_more),), takes=("c",), again=66, **common),
        Scenario(name=f"{label}: remove_base", command=remove(target), prepare=before, before=(made,), takes=("b",), again=66, **common),
    ]


def point(target, verb, *more, name="c"):
    return (*target, verb, f"name={name}", *more)


def mark_clone(fixture):
    mark(fixture.herd, "c", 2)


def expect_then_or_now(fixture, items):
    """The clone is what it was, or what it is to be again; the snapshot is unchanged."""
    found = marked(fixture.herd, items, "c"), marked(fixture.herd, items, "c@s")
    if found not in ((2, 0), (0, 0), (None, None)):
        raise Broken(f"the clone holds {found[0]}, its snapshot {found[1]}")


def expect_mark(fixture, items):
    """What the clone wrote is in it, and in what was made of it."""
    for name in ("c", "c@s", "p", "d"):
        if marked(fixture.herd, items, name) not in (2, None):
            raise Broken(f"'{name}' does not hold what the clone wrote")


def points_of_store(fixture, label, target, source, before=(), more=()):
    """The verbs of time. The clone is made anew for each kill: where its store stacks, it grows by a layer each time."""
    common = dict(fixture=fixture, points=6, prepare=(*before, register(target, source, "b", *more)))
    made, gone, snap = clone(target), delete(target), point(target, "snapshot", "snapshot=s")
    twice = (made, snap, point(target, "snapshot", "snapshot=t"))
    of_clone = (*target, "clone_from_base", "source=c", "name=d")
    return [
        Scenario(name=f"{label}: snapshot", command=snap, before=(made,), set_up=mark_clone, look=expect_mark, after=(gone,), makes=("c@s",), **common),
        Scenario(name=f"{label}: restore", command=point(target, "restore", "snapshot=s"), before=twice, set_up=mark_clone, look=expect_then_or_now,
                 after=(gone,), **common),
        Scenario(name=f"{label}: delete_snapshot", command=point(target, "delete_snapshot", "snapshot=t"), before=twice, set_up=mark_clone,
                 look=expect_then_or_now, after=(gone,), takes=("c@t",), again=66, **common),
        Scenario(name=f"{label}: promote", command=point(target, "promote", "as=p"), before=(made,), set_up=mark_clone, look=expect_mark,
                 after=(gone, remove(target, "p")), makes=("p",), **common),
        Scenario(name=f"{label}: flatten", command=point(target, "flatten"), before=(made,), set_up=mark_clone, look=expect_mark, after=(gone,), **common),
        Scenario(name=f"{label}: clone of a clone", command=of_clone, before=(made,), set_up=mark_clone, look=expect_mark,
                 after=(delete(target, "d"), gone), makes=("d",), **common),
        Scenario(name=f"{label}: delete with snapshots that others stand on", command=gone, before=(*twice, of_clone), after=(delete(target, "d"),),
                 takes=("c",), again=66, **common),
        Scenario(name=f"{label}: delete of the last on a chain", command=delete(target, "d"), before=(*twice, of_clone, gone), takes=("d",), again=66,
                 **common),
    ]


def life(target, verb, *more, name="c"):
    return (*target, verb, f"name={name}", *more)


def life_of(fixture, label, target, source, more=(), inside=False):
    """The verbs of an instance's life. What runs after a kill is stopped by force, and then nothing may be left of it."""
    up, down = life(target, "start_if_stopped"), life(target, "stop_if_running", "force=true")
    common = dict(fixture=fixture, points=8, prepare=(register(target, source, "b", *more), clone(target)), after=(down,))
    alone = dict(fixture=fixture, points=8, prepare=(register(target, source, "b", *more),), life=())
    started, gone = clone(target, "c", "start=true"), life(target, "delete", "force=true")
    found = [
        Scenario(name=f"{label}: start", command=life(target, "start"), before=(down,), life=(), **common),
        Scenario(name=f"{label}: stop", command=down, before=(up,), life=(up,), **common),
        Scenario(name=f"{label}: restart", command=life(target, "restart", "force=true"), before=(up,), life=(), **common),
        Scenario(name=f"{label}: pause", command=life(target, "pause"), before=(down, up), life=(up,), **common),
        Scenario(name=f"{label}: clone start=true", command=started, after=(gone,), makes=("c",), **alone),
        Scenario(name=f"{label}: restore while it runs", command=life(target, "restore", "snapshot=s"), before=(started, life(target, "snapshot", "snapshot=s"), up),
                 after=(gone,), **alone),
        Scenario(name=f"{label}: delete force=true", command=gone, before=(started, up), takes=("c",), again=66, **alone),
    ]
    if inside:
        found += [
            Scenario(name=f"{label}: execute", command=life(target, "execute", "command=echo x; sleep 0.1"), before=(up,), life=(up,), **common),
            Scenario(name=f"{label}: copy_to", command=life(target, "copy_to", "local={f}/disk.vmdk", "remote=/tmp/x"), before=(up,), life=(up,), **common),
            Scenario(name=f"{label}: copy_from", command=life(target, "copy_from", "remote=/bin/busybox", "local={p}/copied"), before=(up,), life=(up,),
                     set_up=remove_copy, **common),
        ]
    return found


def running_points(fixture, label, target, source):
    """The same of a machine that runs: it goes on, whatever its command was killed at."""
    common = dict(fixture=fixture, points=8, running=True, prepare=(register(target, source),), before=(clone(target), point(target, "start")))
    end = point(target, "stop", "force=true")
    return [
        Scenario(name=f"{label}: snapshot", command=point(target, "snapshot", "snapshot=s"), after=(end, delete(target)), makes=("c@s",), **common),
        Scenario(name=f"{label}: promote", command=point(target, "promote", "as=p"), after=(end, delete(target), remove(target, "p")), makes=("p",),
                 **common),
        Scenario(name=f"{label}: clone of a clone", command=(*target, "clone_from_base", "source=c", "name=d"),
                 after=(end, delete(target, "d"), delete(target)), makes=("d",), **common),
        Scenario(name=f"{label}: flatten", command=point(target, "flatten"), after=(end, delete(target)), **common),
    ]


def expect_live(_fixture, items):
    """A live base is whole, or it is none."""
    for item in items:
        if item["name"] == "p" and item.get("live") != 1:
            raise Broken(f"'p' is a base without its memory: {item}")


def live_bases(fixture, label, source):
    """Of a machine that runs, with its memory; nobody is in there who could be given an identity."""
    end = point(QEMU, "stop", "force=true")
    ready = (register(QEMU, source), clone(QEMU, "c", "memory=64M"), point(QEMU, "start"))
    promote = point(QEMU, "promote", "as=p", "live=true")
    common = dict(fixture=fixture, running=True, look=expect_live)
    return [
        Scenario(name=f"{label}: promote", command=promote, prepare=ready[:1], before=ready[1:], points=13,
                 after=(end, delete(QEMU), remove(QEMU, "p")), makes=("p",), **common),
        Scenario(name=f"{label}: clone", command=(*QEMU, "clone_from_base", "base=p", "name=d", "identity=keep"), prepare=(*ready, promote), points=12,
                 after=((*QEMU, "delete", "name=d", "force=true"),), makes=("d",), wakes=("d",), **common),
        Scenario(name=f"{label}: clone count=2 atomic=true", prepare=(*ready, promote), points=8, makes=("d-1", "d-2"), wakes=("d-1", "d-2"),
                 command=(*QEMU, "clone_from_base", "base=p", "name=d", "identity=keep", "count=2", "atomic=true"),
                 after=((*QEMU, "delete", "name=d-*", "force=true"),), **common),
        Scenario(name=f"{label}: remove_base in use", command=remove(QEMU, "p"), prepare=ready, before=(promote,), takes=("p",), again=66, points=6,
                 **common),
    ]


def expect_answering(fixture, items):
    """Whoever is inside answers, whatever was being said to him."""
    expect_live(fixture, items)
    fixture.herd.do(*point(QEMU, "execute", "command=true"))


def bringing(fixture, label):
    """
    A guest that has only the agent is given the helper, and who gives it is killed in the middle of that. Each time the guest wakes as one
    that never had it, and a clone of what is made in the end has the helper, and nothing else of it.
    """
    boots = (register(QEMU, "image={f}/tiny.qcow2", "b", "memory=192M"), clone(QEMU, "x", "start=true", "wait=true"))
    agent = point(QEMU, "promote", "as=a", "live=true", "guest=keep", name="x")
    whole = "pidof cowherd-guest && ! ls -d /run/.cowherd-guest /dev/shm/.cowherd-guest"
    return [
        Scenario(fixture, f"{label}: promote that brings the helper", point(QEMU, "promote", "as=p", "live=true"), points=3,
                 between=("cowherd-guest", "state"), running=True, foreign=True, makes=("p",), look=expect_answering,
                 prepare=(*boots, agent, (*delete(QEMU, "x"), "force=true")), before=((*QEMU, "clone_from_base", "base=a", "name=c"),),
                 after=((*QEMU, "clone_from_base", "base=p", "name=d"), point(QEMU, "execute", f"command={whole}", name="d"),
                        (*delete(QEMU, "d"), "force=true"), (*delete(QEMU), "force=true"), remove(QEMU, "p"))),
    ]


def standing(fixture, label):
    """What stands ready of a live base. In there is somebody who can be given an identity, so it has to boot."""
    ready = (register(QEMU, "image={f}/tiny.qcow2", "b", "memory=192M"), clone(QEMU, "c", "start=true", "wait=true"), point(QEMU, "promote", "as=p", "live=true"))
    none, one = (*QEMU, "setup", "base=p", "warm=0"), (*QEMU, "setup", "base=p", "warm=1")
    common = dict(fixture=fixture, running=True, foreign=True, helper=True, prepare=ready)
    return [
        Scenario(name=f"{label}: clone of one", command=(*QEMU, "clone_from_base", "base=p", "name=d"), before=(one,), set_up=wait_standing, points=3,
                 after=((*QEMU, "delete", "name=d", "force=true"), none), makes=("d",), wakes=("d",), **common),
        Scenario(name=f"{label}: setup warm=1", command=one, before=(none,), after=(none,), points=2, **common),
    ]


# ---- what needs more than commands ----

def remove_copy(fixture):
    (fixture.place / "copied").unlink(missing_ok=True)


def put_image(fixture):
    if not (fixture.place / "own.qcow2").exists() and "b" not in fixture.herd.names():
        shutil.copy(fixture.folder / "disk.qcow2", fixture.place / "own.qcow2")


def find_image(fixture, items):
    """An adopted file is at its old place or in a base, whole, and never at neither."""
    there, listed = (fixture.place / "own.qcow2").exists(), any(item["name"] == "b" for item in items)
    if there == listed:
        raise Broken("the adopted file is at its old place and in a base" if there else "the adopted file is lost")
    if there and (fixture.place / "own.qcow2").read_bytes() != (fixture.folder / "disk.qcow2").read_bytes():
        raise Broken("the adopted file came back changed")


def expect_no_base(_fixture, items):
    """create leaves no base that has a name."""
    if any(item["role"] == "base" for item in items):
        raise Broken(f"a base is left: {[item['name'] for item in items]}")


def leave_wreck(fixture):
    """Half-made and half-deleted objects, for cleanup to find: commands killed in their middle."""
    herd = fixture.herd
    for command in (register(NSPAWN, f"rootfs={fixture.folder}/tree", "wreck"), clone(QEMU, "wreck", "count=2"), delete(QEMU, "d")):
        _, calls = herd.kill_at(0, (*command, "dry_run=true"))
        herd.kill_at(len(calls) + 30, command)


def expect_usable(fixture, _items):
    """Half a setup must not keep a herd from working without it."""
    fixture.herd.do(*register(NSPAWN, f"rootfs={fixture.folder}/tree", "other"))
    fixture.herd.do(*remove(NSPAWN, "other"))


def wait_warm(fixture, engine="lxd"):
    """The helper has made what is wanted, and is gone."""
    deadline = time.monotonic() + 60
    while True:
        status = fixture.herd.do(engine, "status")
        if status["ready"] == status["warm"] and not any("qemu-system" not in line for line in fixture.herd.processes()):
            return
        if time.monotonic() > deadline:
            raise Broken(f"{status['ready']} of {status['warm']} are kept warm: {fixture.herd.processes()}")
        time.sleep(0.02)


def wait_standing(fixture):
    wait_warm(fixture, "qemu")


DISK, TREE = "image={f}/disk.qcow2", "rootfs={f}/tree"
POOL = ("nspawn", "setup", "store=btrfs", "size=300M")
UNDO = ("nspawn", "teardown")

SCENARIOS = [
    *of_store("ext4", "qemu, copied", QEMU, DISK),
    Scenario("ext4", "qemu: register_base adopt=true", register(QEMU, "image={p}/own.qcow2", "b", "adopt=true"), set_up=put_image, look=find_image,
             after=(remove(QEMU),), makes=("b",), again=66),
    Scenario("ext4", "qemu: register_base of a vmdk", register(QEMU, "image={f}/disk.vmdk"), after=(remove(QEMU),), makes=("b",)),
    Scenario("ext4", "qemu: clone count=3", clone(QEMU, "c", "count=3"), prepare=(register(QEMU, DISK),), after=(delete(QEMU, "c-*"),),
             makes=("c-1", "c-2", "c-3")),
    Scenario("ext4", "qemu: clone atomic=true durable=true", clone(QEMU, "c", "count=2", "atomic=true", "durable=true"),
             prepare=(register(QEMU, DISK),), after=(delete(QEMU, "c-*"),), makes=("c-1", "c-2")),
    Scenario("ext4", "qemu: rename", ("qemu", "rename", "name=c", "as=d"), prepare=(register(QEMU, DISK), clone(QEMU)),
             after=(("qemu", "rename", "name=d", "as=c"),), makes=("d",), takes=("c",), again=66),
    Scenario("ext4", "qemu: delete of three", delete(QEMU, "c-*"), prepare=(register(QEMU, DISK),), before=(clone(QEMU, "c", "count=3"),),
             takes=("c-1", "c-2", "c-3"), again=66),
    Scenario("ext4", "qemu: delete of the last clone of a removed base", delete(QEMU), takes=("c",), again=66,
             before=(register(QEMU, DISK), clone(QEMU), remove(QEMU))),
    Scenario("ext4", "qemu: remove_base in use", remove(QEMU), before=(register(QEMU, DISK), clone(QEMU)), after=(delete(QEMU),),
             takes=("b",), again=66),
    Scenario("ext4", "cleanup", ("cleanup",), prepare=(register(QEMU, DISK),), before=(clone(QEMU, "d"),), set_up=leave_wreck),
    Scenario("ext4", "qemu: setup", ("qemu", "setup"), after=(("qemu", "teardown"),), gone=True),
    Scenario("ext4", "qemu: teardown", ("qemu", "teardown"), before=(("qemu", "setup"),), gone=True),
    *points_of_store("ext4", "qemu", QEMU, DISK),
    Scenario("ext4", "qemu: register_base from=", register(QEMU, "from=c", "p"), prepare=(register(QEMU, DISK),), before=(clone(QEMU),), set_up=mark_clone,
             look=expect_mark, after=(delete(QEMU), remove(QEMU, "p")), makes=("p",)),
    Scenario("ext4", "qemu: flatten of the last clone of a removed base", point(QEMU, "flatten"), after=(delete(QEMU),),
             before=(register(QEMU, DISK), clone(QEMU), remove(QEMU))),
    *running_points("ext4", "qemu, running", QEMU, DISK),
    *live_bases("ext4", "qemu, live", DISK),
    *bringing("ext4", "qemu, live"),
    *standing("ext4", "qemu, ready"),
    *of_store("ext4", "nspawn, overlay", NSPAWN, TREE, more=("store=overlay",)),
    *points_of_store("ext4", "nspawn, overlay", NSPAWN, TREE, more=("store=overlay",)),
    Scenario("ext4", "nspawn: register_base of a tarball", register(NSPAWN, "tarball={f}/tree.tar"), after=(remove(NSPAWN),), makes=("b",)),
    *life_of("ext4", "qemu", QEMU, DISK),
    Scenario("ext4", "qemu: create", (*QEMU, "create", DISK, "name=c"), after=(delete(QEMU),), makes=("c",), look=expect_no_base),
    Scenario("ext4", "qemu: extend", (*QEMU, "extend", "name=c", "ttl=1h"), prepare=(register(QEMU, DISK), clone(QEMU))),
    *life_of("ext4", "nspawn, overlay", NSPAWN, TREE, more=("store=overlay",), inside=True),
    *of_store("ext4", "nspawn, copy", NSPAWN, TREE, more=("store=copy",))[1:3],
    *of_store("ext4", "nspawn, hardlink", NSPAWN, TREE, more=("store=hardlink",))[1:3],
    *of_store("ext4", "nspawn, btrfs in a file", NSPAWN, TREE, before=(POOL,)),
    Scenario("ext4", "nspawn: setup of a pool", POOL, after=(UNDO,), look=expect_usable, gone=True),
    Scenario("ext4", "nspawn: teardown of a pool", UNDO, before=(POOL,), gone=True),
    *of_store("btrfs", "nspawn, btrfs", NSPAWN, TREE),
    Scenario("btrfs", "nspawn, btrfs: clone count=3", clone(NSPAWN, "c", "count=3"), prepare=(register(NSPAWN, TREE),), after=(delete(NSPAWN, "c-*"),),
             makes=("c-1", "c-2", "c-3")),
    *points_of_store("btrfs", "nspawn, btrfs", NSPAWN, TREE),
    *life_of("btrfs", "nspawn, btrfs", NSPAWN, TREE)[:2],
    Scenario("btrfs", "nspawn, btrfs: register_base from=", register(NSPAWN, "from=c", "p"), prepare=(register(NSPAWN, TREE),), before=(clone(NSPAWN),),
             set_up=mark_clone, look=expect_mark, after=(delete(NSPAWN), remove(NSPAWN, "p")), makes=("p",)),
    *of_store("xfs", "qemu, reflink", QEMU, DISK, more=("store=reflink",)),
    *of_store("xfs", "nspawn, reflink", NSPAWN, TREE, more=("store=reflink",))[1:3],
    *points_of_store("xfs", "qemu, reflink", QEMU, DISK, more=("store=reflink",)),
    *of_store("zfs", "nspawn, zfs", NSPAWN, TREE, before=(("nspawn", "setup", "store=zfs", "pool={pool}"),)),
    *points_of_store("zfs", "nspawn, zfs", NSPAWN, TREE, before=(("nspawn", "setup", "store=zfs", "pool={pool}"),)),
    Scenario("zfs", "nspawn: setup of zfs", ("nspawn", "setup", "store=zfs", "pool={pool}"), after=(UNDO,), look=expect_usable, gone=True),
    Scenario("zfs", "nspawn: teardown of zfs", UNDO, before=(("nspawn", "setup", "store=zfs", "pool={pool}"),), gone=True),
    *of_store("lxd", "lxd, a file", LXD, "image={f}/lxd.tar"),
    Scenario("lxd", "lxd: register_base of a tree", register(LXD, TREE), after=(remove(LXD),), makes=("b",)),
    *points_of_store("lxd", "lxd", LXD, TREE),
    *[dataclasses.replace(scenario, points=4) for scenario in life_of("lxd", "lxd", LXD, TREE, inside=True)
      if scenario.name.endswith(("start", "start=true", "execute", "copy_to"))],
    Scenario("lxd", "lxd: rename", ("lxd", "rename", "name=c", "as=d"), prepare=(register(LXD, TREE), clone(LXD)),
             after=(("lxd", "rename", "name=d", "as=c"),), makes=("d",), takes=("c",), again=66),
    Scenario("lxd", "lxd: clone of what is kept warm", clone(LXD), prepare=(register(LXD, TREE),), before=(("lxd", "setup", "warm=1"),), set_up=wait_warm,
             after=(delete(LXD), ("lxd", "setup", "warm=0")), makes=("c",), helper=True),
    Scenario("lxd", "lxd: clone count=2, one kept warm", clone(LXD, "c", "count=2"), prepare=(register(LXD, TREE),), before=(("lxd", "setup", "warm=1"),),
             set_up=wait_warm, after=(delete(LXD, "c-*"), ("lxd", "setup", "warm=0")), makes=("c-1", "c-2"), helper=True, points=8),
    Scenario("lxd", "lxd: setup warm=2", ("lxd", "setup", "warm=2"), prepare=(register(LXD, TREE),), after=(("lxd", "setup", "warm=0"),), helper=True, points=6),
    Scenario("lxd", "lxd: setup warm=0", ("lxd", "setup", "warm=0"), prepare=(register(LXD, TREE),), before=(("lxd", "setup", "warm=2"),), set_up=wait_warm,
             points=6),
    Scenario("lxd", "lxd: remove_base of what is kept warm", remove(LXD), before=(register(LXD, TREE, "b", "warm=2"),), set_up=wait_warm, takes=("b",),
             again=66, points=8),
    Scenario("lxd", "lxd: setup", ("lxd", "setup", "size=512M"), after=(("lxd", "teardown"),), gone=True),
]
