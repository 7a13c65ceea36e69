"""The commands that change disks: how each is set up and called, and what may be there after it was stopped anywhere.

The disks are small, and have clusters of 4 KiB, so that a command makes many system calls. Every file of a case is
given as bytes, so that each run begins with the same files. Image or base may be a block device: a loop device over a
file beside the directory, to which the name is a link. What is on a disk is read by the example implementation in
Python, which shares no code with the command. It knows no devices, and so gets copies of those.
"""

import atexit
import functools
import os
import random
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "corpus", "example"))
import addcow  # noqa: E402 pylint: disable=wrong-import-position

COMMAND = os.environ["ADDCOW"]
SECTOR, CLUSTER = 512, 4096
SIZE = 40 * CLUSTER - 1024  # of the usual disk
BASE = 30 * CLUSTER + 1536  # of its base


class Wrong(Exception):
    """What a command left is not what it may leave."""


def noise(seed, length):
    return random.Random(seed).randbytes(length)


def put(name, data):
    """Makes a file with holes where the data has zeros."""
    with open(name, "wb") as file:
        for at in range(0, len(data), CLUSTER):
            part = data[at : at + CLUSTER]
            if part.strip(b"\0"):
                file.seek(at)
                file.write(part)
        file.truncate(len(data))


def get(name):
    with open(name, "rb") as file:
        return file.read()


@functools.cache
def device(number, length):
    """The name of a loop device of that length, which exists until the end. Raises if none can be made."""
    path = os.path.abspath(f"../device.{number}.{length}")
    with open(path, "wb") as file:
        file.truncate(length)
    made = subprocess.run(["losetup", "--find", "--show", path], check=True, capture_output=True, text=True)
    name = made.stdout.strip()
    atexit.register(os.unlink, path)
    atexit.register(subprocess.run, ["losetup", "--detach", name], check=True)
    return name


def put_device(name, data, number):
    """The same as put, but `name` leads to a device."""
    path = device(number, len(data))
    os.symlink(path, name)
    with open(path, "r+b") as file:
        file.write(data)


def content(disk):
    """All bytes of a disk, or of a raw file. Wrong if it is not a valid disk."""
    if not disk.endswith(".addcow"):
        return get(disk)
    if not any(os.path.islink(name) for name in os.listdir(".")):
        return content_of_files(disk)
    with tempfile.TemporaryDirectory() as copies:
        for name in os.listdir("."):
            with open(os.path.join(copies, name), "wb") as file, open(name, "rb") as original:
                shutil.copyfileobj(original, file)
        return content_of_files(os.path.join(copies, disk))


def content_of_files(disk):
    try:
        opened = addcow.Disk(os.fsencode(disk), False)
    except addcow.Error as error:
        raise Wrong(f"{disk} does not open: {error}") from error
    try:
        return opened.read(0, opened.size)
    finally:
        opened.close()


def state(disk):
    """The same; None if there is no disk, or none that opens."""
    try:
        return content(disk) if os.path.exists(disk) else None
    except Wrong:
        return None


def run(*arguments, data=b""):
    """The command, which has to succeed."""
    done = subprocess.run([COMMAND, *arguments], input=data, capture_output=True, check=False)
    if done.returncode != 0:
        raise Wrong(f"addcow {' '.join(arguments)} ends with {done.returncode}: {done.stderr.decode().strip()}")


def mount_point(path):
    path = os.path.realpath(path)
    while not os.path.ismount(path):
        path = os.path.dirname(path)
    return path


