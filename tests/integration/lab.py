# SPDX-License-Identifier: Apache-2.0
"""A small network of network namespaces, and programs inside it.

    client0, client1 … ── router ── server0 …

Addresses are documentation ones (RFC 5737, RFC 3849): clients 192.0.2.x and 2001:db8:1:x::2, servers
198.51.100.x and 2001:db8:2:x::2.  The router masquerades what leaves for the servers and forwards
203.0.113.80 (2001:db8:ff::80) port 80 to server0 port 8080.

Every namespace is called ft-PID-…, so that runs do not meet, and is torn down with everything that
runs in it however a test ends; what a killed run left behind, the next run removes.  Nothing
outside the namespaces is touched but the kernel's one nf_conntrack_max, for the tests that ask.
"""
import contextlib
import ctypes
import fcntl
import itertools
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

CLONE_NEWNET = 0x40000000
NETNS = pathlib.Path("/run/netns")
MAX_FILE = pathlib.Path("/proc/sys/net/netfilter/nf_conntrack_max")
MAX_LOCK = "/run/ft-lab-conntrack-max.lock"
PUBLIC4 = "203.0.113.80"
PUBLIC6 = "2001:db8:ff::80"

_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count()


class LabError(Exception):
    pass


def why_not():
    """Why the lab cannot be built here, or None."""
    if os.geteuid() != 0:
        return "needs root for network namespaces"
    for program in ("ip", "nft", "nsenter", "conntrack"):
        if shutil.which(program) is None:
            return f"needs {program}"
    name = f"ft-{os.getpid()}-probe"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode != 0:
        return f"no network namespaces here: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", name], check=False)
    return None


def run(args, **more):
    """Runs a command that must succeed; the error says what it printed."""
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise LabError(f"{' '.join(str(a) for a in args)}: {done.returncode}\n"
                       f"{done.stdout}{done.stderr}")
    return done.stdout


def wait_until(predicate, timeout=10.0, what="it", step=0.02):
    """Returns the first true result of 'predicate'.  The interval grows, so that waiting long does
    not load the machine that is waited for."""
    deadline = time.monotonic() + timeout
    while True:
        result = predicate()
        if result:
            return result
        if time.monotonic() > deadline:
            raise LabError(f"waited {timeout} s in vain for {what}")
        time.sleep(step)
        step = min(step * 1.3, 0.5)


def remove_leftovers():
    """Namespaces of runs whose process is gone, and the limit that such a run raised."""
    with open(MAX_LOCK, "a+", encoding="ascii") as lock, contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        restore_max(lock)
    for path in NETNS.glob("ft-*"):
        match = re.match(r"ft-(\d+)-", path.name)
        if match and not pathlib.Path(f"/proc/{match.group(1)}").exists():
            Namespace(path.name).destroy()


class Process:
    """A program in a namespace.  Its output goes to files, which tests read and failures show."""

    def __init__(self, popen, name, out, err):
        self.popen, self.name, self.out, self.err = popen, name, out, err
        self.pid = popen.pid

    def alive(self):
        return self.popen.poll() is None

    def output(self):
        return self.out.read_text(errors="replace")

    def errors(self):
        return self.err.read_text(errors="replace")

    def wait(self, timeout=30.0):
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name} did not end in {timeout} s\n{self.tail()}") from None

    def tail(self, n=20):
        lines = (self.output() + self.errors()).splitlines()
        return "\n".join(lines[-n:])

    def wait_for(self, text, timeout=15.0):
        """Until 'text' has been printed."""

        def seen():
            if text in self.output() or text in self.errors():
                return True
            if not self.alive():
                raise LabError(f"{self.name} ended with {self.popen.returncode}\n{self.tail()}")
            return False

        wait_until(seen, timeout, f"{self.name} to print {text!r}")
        return self

    def signal(self, number):
        if self.alive():
            self.popen.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        return self.popen.wait(10)

    def stop(self, timeout=30.0):
        """SIGTERM, then waits.  Returns the exit code."""
        self.signal(signal.SIGTERM)
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise LabError(f"{self.name} ignored SIGTERM for {timeout} s\n{self.tail()}") from None


