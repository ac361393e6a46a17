"""When gRPC's bytes and a file's crossed the kernel, from `libsocket_clock.so`, where that is preloaded.

Monotonic nanoseconds. A message is found by its bytes. Without the library, and for a message that it
does not find, the time asked with or at is the answer: a lower bound of a send, an upper bound of a
receive.
"""

import ctypes
import time

# A compression flag and a length stand before a message (gRPC over HTTP/2).
PREFIX = 5

# An RST_STREAM frame's length, type and flags (RFC 9113, 4.1 and 6.4).
RESET = b"\x00\x00\x04\x03\x00"


def _function(name: str, *arguments):
    try:
        function = getattr(ctypes.CDLL(None), name)
    except AttributeError:
        return lambda *_: 0
    function.argtypes, function.restype = arguments, ctypes.c_uint64
    return function


_BYTES = (ctypes.c_char_p, ctypes.c_size_t)
_sent_since = _function("socket_clock_sent_since", ctypes.c_uint64, *_BYTES)
_called_since = _function("socket_clock_called_since", ctypes.c_uint64, *_BYTES)
_read = _function("socket_clock_read", ctypes.c_int)
_received = _function("socket_clock_received", *_BYTES)


def framed(message) -> bytes:
    """A message as gRPC writes it: not compressed, its length before it."""
    serialized = message.SerializeToString()
    return b"\x00" + len(serialized).to_bytes(4, "big") + serialized


def sent_since(handed_ns: int, message) -> int:
    """The send that carried a message handed over at `handed_ns`."""
    wanted = framed(message)
    return _sent_since(handed_ns, wanted, len(wanted)) or handed_ns


def called_since(handed_ns: int, message) -> int:
    """The send that began a call which was made at `handed_ns`, with this as its first message."""
    wanted = framed(message)
    return _called_since(handed_ns, wanted, len(wanted)) or handed_ns


def reset_since(handed_ns: int) -> int:
    """The send that reset a stream that was cancelled at `handed_ns`."""
    return _sent_since(handed_ns, RESET, len(RESET)) or handed_ns


def received(message) -> int:
    """The receive that brought a message's end."""
    wanted = framed(message)
    # An empty message's bytes are found anywhere.
    found = len(wanted) > PREFIX and _received(wanted, len(wanted))
    return found or time.monotonic_ns()


def read(file) -> int:
    """The last read of a file that has just been read."""
    return _read(file.fileno()) or time.monotonic_ns()
