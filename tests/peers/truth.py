"""What a peer did, and when: the truth files of the voicelab, written from Python.

One JSON object per line with `t_ns` (`CLOCK_MONOTONIC`, nanoseconds), `event` and its fields. The
events and their fields are those of `voicelab::truth::Event`.
"""

import collections
import json
import threading
import time

import socket_clock

FLUSH_INTERVAL_S = 0.5
# Until what was handed to gRPC is sent, unless flow control holds it back.
SENDING_NS = 100_000_000


class Truth:
    """Collects events and writes them from a thread of its own."""

    def __init__(self, path: str | None) -> None:
        self._file = open(path, "w", encoding="utf-8") if path else None
        self._pending: list[tuple[int, str, dict]] = []
        self._handed: list[tuple[int, object, str, dict]] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._counts: dict = {
            "frames": 0,
            "frames_by_session": collections.Counter(),
            "end_markers": 0,
            "synthesis_requests": 0,
            "control_commands": collections.Counter(),
            "sessions_started": 0,
            "sessions_ended": 0,
            "stream_ends": collections.Counter(),
            "model_loads": collections.Counter(),
            "model_unloads": collections.Counter(),
            "calls": collections.Counter(),
            "failed_calls": 0,
            "refused_calls": 0,
            "sequence_gaps": 0,
            "cancelled": 0,
        }
        self._writer = threading.Thread(target=self._write, name="truth", daemon=True)
        self._writer.start()

    def record(self, event: str, **fields) -> None:
        """Records an event that happens now."""
        self.record_at(time.monotonic_ns(), event, **fields)

    def record_at(self, t_ns: int, event: str, **fields) -> None:
        """Records an event whose time was read before."""
        with self._lock:
            self._pending.append((t_ns, event, fields))

    def record_received(self, message, event: str, **fields) -> None:
        """Records an event that a message which gRPC has received is."""
        self.record_at(socket_clock.received(message), event, **fields)

    def record_sent(self, message, event: str, **fields) -> None:
        """Records an event that a message which is now handed to gRPC is, once it is sent."""
        with self._lock:
            self._handed.append((time.monotonic_ns(), message, event, fields))

    def count_gaps(self, gaps: int) -> None:
        """Adds sequence numbers that a client found missing."""
        with self._lock:
            self._counts["sequence_gaps"] += gaps

    def finish(self) -> str:
        """Writes what is pending and gives the counts as one line of JSON."""
        self._closing.set()
        self._writer.join()
        if self._file:
            self._file.close()
        return json.dumps(self._counts)

    def _write(self) -> None:
        while True:
            closing = self._closing.wait(FLUSH_INTERVAL_S)
            with self._lock:
                pending, self._pending = self._pending, []
                pending += self._take_sent(closing)
            for t_ns, event, fields in pending:
                self._count(event, fields)
                if self._file:
                    line = {"t_ns": t_ns, "event": event}
                    line.update((key, value) for key, value in fields.items() if value is not None)
                    self._file.write(json.dumps(line, separators=(",", ":")) + "\n")
            if self._file:
                self._file.flush()
            if closing:
                return

    def _take_sent(self, closing: bool) -> list[tuple[int, str, dict]]:
        """What was handed over long enough ago to be sent, with the times of the sends."""
        until_ns = time.monotonic_ns() - (0 if closing else SENDING_NS)
        sent = [event for event in self._handed if event[0] <= until_ns]
        self._handed = [event for event in self._handed if event[0] > until_ns]
        return [
            (socket_clock.sent_since(at_ns, message), *event) for at_ns, message, *event in sent
        ]

    def _count(self, event: str, fields: dict) -> None:
        counts = self._counts
        if event in ("request", "call_start"):
            counts["calls"][fields["method"]] += 1
            counts["synthesis_requests"] += fields["method"] == "Synthesize"
        elif event in ("frame", "frame_received"):
            if fields["bytes"] == 0:
                counts["end_markers"] += 1
            else:
                counts["frames"] += 1
                counts["frames_by_session"][fields["session"]] += 1
        elif event in ("control_received", "control_sent"):
            counts["control_commands"][fields["command"]] += 1
        elif event == "session_start":
            counts["sessions_started"] += 1
        elif event == "session_end":
            counts["sessions_ended"] += 1
        elif event == "stream_end":
            counts["stream_ends"][fields["reason"]] += 1
        elif event == "model_load_end":
            counts["model_loads"][fields["model"]] += 1
        elif event == "model_unload":
            counts["model_unloads"][fields["reason"]] += 1
        elif event == "cancelled":
            counts["cancelled"] += 1
        elif event == "call_end":
            if fields["status"] != 0:
                counts["failed_calls"] += 1
            elif not fields["success"]:
                counts["refused_calls"] += 1
            elif fields["method"] == "StartSession":
                counts["sessions_started"] += 1
            elif fields["method"] == "EndSession":
                counts["sessions_ended"] += 1