class Case:
    """One command line. `torn`: each sector may be as before or as after, as a write is no transaction. `longer`: what
    it leaves may be as after, with zeros up to that length. `devices`: the files that are block devices.
    `again`: closing does again what failed after the cut of a shrink, which has happened (RSZ-05).
    """

    def __init__(self, name, arguments, setup, data=b"", disk="disk.addcow", torn=False, made=(), result=None,
                 longer=0, devices=(), again=False):
        self.name, self.arguments, self.data, self.disk = name, arguments, data, disk
        self.setup, self.torn, self.result, self.longer, self.devices = setup, torn, result, longer, devices
        self.again = again
        self.made = dict.fromkeys(made)  # the files that the command makes, and their content
        self.files = self.before = self.after = self.same = None

    def prepare(self):
        """Runs in an empty directory; notes the files, and what the disk reads as before and after the command."""
        self.setup()
        self.files = {name: get(name) for name in os.listdir(".")}
        self.reset()
        self.before = state(self.disk)
        run(*self.arguments, data=self.data)
        self.after = content(self.disk)
        self.made = {name: get(name) for name in self.made}
        self.same = {name for name in self.files if get(name) == self.files[name] and name != self.disk}
        self.check_result()
        self.reset()

    def reset(self):
        for name in os.listdir("."):
            os.unlink(name)
        for name, data in self.files.items():
            if name in self.devices:
                put_device(name, data, self.devices.index(name))
            else:
                put(name, data)

    def check_result(self):
        """The command has succeeded: the disk is as after it, and so is the file in which its work is."""
        if content(self.disk) != self.after:
            raise Wrong("after success the disk reads wrongly")
        if self.result and get(self.result[0]) != self.result[1]():
            raise Wrong(f"after success {self.result[0]} is wrong")
        check = subprocess.run([COMMAND, "check", "-q", self.disk], capture_output=True, check=False)
        if check.returncode == 3:  # bits past the end, where a shrink died between the cut and the bits (RSZ-05)
            run("check", "-q", "--repair", self.disk)
            if content(self.disk) != self.after:
                raise Wrong("a repair changes what the disk reads as")
        elif check.returncode != 0:
            raise Wrong(f"check ends with {check.returncode}: {check.stderr.decode().strip()}")

    def check_sectors(self, found):
        for at in range(0, len(found), SECTOR):
            part = slice(at, at + SECTOR)
            if found[part] not in (self.before[part], self.after[part]):
                raise Wrong(f"the sector at {at} is neither as before nor as after")

    def check_names(self, died):
        """No file is gone; none is new but what was asked for, and after a death names that say what they are."""
        names = set(os.listdir("."))
        if not set(self.files) <= names:
            raise Wrong(f"gone: {set(self.files) - names}")
        for name in names - set(self.files) - set(self.made):
            if not (died and name.startswith(".addcow-create-")):
                raise Wrong(f"{name} is left behind")
        for name in self.same:
            if get(name) != self.files[name]:
                raise Wrong(f"{name} has changed")

    def check_stopped(self, died):
        """The command was stopped somewhere, and did not succeed: as before or as after."""
        self.check_names(died)
        if self.disk not in self.files and not os.path.exists(self.disk):
            # A death between the two names leaves the image, which holds nothing yet and is whole.
            for name, data in self.made.items():
                if os.path.exists(name) and (not died or get(name) != data):
                    raise Wrong(f"{name} is left behind")
            return
        found = state(self.disk)
        if self.torn and found and len(found) == len(self.before):
            self.check_sectors(found)
        elif found not in (self.before, self.after, self.after.ljust(self.longer, b"\0")):
            raise Wrong("the disk reads neither as before nor as after")

    def check_repeated(self):
        """The same command completes what was begun."""
        if self.disk not in self.files:
            if os.path.exists(self.disk):
                return self.check_result()
            for name in self.made:
                if os.path.exists(name):
                    os.unlink(name)
        run(*self.arguments, data=self.data)
        return self.check_result()


# ---- The disks ----


def overlay(size=SIZE, base=BASE, writes=((3 * CLUSTER + 512, 9 * CLUSTER), (25 * CLUSTER, 700))):
    put("base.raw", noise(1, base))
    run("create", "-q", "-c", "4k", "-b", "base.raw", "-i", "disk.raw", "-s", str(size), "disk.addcow")
    for number, (offset, length) in enumerate(writes):
        run("write", "disk.addcow", str(offset), data=noise(10 + number, length))


def below():
    """A chain: top.addcow over disk.addcow over base.raw."""
    overlay(size=BASE)
    names = ["-b", "disk.addcow", "-F", "add-cow", "-i", "top.raw", "top.addcow"]
    run("create", "-q", "-c", "4k", "-s", str(BASE), *names)
    run("write", "top.addcow", "6000", data=noise(20, 20000))


