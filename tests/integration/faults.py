# SPDX-License-Identifier: Apache-2.0
"""Things that go wrong: a bad link between agent and collector, a small disk, and the line that says
which row of the fault matrix (tests/matrix.tsv) a test has run."""
import asyncio
import contextlib
import os
import random
import socket
import struct
import subprocess
import threading

CHUNK = 16384


def told(row, text):
    """For tools/test_matrix.py, from the test's output."""
    print(f"matrix: {row} {text}")


def scale(name, default):
    """A number that the environment may raise: FT_KILLS=2000."""
    return int(os.environ.get(name, default))


class Link:
    """A TCP relay inside a namespace, whose wire can be cut, reset, stalled, slowed and bent."""

    def __init__(self, ns, port, to):
        self.ns, self.port, self.to = ns, port, to
        self.loop = asyncio.new_event_loop()
        self.accepting = True
        self.flowing = None  # asyncio.Event: cleared, nothing is forwarded
        self.rate = None     # bytes a second, each direction
        self.flip = 0.0      # chance that a chunk gets one wrong bit
        self.random = random.Random(port)
        self.writers = set()
        self.forwarded = 0
        ready = threading.Event()
        self.thread = threading.Thread(target=self.run, args=(ready,), daemon=True)
        self.thread.start()
        assert ready.wait(10)

    def run(self, ready):
        self.ns.enter()
        asyncio.set_event_loop(self.loop)
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.loop.run_until_complete(asyncio.start_server(self.accept, "127.0.0.1", self.port))
        ready.set()
        self.loop.run_forever()
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.loop.close()

    def do(self, fn):
        """Runs fn() in the relay's thread and waits for it."""
        done = threading.Event()

        def run():
            fn()
            done.set()

        self.loop.call_soon_threadsafe(run)
        assert done.wait(10)

    async def accept(self, reader, writer):
        if not self.accepting:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            writer.transport.abort()
            return
        self.writers |= {writer, far_writer}
        await asyncio.gather(self.forward(reader, far_writer), self.forward(far_reader, writer))
        self.writers -= {writer, far_writer}

    async def forward(self, reader, writer):
        with contextlib.suppress(OSError):
            while True:
                data = await reader.read(CHUNK if self.rate is None else 1 + self.rate // 10)
                await self.flowing.wait()
                if not data:
                    break
                if self.random.random() < self.flip:
                    bent = bytearray(data)
                    bent[self.random.randrange(len(bent))] ^= 1 << self.random.randrange(8)
                    data = bytes(bent)
                self.forwarded += len(data)
                writer.write(data)
                await writer.drain()
                if self.rate is not None:
                    await asyncio.sleep(len(data) / self.rate)
        writer.close()

    def end_all(self, reset):
        for writer in list(self.writers):
            if reset:
                # Zero linger: RST instead of FIN, and what is queued is thrown away.
                linger = struct.pack("ii", 1, 0)
                sock = writer.get_extra_info("socket")
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
            else:
                writer.close()

    # What can be done to it.

    def heal(self):
        def heal():
            self.accepting, self.rate, self.flip = True, None, 0.0
            self.flowing.set()
        self.do(heal)

    def cut(self):
        """Closed, and refused from now on."""
        def cut():
            self.accepting = False
            self.end_all(reset=False)
        self.do(cut)

    def reset(self):
        self.do(lambda: self.end_all(reset=True))

    def stall(self):
        """Open, and silent: neither side is told."""
        self.do(self.flowing.clear)

    def slow(self, rate):
        self.rate = rate

    def bend(self, chance):
        self.flip = chance

    def close(self):
        self.heal()
        self.do(lambda: self.end_all(reset=True))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)


class SmallDisk:
    """A file system of 'size' bytes at 'path'."""

    def __init__(self, path, size):
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)],
                       check=True)

    def fill(self):
        """Leaves nothing."""
        with open(self.path / "filler", "ab", buffering=0) as filler:
            for size in (1 << 20, 4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        filler.write(bytes(size))

    def free(self):
        (self.path / "filler").unlink(missing_ok=True)

    def used(self):
        stat = os.statvfs(self.path)
        return (stat.f_blocks - stat.f_bfree) * stat.f_frsize

    def remove(self):
        subprocess.run(["umount", "-l", str(self.path)], check=False)
