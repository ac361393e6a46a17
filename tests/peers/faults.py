"""Faults that can be switched while a worker runs, by the line protocol of the voicelab's worker.

One command per line on a unix socket, one answer per line: `ok` or `error: …`.

    stall MS         the next frame is sent MS milliseconds late
    hold MS          a thread computes with the interpreter lock held for MS milliseconds
    slow-load MS     every model load takes MS longer; 0 ends it
    read MS FILE     the next frame reads the file past the page cache for MS milliseconds
    touch MS FILE    the next frame needs mapped pages of the file that are in no cache, as long
"""

import mmap
import os
import pathlib
import socket
import threading
import time
from collections.abc import Callable

# Bytes of a page and of a read: what every disk and file system can do (open(2), `O_DIRECT`).
PAGE = 4096

# How far `hold` counts to see how long counting takes.
SAMPLE = 200_000


class Faults:
    """The faults in force."""

    def __init__(self, path: pathlib.Path | None) -> None:
        self.slow_load_s = 0.0
        self._lock = threading.Lock()
        self._next: Callable[[], None] | None = None
        if path:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(path))
            listener.listen()
            threading.Thread(target=self._serve, args=(listener,), daemon=True).start()

    def before_frame(self) -> None:
        """Does what was asked for the next frame, on the thread that makes it."""
        if self._next is None:
            return
        with self._lock:
            fault, self._next = self._next, None
        if fault:
            fault()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("rw") as lines:
                for line in lines:
                    try:
                        self._switch(*line.split())
                        answer = "ok"
                    except (TypeError, ValueError) as error:
                        answer = f"error: {error}"
                    lines.write(answer + "\n")
                    lines.flush()

    def _switch(self, command: str, ms: str, file: str = "") -> None:
        seconds = int(ms) / 1000
        if command == "stall":
            self._next = lambda: time.sleep(seconds)
        elif command == "hold":
            threading.Thread(target=hold, args=(seconds,), name="holder", daemon=True).start()
        elif command == "slow-load":
            self.slow_load_s = seconds
        elif command == "read":
            self._next = lambda: read(file, seconds)
        elif command == "touch":
            self._next = lambda: touch(file, seconds)
        else:
            raise ValueError("unknown command")


def hold(seconds: float) -> None:
    """Computes in one call of C code, which lets no other thread have the interpreter lock."""
    start = time.monotonic()
    sum(range(SAMPLE))
    taken = time.monotonic() - start
    sum(range(int(SAMPLE * seconds / taken)))


def read(file: str, seconds: float) -> None:
    """Reads page by page past the page cache."""
    until = time.monotonic() + seconds
    # A mapping of its own is aligned as `O_DIRECT` wants it.
    with mmap.mmap(-1, PAGE) as page:
        descriptor = os.open(file, os.O_RDONLY | os.O_DIRECT)
        offset = 0
        while time.monotonic() < until:
            offset = offset + PAGE if os.preadv(descriptor, [page], offset) else 0
        os.close(descriptor)


def touch(file: str, seconds: float) -> None:
    """Reads mapped pages that are not in the page cache."""
    until = time.monotonic() + seconds
    with open(file, "rb") as opened:
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as pages:
            pages.madvise(mmap.MADV_RANDOM)
            for offset in range(0, len(pages), PAGE):
                if time.monotonic() >= until:
                    return
                pages[offset]