def sparse_input():
    overlay()
    data = bytearray(noise(32, 12 * CLUSTER + 700))
    data[3 * CLUSTER : 6 * CLUSTER] = bytes(3 * CLUSTER)
    data[8 * CLUSTER : 9 * CLUSTER] = bytes(CLUSTER)
    put("input", bytes(data))


def two_bases():
    overlay()
    new = bytearray(noise(1, BASE))
    new[5 * CLUSTER : 20 * CLUSTER] = noise(2, 15 * CLUSTER)
    put("new.raw", bytes(new[: 28 * CLUSTER]))


def over_stale_bits():
    """What check --repair mends: bits past the end of the disk, and a bitmap whose padding is short."""
    overlay()
    with open("disk.addcow", "r+b") as file:
        file.seek(CLUSTER + 5)
        file.write(b"\xff\xff")
        file.truncate(CLUSTER + 1000)


def under_flag():
    """What check --repair mends: "all allocated" with bits that are clear."""
    overlay()
    run("stream", "-q", "disk.addcow")
    with open("disk.addcow", "r+b") as file:
        file.seek(CLUSTER + 1)
        file.write(b"\0")


def short_bitmap(size=SIZE):
    """The bitmap has no byte more than it needs, so that a growing disk needs a longer one."""
    overlay(size=size)
    os.truncate("disk.addcow", CLUSTER + 5)


def grown_from_outside():
    """Another program made the image longer than the bitmap covers: the disk does not open any more."""
    short_bitmap()
    os.truncate("disk.raw", 60 * CLUSTER)


def bare():
    put("base.raw", noise(1, BASE))


def bare_image():
    put("disk.raw", noise(3, SIZE))


def replaced():
    overlay()
    put("other.raw", noise(1, SIZE))


def base_of(length):
    """What a commit of the usual overlay leaves in its base."""
    return ("base.raw", lambda: content("disk.addcow")[:length])


MADE = ("disk.addcow", "disk.raw")


def has_direct():
    """Whether the file system here has transfers without the cache of the system."""
    try:
        os.close(os.open("probe", os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o600))
        return True
    except OSError:
        return False
    finally:
        if os.path.exists("probe"):
            os.unlink("probe")


def direct_cases():
    if not has_direct():
        print("not run: --direct, which this file system does not have")
        return []
    return [
        Case("write --direct", ["write", "--direct", "disk.addcow", str(SIZE - 59990)], overlay, noise(30, 59990),
             torn=True),
        Case("stream --direct", ["stream", "-q", "--direct", "disk.addcow"], overlay,
             result=("disk.raw", lambda: content("disk.addcow"))),
        Case("commit --direct", ["commit", "-q", "--direct", "disk.addcow"], overlay, result=base_of(BASE)),
        Case("rebase --direct", ["rebase", "-q", "--direct", "-b", "new.raw", "disk.addcow"], two_bases),
    ]


def has_devices():
    """Whether loop devices can be made here, over files of this file system."""
    try:
        return bool(device(0, SIZE))
    except (OSError, subprocess.CalledProcessError):
        return False


def device_cases():
    if not has_devices():
        print("not run: block devices, as no loop device can be made here")
        return []
    create = ["create", "-q", "-c", "4k", "-i", "disk.raw"]
    image, base = ("disk.raw",), ("base.raw",)
    streamed = ("disk.raw", lambda: content("disk.addcow"))
    new_base = ["-b", "new.raw", "disk.addcow"]
    found = [
        Case("create (wrap)", create + ["disk.addcow"], bare_image, made=("disk.addcow",), devices=image),
        Case("create", create + ["-b", "base.raw", "-s", str(SIZE), "disk.addcow"], bare, made=MADE, devices=base),
        Case("write", ["write", "disk.addcow", "2000"], overlay, noise(30, 60000), torn=True, devices=image),
        Case("zero", ["zero", "disk.addcow", "2000", "60000"], overlay, torn=True, devices=image),
        Case("discard", ["discard", "disk.addcow", "2000", "60000"], overlay, torn=True, devices=image),
        Case("stream", ["stream", "-q", "disk.addcow"], overlay, result=streamed, devices=image + base),
        Case("commit", ["commit", "-q", "disk.addcow"], overlay, result=base_of(BASE), devices=base),
        Case("commit from", ["commit", "-q", "disk.addcow"], overlay, result=base_of(BASE), devices=image),
        Case("commit --base", ["commit", "-q", "--base", "base.raw", "top.addcow"], below, disk="top.addcow",
             result=("base.raw", lambda: content("top.addcow")), devices=image + base),
        Case("rebase", ["rebase", "-q"] + new_base, two_bases, devices=image + base + ("new.raw",)),
        Case("check --repair", ["check", "-q", "--repair", "disk.addcow"], over_stale_bits, devices=image + base),
        Case("stream --direct", ["stream", "-q", "--direct", "disk.addcow"], overlay, result=streamed,
             devices=image + base),
        Case("commit --direct", ["commit", "-q", "--direct", "disk.addcow"], overlay, result=base_of(BASE),
             devices=image + base),
    ]
    for case in found:
        case.name = "device: " + case.name
    return found


