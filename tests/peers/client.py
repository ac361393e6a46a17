"""A `tts` client on grpc.aio that drives sessions, with controls and resets.

    python client.py --target localhost:7001 --sessions 8 --utterances 3 --controls
"""

import argparse
import asyncio
import itertools
import random
import time

import grpc

from stubs import messages, service
from truth import Truth

WORDS = ("hello", "listen", "river", "morning", "seven", "window", "quiet", "number")

# Frames received before the client acts on a stream: 100 to 400 ms into the audio.
ACT_AFTER_FRAMES = (5, 20)

# The model that is loaded and unloaded between the sessions: the last that a worker lists.
INSPECTED = "tone-multi"

ACTS = ("pause", "stop", "listen", "barge_in", "reload")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Drives sessions against a tts worker.")
    parser.add_argument("--target", required=True)
    parser.add_argument("--sessions", type=int, default=1)
    parser.add_argument("--utterances", type=int, default=1)
    parser.add_argument(
        "--duration", type=float, help="begin utterances for this many seconds instead"
    )
    parser.add_argument(
        "--renew", type=int, help="a session ends after so many utterances and another begins"
    )
    parser.add_argument("--idle-ms", type=float, default=0, help="longest pause before an utterance")
    parser.add_argument(
        "--inspect-every-ms", type=float, help="list, load and unload models, so far apart"
    )
    parser.add_argument("--text-length", type=int, default=40)
    parser.add_argument("--chunk-length", type=int, default=12)
    parser.add_argument("--chunk-interval-ms", type=float, default=150)
    parser.add_argument("--connection-per-session", action="store_true")
    parser.add_argument("--controls", action="store_true")
    parser.add_argument("--pause-hold-ms", type=float, default=300)
    parser.add_argument("--cancel-every", type=int, default=0)
    parser.add_argument("--models", default="")
    parser.add_argument("--session-prefix", default="peer")
    parser.add_argument("--ramp-ms", type=float, default=7)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--truth", help="file for what was done, one JSON object per line")
    return parser.parse_args()


