"""What the two Python workers share: settings, sessions, models, audio. Thread-safe."""

import argparse
import array
import contextlib
import dataclasses
import math
import pathlib
import random
import threading
import time
from collections.abc import Iterator

import socket_clock
from faults import Faults
from truth import Truth

FRAME_NS = 20_000_000
FRAME_MS = 20
SAMPLE_RATE_HZ = 48_000
FRAME_SAMPLES = SAMPLE_RATE_HZ * FRAME_MS // 1000
WEIGHTS_PART = 1 << 20
BURST_FRAMES = 25
BURST_GAP_NS = (300_000, 500_000)


def arguments(description: str) -> argparse.Namespace:
    """The command line of a worker."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, default=7001, help="0 takes a free one")
    parser.add_argument("--adapter", default="tone")
    parser.add_argument("--mode", choices=("paced", "burst"), default="paced")
    parser.add_argument("--think-ms", type=float, default=40)
    parser.add_argument("--ms-per-character", type=int, default=60)
    parser.add_argument("--models", default="tone-small,tone-large,tone-multi")
    parser.add_argument("--load-ms", type=float, default=200)
    parser.add_argument(
        "--model-root",
        type=pathlib.Path,
        help="weights are read from <folder>/<model>/model.safetensors",
    )
    parser.add_argument("--resident-cap", type=int, default=2)
    parser.add_argument("--max-sessions", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=64, help="of the synchronous worker")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fault-socket", type=pathlib.Path, help="switches faults: see faults.py")
    parser.add_argument("--truth", help="file for what was done, one JSON object per line")
    return parser.parse_args()


def tone_frame(stream: int) -> bytes:
    """One frame of a tone with whole cycles, so that repeating it makes an unbroken tone."""
    hertz = 200 + 50 * (stream % 16)
    step = math.tau * hertz / SAMPLE_RATE_HZ
    samples = (int(math.sin(step * sample) * 16384) for sample in range(FRAME_SAMPLES))
    return array.array("h", samples).tobytes()


def peer_address(peer: str) -> str:
    """`ip:port` of gRPC's `ipv6:%5B::1%5D:1234`, IPv4 written as such."""
    address = peer.split(":", 1)[1] if ":" in peer else peer
    address = address.replace("%5B", "[").replace("%5D", "]")
    return address.replace("[::ffff:", "").replace("]", "") if "::ffff:" in address else address


@dataclasses.dataclass
class Session:
    """A running session and the commands in force for its streams."""

    name: str
    model: str
    paused: bool = False
    stops: int = 0


class Schedule:
    """When each frame of a stream is due, in monotonic nanoseconds."""

    def __init__(self, mode: str, seed: int) -> None:
        self.due_ns = 0
        self._burst = mode == "burst"
        self._random = random.Random(seed)

    def audio_ready(self, ready_ns: int) -> None:
        """No frame is due before; a schedule that has run dry goes on from there."""
        self.due_ns = max(self.due_ns, ready_ns)

    def advance(self) -> None:
        """The frame after this one is due an interval after this one was due."""
        self.due_ns += self._random.randint(*BURST_GAP_NS) if self._burst else FRAME_NS

    @property
    def frames_per_inference(self) -> int:
        """Most frames that one run of the model yields."""
        return BURST_FRAMES if self._burst else 1 << 62


@dataclasses.dataclass
class Load:
    """When a model's load began and ended, in monotonic nanoseconds."""

    start_ns: int
    end_ns: int = 0


