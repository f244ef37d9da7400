# SPDX-License-Identifier: Apache-2.0
"""Hosts whose power can be cut: a disk with a volatile write cache (tests/lab/power_disk.c), a real
ext4 on it, and the program that lives there, which dies with everything that it has in memory.

Program, /proc and mounts are in namespaces of their own and end with the program; the loop device
ends with the last mount.  So there is nothing to clean up, however a test ends.
"""
import collections
import json
import os
import pathlib
import signal
import subprocess
import uuid

from lab import LabError, Process, run, wait_until
from oracle import BUILD
from programs import Stack, Store

POWER_DISK = BUILD / "tests" / "lab" / "power_disk"
WRITEBACK = BUILD / "tests" / "lab" / "writeback"
NO_SYNC = BUILD / "tests" / "lab" / "libno_sync.so"
# In there: the disk, another boot id, a kernel that writes what is dirty, the program.
BOOT = """
mount -t ext4 "$0" "$1" && mount --bind "$2" /proc/sys/kernel/random/boot_id || exit 99
"$3" "$1" &
shift 3
exec "$@"
"""


class PowerDisk:
    """An ext4 in a file, on a drive that forgets."""

    def __init__(self, ns, directory, size, dice):
        self.ns, self.dice = ns, dice
        self.image, self.fuse = directory / "image", directory / "fuse"
        self.fuse.mkdir(parents=True)
        with open(self.image, "wb") as image:
            image.truncate(size)
        run(["mkfs.ext4", "-q", "-F", "-b", "4096", self.image])
        self.process = self.device = None
        self.flags = ()
        self.cuts = collections.Counter()

    def power_on(self):
        seed = self.dice.randrange(1 << 32)
        self.process = self.ns.spawn(POWER_DISK, self.image, self.fuse, "--seed", seed,
                                     *self.flags, name="power_disk").wait_for("\n")
        self.device = self.process.output().split()[1]

    def begin_cut(self):
        self.process.signal(signal.SIGUSR1)

    def end_cut(self):
        """Once it has happened, the drive answers nothing but EIO.  Returns when, by the wall clock."""
        self.process.wait_for("}\n")
        made = json.loads(self.process.output().splitlines()[-1])
        at = made.pop("at")
        self.cuts.update(made)
        return at

    def power_off(self):
        """What is in the cache is gone, too."""
        self.process.stop()


class Guest(Process):
    """What runs on such a host: the only process that a signal can reach is the first one there, and
    with it all the others end."""

    def __init__(self, process):
        super().__init__(process.popen, process.name, process.out, process.err)

    def signal(self, number):
        task = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children")
        if self.alive():
            for pid in task.read_text().split():
                os.kill(int(pid), number)


class PoweredHost:
    """Behaves as the network namespace that it is in, but for what is started on it."""

    def __init__(self, ns, role, size, dice):
        self.ns, self.role = ns, role
        directory = ns.tmp / f"{role}-host"
        self.disk = PowerDisk(ns, directory, size, dice)
        self.mount = directory / "disk"
        self.mount.mkdir()
        self.boot_id = directory / "boot_id"
        self.env = {}

    def __getattr__(self, name):
        return getattr(self.ns, name)

    def boot(self):
        self.boot_id.write_text(f"{uuid.uuid4()}\n")
        self.disk.power_on()

    def spawn(self, *words, **more):
        more.setdefault("name", pathlib.Path(str(words[0])).name)
        more["env"] = {**self.env, **(more.get("env") or {})}
        guest = Guest(self.ns.spawn(
            "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c",
            BOOT, self.disk.device, self.mount, self.boot_id,
            WRITEBACK, *words, **more))
        self.ns.processes[-1] = guest
        return guest

    def look(self, script, *words):
        """Runs a shell script that has the disk at "$1", while nothing else runs here."""
        def look():
            done = subprocess.run(
                ["unshare", "--mount", "sh", "-c", 'mount -t ext4 "$0" "$1" || exit 99\n' + script,
                 self.disk.device, self.mount, *map(str, words)], capture_output=True, text=True,
                check=False)
            # The kernel may not be done with the mount before.
            return done if done.returncode != 99 else None

        done = wait_until(look, 10, f"the disk of {self.role}")
        if done.returncode != 0:
            raise LabError(f"{self.role}: {done.stdout}{done.stderr}")
        return done.stdout


class PoweredStack(Stack):
    """An agent and a collector on hosts of their own."""

    def __init__(self, ns, dice):
        self.hosts = {"agent": PoweredHost(ns, "agent", 192 << 20, dice),
                      "collector": PoweredHost(ns, "collector", 512 << 20, dice)}
        super().__init__(self.hosts["agent"], self.hosts["collector"])
        self.directory = self.hosts["collector"].mount

    def cut(self, victims):
        """The power of these hosts, at once.  Nothing else of them is left than their disks.
        Returns when, in their order."""
        at = []
        for victim in victims:
            self.hosts[victim].disk.begin_cut()
        for victim in victims:
            at.append(self.hosts[victim].disk.end_cut())
            getattr(self, victim).kill()
            self.hosts[victim].disk.power_off()
        return at

    def store(self):
        copy = self.tmp / "store"
        copy.mkdir(exist_ok=True)
        self.hosts["collector"].look('cp "$1"/flows.duckdb* "$2"', copy)
        return Store(copy / "flows.duckdb")