def cases():
    """All commands that change files. What each reads as afterwards is judged by check_result and by prepare."""
    create = ["create", "-q", "-c", "4k", "-i", "disk.raw"]
    full = ["--preallocation=full", "disk.addcow"]
    return [
        Case("create", create + ["-b", "base.raw", "-s", str(SIZE), "disk.addcow"], bare, made=MADE),
        Case("create (wrap)", create + ["disk.addcow"], bare_image, made=("disk.addcow",)),
        Case("create (preallocated)", create + ["-b", "base.raw", "-s", str(SIZE)] + full, bare, made=MADE),
        Case("create -f", ["create", "-q", "-f", "-c", "4k", "-i", "other.raw", "disk.addcow"], replaced),
        Case("write", ["write", "disk.addcow", "2000"], overlay, noise(30, 60000), torn=True),
        Case("write --detect-zeroes", ["write", "--detect-zeroes", "disk.addcow", "2000"], overlay,
             noise(30, 20000) + bytes(20000) + noise(31, 9000), torn=True),
        Case("write -i", ["write", "-i", "input", "disk.addcow", "2001"], sparse_input, torn=True),
        Case("zero", ["zero", "disk.addcow", "2000", "60000"], overlay, torn=True),
        Case("discard", ["discard", "disk.addcow", "2000", "60000"], overlay, torn=True),
        Case("resize (grow)", ["resize", "-q", "disk.addcow", "400k"], short_bitmap),
        Case("resize (grow over base)", ["resize", "-q", "disk.addcow", "100k"],
             lambda: overlay(size=20000, writes=())),
        Case("resize --shrink", ["resize", "-q", "--shrink", "disk.addcow", "50000"], overlay, again=True),
        Case("resize --image-was", ["resize", "-q", "--image-was", str(SIZE), "disk.addcow"], grown_from_outside,
             again=True, longer=40 * CLUSTER),  # the image first becomes as long as the bitmap covers, and is cut then
        Case("stream", ["stream", "-q", "disk.addcow"], overlay, result=("disk.raw", lambda: content("disk.addcow"))),
        Case("commit", ["commit", "-q", "disk.addcow"], overlay, result=base_of(BASE)),
        Case("commit (into a disk)", ["commit", "-q", "top.addcow"], below, disk="top.addcow"),
        Case("commit --base", ["commit", "-q", "--base", "base.raw", "top.addcow"], below, disk="top.addcow",
             result=("base.raw", lambda: content("top.addcow"))),
        Case("commit --grow-backing", ["commit", "-q", "--grow-backing", "disk.addcow"],
             lambda: overlay(base=40000), result=base_of(SIZE)),
        Case("rebase", ["rebase", "-q", "-b", "new.raw", "disk.addcow"], two_bases),
        Case("rebase -b ''", ["rebase", "-q", "-b", "", "disk.addcow"], overlay),
        Case("rebase -u", ["rebase", "-q", "-u", "-b", "new.raw", "disk.addcow"], two_bases),
        Case("check --repair (bits)", ["check", "-q", "--repair", "disk.addcow"], over_stale_bits),
        Case("check --repair (flag)", ["check", "-q", "--repair", "disk.addcow"], under_flag),
    ] + direct_cases()


def all_cases():
    """Also those on devices, where a full file system or a limit of lengths makes no difference but to other files."""
    return cases() + device_cases()