class Namespace:
    """A network namespace of the lab."""

    def __init__(self, name, tmp=None):
        self.name, self.tmp, self.processes = name, tmp, []
        self.path = NETNS / name

    @classmethod
    def create(cls, role, tmp):
        ns = cls(f"ft-{os.getpid()}-{next(_numbers)}-{role}", tmp)
        run(["ip", "netns", "add", ns.name])
        ns.ip("link", "set", "lo", "up")
        return ns

    def ip(self, *words):
        return run(["ip", "-n", self.name, *words])

    def command(self, *words):
        return ["nsenter", f"--net={self.path}", *(str(w) for w in words)]

    def run(self, *words, **more):
        return run(self.command(*words), **more)

    def nft(self, script):
        """Each rule and chain of 'script' ends in "; }", which nft wants on lines of their own."""
        run(self.command("nft", "-f", "-"), input=script.replace("; }", ";\n}\n"))

    def spawn(self, *words, name=None, env=None, cwd=None):
        """Starts a program; it is ended with the namespace at the latest."""
        label = name or pathlib.Path(str(words[0])).name
        stem = self.tmp / f"{label}-{next(_numbers)}"
        out, err = stem.with_suffix(".out"), stem.with_suffix(".err")
        with open(out, "wb") as out_file, open(err, "wb") as err_file:
            popen = subprocess.Popen(
                self.command(*words), stdin=subprocess.DEVNULL, stdout=out_file, stderr=err_file,
                start_new_session=True, cwd=cwd, env={**os.environ, **(env or {})},
            )
        process = Process(popen, label, out, err)
        self.processes.append(process)
        return process

    def enter(self):
        """Moves the calling thread into the namespace, for good."""
        with open(self.path, "rb") as ns_file:
            if _libc.setns(ns_file.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")

    def call(self, fn):
        """Runs fn() in a thread that is inside the namespace; sockets made there stay in it."""
        result = []

        def inside():
            try:
                self.enter()
                result.append((fn(), None))
            except BaseException as error:  # handed to the caller's thread
                result.append((None, error))

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        value, error = result[0]
        if error is not None:
            raise error
        return value

    def connect(self, host, port, timeout=10.0):
        return self.call(lambda: socket.create_connection((host, port), timeout))

    def read(self, path):
        """A file that depends on the namespace: below /proc/sys/net, /proc/thread-self/net."""
        return self.call(lambda: pathlib.Path(path).read_text())

    def sysctl(self, key, value=None):
        path = pathlib.Path("/proc/sys") / key.replace(".", "/")
        if value is None:
            return self.read(path).strip()
        self.call(lambda: path.write_text(f"{value}\n"))
        return str(value)

    def conntrack_count(self):
        return int(self.sysctl("net.netfilter.nf_conntrack_count"))

    def flush(self):
        """Ends every flow at once."""
        self.run("conntrack", "-F")

    def track(self):
        """Connection tracking without the agent: one rule that asks for it."""
        self.nft("table inet lab-track { chain c { type filter hook prerouting priority -300;"
                 " ct state new counter; } }")
        self.sysctl("net.netfilter.nf_conntrack_acct", 1)
        self.sysctl("net.netfilter.nf_conntrack_timestamp", 1)

    def track_local(self):
        """The same where hosts talk to themselves: tracked on the way out too."""
        self.track()
        self.nft("table inet lab-track { chain o { type filter hook output priority -300;"
                 " ct state new counter; } }")

    def destroy(self):
        for process in reversed(self.processes):
            process.signal(signal.SIGTERM)
        deadline = time.monotonic() + 5
        for process in reversed(self.processes):
            try:
                process.popen.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
        if self.path.exists():
            pids = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True)
            for pid in pids.stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)