class Worker:
    """The state of one worker process."""

    def __init__(self, settings: argparse.Namespace) -> None:
        self.settings = settings
        self.truth = Truth(settings.truth)
        self.faults = Faults(settings.fault_socket)
        self.known = settings.models.split(",")
        self.resident: dict[str, int] = {}
        self.sessions: dict[str, Session] = {}
        self.lock = threading.Lock()
        self._streams = 0
        self._controls = 0

    def next_stream(self) -> int:
        """Counts a Synthesize call; the first is 1."""
        with self.lock:
            self._streams += 1
            return self._streams

    def next_control(self) -> int:
        """Counts a Control call; the first is 1."""
        with self.lock:
            self._controls += 1
            return self._controls

    def think_s(self, chooser: random.Random) -> float:
        """How long one run of the model takes: a quarter more or less than set."""
        return self.settings.think_ms / 1000 * chooser.uniform(0.75, 1.25)

    def load_s(self) -> float:
        """How long a model load takes."""
        return self.settings.load_ms / 1000 + self.faults.slow_load_s

    def begin_load(self, model: str) -> str | None:
        """Makes room for a model and records its load's start; gives why it cannot be loaded."""
        with self.lock:
            if model not in self.known:
                return "unknown model"
            used = {session.model for session in self.sessions.values()}
            while len(self.resident) >= max(1, self.settings.resident_cap):
                free = [name for name in self.resident if name not in used]
                if not free:
                    return "every resident model is in use"
                oldest = min(free, key=self.resident.__getitem__)
                del self.resident[oldest]
                self.truth.record("model_unload", model=oldest, reason="lru_eviction")
        self.truth.record("model_load_start", model=model)
        return None

    @contextlib.contextmanager
    def load(self, model: str) -> Iterator[Load]:
        """A load: its weights are open meanwhile, and then read to their end."""
        load = Load(time.monotonic_ns())
        root = self.settings.model_root
        if root is None:
            yield load
            load.end_ns = time.monotonic_ns()
            return
        with (root / model / "model.safetensors").open("rb", buffering=0) as file:
            yield load
            while file.read(WEIGHTS_PART):
                pass
            load.end_ns = socket_clock.read(file)

    def end_load(self, model: str, load: Load) -> int:
        """Records that a model is resident; gives how long that took, in nanoseconds."""
        end_ns, start_ns = load.end_ns, load.start_ns
        with self.lock:
            self.resident[model] = end_ns
        duration_ns = end_ns - start_ns
        self.truth.record_at(end_ns, "model_load_end", model=model, duration_ns=duration_ns)
        return duration_ns

    def unload(self, model: str) -> str | None:
        """Unloads a model on request; gives why it cannot be."""
        with self.lock:
            if model not in self.resident:
                return "model is not loaded"
            if any(session.model == model for session in self.sessions.values()):
                return "model is in use"
            del self.resident[model]
        self.truth.record("model_unload", model=model, reason="manual")
        return None

    def start_session(self, name: str, model: str, peer: str) -> str | None:
        """Begins a session; gives why it cannot."""
        with self.lock:
            if not name:
                return "session_id is empty"
            if name in self.sessions:
                return "session already started"
            if len(self.sessions) >= self.settings.max_sessions:
                return "too many sessions"
            self.sessions[name] = Session(name, model)
            self.resident[model] = time.monotonic_ns()
        self.truth.record("session_start", session=name, model=model, peer=peer)
        return None

    def end_session(self, name: str) -> bool:
        """Ends a session and its streams."""
        with self.lock:
            session = self.sessions.pop(name, None)
            if session is None:
                return False
            session.paused, session.stops = False, session.stops + 1
        self.truth.record("session_end", session=name)
        return True

    def command(self, name: str, command: str) -> bool:
        """Puts PAUSE, RESUME or STOP in force; gives whether the session exists."""
        with self.lock:
            session = self.sessions.get(name)
            if session is None:
                return False
            if command == "PAUSE":
                session.paused = True
            elif command == "RESUME":
                session.paused = False
            elif command == "STOP":
                session.paused, session.stops = False, session.stops + 1
        return True


class StreamState:
    """One Synthesize call: its frames' numbers, and the commands that have reached it."""

    def __init__(self, worker: Worker, number: int, session: Session) -> None:
        self.worker = worker
        self.number = number
        self.session = session
        self.schedule = Schedule(worker.settings.mode, worker.settings.seed ^ number)
        self.random = random.Random(worker.settings.seed ^ number)
        self.audio = tone_frame(number)
        self.sequence = 0
        self.frames = 0
        self.reason = "cancelled"
        self._stops = session.stops
        self._paused = False
        self._resuming = False

    def obey(self) -> str:
        """Notes new commands and says what to do: `go`, `hold` or `stop`."""
        if self.session.stops > self._stops:
            self._record_effect("STOP", self.sequence)
            self.reason = "stopped"
            return "stop"
        if self.session.paused != self._paused:
            self._paused = self.session.paused
            self._resuming = not self._paused
            if self._paused:
                self._record_effect("PAUSE", self.sequence)
            else:
                self.schedule.audio_ready(time.monotonic_ns())
        return "hold" if self._paused else "go"

    def next_frame(self, messages, is_final: bool, empty: bool = False):
        """Makes the next frame and records that it is handed over."""
        self.worker.faults.before_frame()
        if self._resuming:
            self._resuming = False
            self._record_effect("RESUME", self.sequence)
        self.sequence += 1
        audio = b"" if empty else self.audio
        frame = messages.AudioFrame(
            session_id=self.session.name,
            audio_data=audio,
            sample_rate=SAMPLE_RATE_HZ,
            frame_duration_ms=FRAME_MS,
            sequence_number=self.sequence,
            is_final=is_final,
        )
        self.frames += not empty
        if is_final:
            self.reason = "finished"
        self.worker.truth.record_sent(
            frame,
            "frame",
            stream=self.number,
            session=self.session.name,
            sequence=self.sequence,
            bytes=len(audio),
            is_final=is_final,
        )
        return frame

    def record_text(self, chunk) -> None:
        """Records a chunk that was received."""
        self.worker.truth.record_received(
            chunk,
            "text",
            stream=self.number,
            session=chunk.session_id,
            sequence=chunk.sequence_number,
            characters=len(chunk.text),
            is_final=chunk.is_final,
        )

    def audio_runs(self, chunk):
        """The model runs that a chunk needs, as pairs of frames and whether they are the last."""
        wanted = -(-len(chunk.text) * self.worker.settings.ms_per_character // FRAME_MS)
        while True:
            frames = min(wanted, self.schedule.frames_per_inference)
            wanted -= frames
            yield frames, chunk.is_final and wanted == 0
            if wanted == 0:
                return

    def record_end(self) -> None:
        """Records the end of the call."""
        self.worker.truth.record(
            "stream_end",
            stream=self.number,
            session=self.session.name,
            reason=self.reason,
            frames=self.frames,
        )

    def _record_effect(self, command: str, last_sequence: int) -> None:
        self.worker.truth.record(
            "control_effective",
            stream=self.number,
            session=self.session.name,
            command=command,
            last_sequence=last_sequence,
        )
