"""When gRPC's bytes crossed the kernel, from `libsocket_clock.so`, where that is preloaded.

Monotonic nanoseconds. Without it the times asked with are the answer: a lower bound of a send, an upper
bound of a receive.
"""

import ctypes
import time


def _function(name: str):
    try:
        function = getattr(ctypes.CDLL(None), name)
    except AttributeError:
        return lambda _: 0
    function.argtypes, function.restype = [ctypes.c_uint64], ctypes.c_uint64
    return function


_sent_since = _function("socket_clock_sent_since")
_received_until = _function("socket_clock_received_until")


def sent_since(handed_ns: int) -> int:
    """The send that carried what was handed over at `handed_ns`: the first one since."""
    return _sent_since(handed_ns) or handed_ns


def received() -> int:
    """The receive that brought what is known just now: the last one."""
    now_ns = time.monotonic_ns()
    return _received_until(now_ns) or now_ns