class Session:
    """A place for one session at a time: its calls one after the other."""

    def __init__(self, settings, number: int, channel, truth: Truth, calls) -> None:
        self.settings = settings
        self.number = number
        self.name = f"{settings.session_prefix}-{number}"
        self.spoken = 0
        self.end_s = None if settings.duration is None else time.monotonic() + settings.duration
        self.stub = service.TTSServiceStub(channel)
        self.truth = truth
        self.calls = calls

    async def call(self, method: str, request, **sent) -> bool:
        """Makes a unary call; gives whether it succeeded."""
        call = self.started(method)
        if sent:
            self.truth.record("control_sent", call=call, session=self.name, **sent)
        status, success = 0, False
        try:
            answer = await getattr(self.stub, method)(request)
            success = getattr(answer, "success", True)
        except grpc.aio.AioRpcError as error:
            status = error.code().value[0]
        self.ended(call, method, status, success)
        return success

    def started(self, method: str) -> int:
        call = next(self.calls)
        self.truth.record("call_start", call=call, method=method, session=self.name)
        return call

    def ended(self, call: int, method: str, status: int, success: bool) -> None:
        fields = {"method": method, "session": self.name, "status": status, "success": success}
        self.truth.record("call_end", call=call, **fields)

    async def run(self, models: list[str]) -> None:
        """Runs its sessions, each with the next model."""
        name = self.name
        for number in itertools.count():
            self.name = f"{name}-{number}" if number else name
            await self.hold(models[(self.number + number) % len(models)])
            if self.settings.renew is None or not self.goes_on():
                return

    def goes_on(self) -> bool:
        """Whether another utterance begins."""
        if self.end_s is None:
            return self.spoken < self.settings.utterances
        return time.monotonic() < self.end_s

    async def hold(self, model: str) -> None:
        """One session."""
        request = messages.StartSessionRequest(session_id=self.name, model_id=model)
        if not await self.call("StartSession", request):
            return
        first = self.spoken
        while self.goes_on() and self.spoken - first != self.settings.renew:
            await self.speak(self.spoken)
            self.spoken += 1
        await self.call("EndSession", messages.EndSessionRequest(session_id=self.name))

    async def inspect(self, model: str) -> None:
        """Lists, loads and unloads models again and again."""
        self.name = ""
        while True:
            await asyncio.sleep(self.settings.inspect_every_ms / 1000)
            if not self.goes_on():
                return
            await self.call("ListModels", messages.ListModelsRequest())
            request = messages.LoadModelRequest(model_id=model, preload_only=True)
            await self.call("LoadModel", request)
            await self.call("UnloadModel", messages.UnloadModelRequest(model_id=model))
            await self.call("GetCapabilities", messages.GetCapabilitiesRequest())

    def act(self, index: int) -> str:
        every = self.settings.cancel_every
        if every and (index + 1) % every == 0:
            return "cancel"
        if not self.settings.controls:
            return "listen"
        return ACTS[(self.number + index) % len(ACTS)]

    async def speak(self, index: int) -> None:
        """Speaks one utterance and listens until its stream ends or is let go."""
        chooser = random.Random(f"{self.settings.seed}/{self.number}/{index}")
        act, after = self.act(index), chooser.randint(*ACT_AFTER_FRAMES)
        await asyncio.sleep(self.settings.idle_ms / 1000 * chooser.random())
        call = self.started("Synthesize")
        stream = self.stub.Synthesize(self.text(call, chooser))
        last, acting = 0, None
        status = 0
        try:
            async for frame in stream:
                self.truth.record(
                    "frame_received",
                    call=call,
                    session=self.name,
                    sequence=frame.sequence_number,
                    bytes=len(frame.audio_data),
                    is_final=frame.is_final,
                )
                self.truth.count_gaps(max(0, frame.sequence_number - last - 1))
                last = frame.sequence_number
                if last >= after and act == "cancel":
                    self.truth.record("cancelled", call=call, session=self.name)
                    stream.cancel()
                    return
                if last >= after and acting is None:
                    acting = asyncio.create_task(self.control(act, last))
        except grpc.aio.AioRpcError as error:
            status = error.code().value[0]
        self.ended(call, "Synthesize", status, True)
        if acting is not None:
            await acting

    async def control(self, act: str, last: int) -> None:
        """Sends the commands of an act."""
        commands = {
            "pause": ("PAUSE", "RESUME"),
            "stop": ("STOP",),
            "barge_in": ("PAUSE", "STOP"),
            "reload": ("RELOAD",),
        }.get(act, ())
        for command in commands:
            if command == "RESUME":
                await asyncio.sleep(self.settings.pause_hold_ms / 1000)
            request = messages.ControlRequest(
                session_id=self.name, command=messages.ControlCommand.Value(command)
            )
            await self.call("Control", request, command=command, after_sequence=last)

    async def text(self, call: int, chooser: random.Random):
        """The chunks of an utterance at a human rate."""
        length, size = self.settings.text_length, max(1, self.settings.chunk_length)
        words = itertools.repeat(lambda: chooser.choice(WORDS) + " ", length)
        text = "".join(word() for word in words)[:length]
        parts = [text[at : at + size] for at in range(0, length, size)] or [""]
        for number, part in enumerate(parts, start=1):
            if number > 1:
                interval_s = self.settings.chunk_interval_ms / 1000
                await asyncio.sleep(interval_s * chooser.uniform(2 / 3, 4 / 3))
            fields = {"sequence": number, "characters": len(part), "is_final": number == len(parts)}
            self.truth.record("text_sent", call=call, session=self.name, **fields)
            yield messages.TextChunk(
                session_id=self.name,
                text=part,
                is_final=fields["is_final"],
                sequence_number=number,
            )


def connect(target: str, number: int):
    """A channel of its own: gRPC shares connections between channels with equal arguments."""
    return grpc.aio.insecure_channel(target, options=[("voxprobe.channel", number)])


async def main() -> None:
    settings = arguments()
    truth = Truth(settings.truth)
    calls = itertools.count(1)
    models = settings.models.split(",")
    channels = [connect(settings.target, 0)]
    running = []
    for number in range(settings.sessions):
        if settings.connection_per_session and number > 0:
            channels.append(connect(settings.target, number))
        session = Session(settings, number, channels[-1], truth, calls)
        running.append(asyncio.create_task(session.run(models)))
        await asyncio.sleep(settings.ramp_ms / 1000)
    if settings.inspect_every_ms is not None:
        inspector = Session(settings, settings.sessions, channels[0], truth, calls)
        running.append(asyncio.create_task(inspector.inspect(INSPECTED)))
    await asyncio.gather(*running)
    for channel in channels:
        await channel.close()
    print(truth.finish(), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