def set_link(left, right, left_name, right_name, left_addrs, right_addrs):
    left.ip("link", "add", left_name, "type", "veth", "peer", "name", right_name,
            "netns", right.name)
    for ns, name, addrs in ((left, left_name, left_addrs), (right, right_name, right_addrs)):
        for addr in addrs:
            nodad = ["nodad"] if ":" in addr else []
            ns.ip("addr", "add", addr, "dev", name, *nodad)
        ns.ip("link", "set", name, "up")


class Lab:
    """The network above.  Use as a context manager."""

    def __init__(self, tmp, n_clients=1, n_servers=1):
        self.tmp = pathlib.Path(tmp)
        self.n_clients, self.n_servers = n_clients, n_servers
        self.namespaces, self.clients, self.servers = [], [], []
        self.router = None

    def __enter__(self):
        remove_leftovers()
        try:
            self.build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for ns in reversed(self.namespaces):
            ns.destroy()

    def add(self, role):
        ns = Namespace.create(role, self.tmp)
        self.namespaces.append(ns)
        return ns

    def client4(self, i=0):
        return f"192.0.2.{16 * i + 2}"

    def client6(self, i=0):
        return f"2001:db8:1:{i + 1}::2"

    def server4(self, i=0):
        return f"198.51.100.{16 * i + 2}"

    def server6(self, i=0):
        return f"2001:db8:2:{i + 1}::2"

    def build(self):
        self.router = self.add("router")
        for key in ("ipv4.ip_forward", "ipv6.conf.all.forwarding"):
            self.router.sysctl(f"net.{key}", 1)
        for i in range(self.n_clients):
            ns = self.add(f"client{i}")
            self.clients.append(ns)
            self.attach(ns, f"c{i}", f"192.0.2.{16 * i + 1}", self.client4(i),
                        f"2001:db8:1:{i + 1}::1", self.client6(i))
        for i in range(self.n_servers):
            ns = self.add(f"server{i}")
            self.servers.append(ns)
            self.attach(ns, f"s{i}", f"198.51.100.{16 * i + 1}", self.server4(i),
                        f"2001:db8:2:{i + 1}::1", self.server6(i))
        self.translate()

    def attach(self, ns, link, router4, own4, router6, own6):
        set_link(self.router, ns, link, "eth0", [f"{router4}/28", f"{router6}/64"],
                 [f"{own4}/28", f"{own6}/64"])
        ns.ip("route", "add", "default", "via", router4)
        ns.ip("-6", "route", "add", "default", "via", router6)

    def translate(self):
        self.router.ip("addr", "add", f"{PUBLIC4}/32", "dev", "lo")
        self.router.ip("addr", "add", f"{PUBLIC6}/128", "dev", "lo", "nodad")
        self.router.nft(f"""
            table ip lab-nat {{
                chain pre {{ type nat hook prerouting priority -100;
                    ip daddr {PUBLIC4} tcp dport 80 dnat to {self.server4()}:8080; }}
                chain post {{ type nat hook postrouting priority 100;
                    oifname "s*" masquerade; }}
            }}
            table ip6 lab-nat {{
                chain pre {{ type nat hook prerouting priority -100;
                    ip6 daddr {PUBLIC6} tcp dport 80 dnat to [{self.server6()}]:8080; }}
                chain post {{ type nat hook postrouting priority 100;
                    oifname "s*" masquerade; }}
            }}""")


def restore_max(lock):
    """Puts back what the lock file remembers, after this run or a killed one."""
    lock.seek(0)
    before = lock.read().strip()
    if before:
        MAX_FILE.write_text(f"{before}\n")
        lock.seek(0)
        lock.truncate()


@contextlib.contextmanager
def conntrack_max(n):
    """Raises the kernel's one limit for all namespaces to at least 'n', and puts it back."""
    with open(MAX_LOCK, "a+", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        restore_max(lock)
        before = int(MAX_FILE.read_text())
        lock.write(f"{before}\n")
        lock.flush()
        try:
            MAX_FILE.write_text(f"{max(before, n)}\n")
            yield
        finally:
            restore_max(lock)
