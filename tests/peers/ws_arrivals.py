"""When a WebSocket client's messages were received, each by its last byte.

A library hands a message over when its turn comes: what is received meanwhile must not count for it.
"""

import collections
import time

HEAD_END = b"\r\n\r\n"
# No client's frame begins like a request: RSV1 is for data frames alone (RFC 6455, 5.2).
REQUEST = b"GET "


class Arrivals:
    """The frames in one direction of a connection, as far as their lengths (RFC 6455, 5.2)."""

    def __init__(self) -> None:
        self.last_ns = time.monotonic_ns()
        self.messages: collections.deque[int] = collections.deque()
        self._bytes = bytearray()
        self._payload = 0
        self._ends = False

    def take(self, data: bytes) -> None:
        """Takes bytes that are received now."""
        self.last_ns = time.monotonic_ns()
        self._bytes += data
        while self._step():
            pass

    def _step(self) -> bool:
        """Passes over a head, a frame's header or some of its payload."""
        pending = self._bytes
        if not pending:
            return False
        if self._payload:
            passed = min(self._payload, len(pending))
            self._payload -= passed
        elif REQUEST.startswith(pending[: len(REQUEST)]):
            passed = pending.find(HEAD_END) + len(HEAD_END)
            if passed < len(HEAD_END):
                return False
        else:
            passed = self._header()
        if passed == 0:
            return False
        del pending[:passed]
        if self._ends and not self._payload:
            self._ends = False
            self.messages.append(self.last_ns)
        return True

    def _header(self) -> int:
        """Reads a frame's header; gives its length, 0 when it is not all there."""
        pending = self._bytes
        if len(pending) < 2:
            return 0
        length, masked = pending[1] & 0x7F, pending[1] & 0x80
        extended = {126: 2, 127: 8}.get(length, 0)
        header = 2 + extended + (4 if masked else 0)
        if len(pending) < header:
            return 0
        if extended:
            length = int.from_bytes(pending[2 : 2 + extended], "big")
        self._payload = length
        # A control frame may stand within a message, and is none.
        self._ends = bool(pending[0] & 0x80) and pending[0] & 0x0F < 8
        return header
