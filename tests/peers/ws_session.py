"""One session of the Python orchestrator."""

import asyncio
import base64
import json
import time
import urllib.parse

import grpc

import socket_clock
from stubs import messages
from ws_servers import Ended

KINDS = {"text": "TextChunk", "control": "Control"}
SENT = {
    "session_start": "SessionStarted",
    "audio": "AudioFrame",
    "session_end": "SessionEnded",
    "error": "Error",
}


class Utterance:
    """A running Synthesize call and the text on its way to it."""

    def __init__(self, number: int, call: int) -> None:
        self.number, self.call = number, call
        self.texts: asyncio.Queue = asyncio.Queue()
        self.complete, self.stopped = False, False
        self.last_audio_ns = None
        self.task, self.stream, self.called_ns = None, None, None


class Session:
    """A client's session: messages are handled in order, audio is forwarded as it comes."""

    def __init__(self, orchestrator, socket, connection: int, name: str) -> None:
        self.orchestrator, self.socket = orchestrator, socket
        self.connection, self.name = connection, name
        self.settings, self.truth = orchestrator.settings, orchestrator.truth
        query = urllib.parse.urlsplit(socket.path).query
        self.model = dict(urllib.parse.parse_qsl(query)).get("model", self.settings.model)
        self.worker, self.stub, self.started = None, None, False
        self.playing: Utterance | None = None
        self.utterances, self.text_number = 0, 0
        self.held: dict | None = None
        # A command is on its way to the worker; what its answer is awaited for.
        self.telling, self.unsettled = False, None
        # The message that the next call is made for: its kind, and when it was received.
        self.causing: tuple[str, int] | None = None
        # When the last unary call was sent.
        self.sent_ns: int | None = None
        self.orders: asyncio.Queue = asyncio.Queue()
        self.arrived: asyncio.Queue = asyncio.Queue()
        self.busy_ns = time.monotonic_ns()

    def record(self, event: str, **fields) -> None:
        self.truth.record(event, connection=self.connection, **fields)

    def record_at(self, at_ns: int, event: str, **fields) -> None:
        self.truth.record_at(at_ns, event, connection=self.connection, **fields)

    def order(self, order: str) -> None:
        """Asks for an end by the server: `close`, `end` or `shutdown`."""
        self.orders.put_nowait(order)

    async def run(self) -> None:
        deflate = not self.settings.no_deflate
        self.record_at(
            self.socket.answered_ns,
            "upgraded",
            peer=self.socket.peer,
            requested_ns=self.socket.requested_ns,
            deflate=deflate,
        )
        arriving = asyncio.create_task(self.take_in())
        try:
            sent_ns = await self.say("session_start", session_id=self.name)
            self.record_at(
                sent_ns, "session_opened", transport="websocket", session=self.name
            )
            await self.find_voice()
            await self.converse()
        except Ended as over:
            self.record("session_closed", reason=over.reason, way=over.way)
        except ConnectionError:
            self.record("session_closed", reason="client_disconnect", way="client_gone")
        arriving.cancel()
        await self.leave()

    async def take_in(self) -> None:
        """Takes messages as they come, so that their times do not depend on those before them."""
        try:
            while True:
                message = await self.socket.receive()
                self.busy_ns = self.socket.received_ns()
                self.arrived.put_nowait((message, self.busy_ns))
        except (Ended, ConnectionError) as over:
            self.arrived.put_nowait((over, time.monotonic_ns()))

    async def converse(self) -> None:
        receiving = asyncio.create_task(self.receive_all())
        ordered = asyncio.create_task(self.orders.get())
        idling = asyncio.create_task(self.idle())
        done, rest = await asyncio.wait(
            (receiving, ordered, idling), return_when=asyncio.FIRST_COMPLETED
        )
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        if receiving in done:
            receiving.result()
        await self.end_by_server("idle" if idling in done else ordered.result())

    async def idle(self) -> None:
        limit_ns = self.settings.idle_timeout_ms * 1e6
        while not limit_ns or time.monotonic_ns() - self.busy_ns < limit_ns:
            await asyncio.sleep(0.02)

    async def end_by_server(self, order: str) -> None:
        reason, way, code = {
            "close": ("normal", "server_close", 1000),
            "end": ("normal", "session_end", 1000),
            "idle": ("timeout", "idle_timeout", 1000),
            "shutdown": ("normal", "shutdown", 1001),
        }[order]
        if order in ("end", "idle"):
            said = "timeout" if order == "idle" else "ended"
            at_ns = await self.say("session_end", session_id=self.name, reason=said)
        else:
            at_ns = time.monotonic_ns()
        self.record_at(at_ns, "session_closed", reason=reason, way=way)
        await self.socket.close(code)

    async def receive_all(self) -> None:
        while True:
            message, at_ns = await self.arrived.get()
            if isinstance(message, Exception):
                raise message
            await self.handle(message, at_ns)

    async def handle(self, message, at_ns: int) -> None:
        parsed = parse(message)
        kind = KINDS.get(parsed.get("type"), "other")
        demanded, self.orchestrator.error = self.orchestrator.error, None
        utterance = self.next_utterance() if kind == "TextChunk" and not demanded else None
        self.record_at(at_ns, "message_received", kind=kind, utterance=utterance)
        if demanded or (kind == "other" and not isinstance(message, bytes)):
            error_type = {"WORKER_UNAVAILABLE": "worker_unavailable"}.get(demanded, "internal")
            sent_ns = await self.say_error(demanded or "INVALID_MESSAGE", error_type)
            self.handled(kind, at_ns, sent_ns)
        elif kind == "TextChunk":
            await self.speak(parsed["text"], parsed["is_final"], at_ns)
        elif kind == "Control":
            await self.control(parsed["command"], at_ns)

    def handled(self, kind: str, received_ns: int, sent_ns: int) -> None:
        self.record_at(sent_ns, "message_handled", kind=kind, received_ns=received_ns)

    async def say(self, message_type: str, utterance=None, sequence=None, **fields) -> int:
        """Sends a message; gives when."""
        if sequence is not None:
            fields["sequence"] = sequence
        text = json.dumps({"type": message_type, **fields})
        sent_ns = time.monotonic_ns()
        await self.socket.send(text)
        self.record_at(
            sent_ns,
            "message_sent",
            kind=SENT[message_type],
            utterance=utterance,
            sequence=sequence,
        )
        return sent_ns

    async def say_error(self, code: str, error_type: str, status=None) -> int:
        sent_ns = await self.say("error", message=error_type.replace("_", " "), code=code)
        self.record_at(
            sent_ns, "session_error", error_type=error_type, code=code, status=status
        )
        return sent_ns

    async def call(self, method: str, request, on_status=None):
        """Makes a unary call; gives its answer, or None."""
        call = next(self.orchestrator.calls)
        causing, self.causing = self.causing, None
        handed_ns = time.monotonic_ns()
        self.sent_ns = None
        self.truth.record("call_start", call=call, method=method, session=self.name)
        if method == "Control":
            command = messages.ControlCommand.Name(request.command)
            fields = {"call": call, "session": self.name, "command": command}
            self.truth.record("control_sent", **fields, after_sequence=0)
        status, answer = 0, None
        try:
            answer = await getattr(self.stub, method)(request)
        except grpc.aio.AioRpcError as error:
            status = error.code().value[0]
            if on_status:
                on_status(status)
        self.sent_ns = socket_clock.called_since(handed_ns, request)
        if causing:
            self.handled(*causing, self.sent_ns)
        self.truth.record(
            "call_end",
            call=call,
            method=method,
            session=self.name,
            status=status,
            success=bool(answer and answer.success),
        )
        return answer

    async def find_voice(self) -> bool:
        """Starts the session at a worker unless it is started."""
        if self.started:
            return True
        self.worker = next(self.orchestrator.turns)
        self.stub = self.orchestrator.stubs[self.worker]
        if self.orchestrator.registry:
            await self.orchestrator.registry.remember(self.name, self.worker)
        self.record("session_model", model=self.model)
        failed: list[int] = []
        request = messages.StartSessionRequest(session_id=self.name, model_id=self.model)
        answer = await self.call("StartSession", request, failed.append)
        if answer is None:
            await self.say_failure(failed[0])
        elif not answer.success:
            await self.say_error("SYNTHESIS_FAILED", "model_not_found", 0)
        else:
            self.started = True
        return self.started

    async def say_failure(self, status: int) -> None:
        error_type = {14: "worker_unavailable", 4: "timeout"}.get(status, "internal")
        code = "WORKER_UNAVAILABLE" if status == 14 else "SYNTHESIS_FAILED"
        await self.say_error(code, error_type, status)

    def next_utterance(self) -> int:
        """The number of the utterance that the next text belongs to."""
        if self.playing and not self.playing.complete and not self.held:
            return self.playing.number
        return self.utterances + 1

    async def speak(self, text: str, is_final: bool, at_ns: int | None) -> None:
        number = self.next_utterance()
        continues = number == self.utterances
        if (not continues and self.playing) or not self.started:
            # The interruption, or the start of the session, is what the message causes first.
            self.causing, at_ns = ("TextChunk", at_ns), None
        if not continues and self.playing:
            await self.interrupt("grpc", None)
        if not await self.find_voice():
            return
        if not continues:
            self.utterances, self.text_number, self.held = number, 0, None
            self.playing = Utterance(number, next(self.orchestrator.calls))
            self.truth.record(
                "call_start", call=self.playing.call, method="Synthesize", session=self.name
            )
            self.record(
                "utterance_started",
                utterance=number,
                call=self.playing.call,
                worker=self.worker,
            )
            self.playing.task = asyncio.create_task(self.play(self.playing))
        self.text_number += 1
        self.playing.complete |= is_final
        chunk = messages.TextChunk(
            session_id=self.name, text=text, is_final=is_final, sequence_number=self.text_number
        )
        self.playing.texts.put_nowait((chunk, at_ns))

    async def texts(self, utterance: Utterance):
        while True:
            chunk, received_ns = await utterance.texts.get()
            handed_ns = time.monotonic_ns()
            yield chunk
            # The library asks for more once it has written.
            if received_ns is not None:
                if chunk.sequence_number == 1:
                    sent_ns = socket_clock.called_since(utterance.called_ns, chunk)
                else:
                    sent_ns = socket_clock.sent_since(handed_ns, chunk)
                self.handled("TextChunk", received_ns, sent_ns)
            if chunk.is_final:
                return

    async def play(self, utterance: Utterance) -> None:
        """Reads one call's frames and forwards them."""
        status, number = 0, utterance.number
        utterance.called_ns = time.monotonic_ns()
        utterance.stream = self.stub.Synthesize(self.texts(utterance))
        try:
            async for frame in utterance.stream:
                if frame.audio_data:
                    await self.forward(utterance, frame)
        except grpc.aio.AioRpcError as error:
            status = error.code().value[0]
        except (ConnectionError, Ended, RuntimeError):
            # The client is gone; whoever receives from it says so.
            return
        self.truth.record(
            "call_end",
            call=utterance.call,
            method="Synthesize",
            session=self.name,
            status=status,
            success=True,
        )
        self.settle(utterance)
        reason = "interrupted" if utterance.stopped else "failed" if status else "finished"
        self.record("utterance_ended", utterance=number, reason=reason)
        if self.playing is utterance:
            self.playing = None
        if status and not utterance.stopped:
            await self.say_failure(status)

    async def forward(self, utterance: Utterance, frame) -> None:
        utterance.last_audio_ns = socket_clock.received(frame)
        fields = {"utterance": utterance.number, "sequence": frame.sequence_number}
        self.record_at(utterance.last_audio_ns, "audio_received", **fields)
        if self.held is not None:
            self.record("audio_dropped", **fields, reason="pause")
        elif self.orchestrator.drops > 0:
            self.orchestrator.drops -= 1
            self.record("audio_dropped", **fields, reason="backpressure")
        else:
            self.busy_ns = utterance.last_audio_ns
            try:
                await self.say(
                    "audio",
                    **fields,
                    pcm=base64.b64encode(frame.audio_data).decode(),
                    sample_rate=frame.sample_rate,
                    frame_ms=frame.frame_duration_ms,
                )
            except Exception:
                self.record("audio_dropped", **fields, reason="error")
                raise

    async def control(self, command: str, at_ns: int) -> None:
        if not self.started:
            return
        self.causing = ("Control", at_ns)
        if command == "STOP":
            await self.interrupt("control", at_ns)
        elif command == "PAUSE":
            if self.playing and self.held is None:
                self.held = {"trigger": "control", "trigger_ns": at_ns}
            await self.tell("PAUSE")
        elif command == "RESUME":
            if self.playing:
                self.settle(self.playing)
            await self.tell("RESUME")

    async def tell(self, command: str) -> None:
        """Sends a command to the worker."""
        request = messages.ControlRequest(
            session_id=self.name, command=messages.ControlCommand.Value(command)
        )
        self.telling = True
        answer = await self.call("Control", request)
        self.telling = False
        if answer is not None and self.held is not None and command != "RESUME":
            self.held["answered_ns"] = socket_clock.received(answer)
        unsettled, self.unsettled = self.unsettled, None
        if unsettled:
            self.settle(unsettled)

    async def interrupt(self, trigger: str, trigger_ns: int | None) -> None:
        """Ends what plays before its time."""
        playing = self.playing
        if playing and self.held is None:
            at_ns = trigger_ns or time.monotonic_ns()
            self.held = {"trigger": trigger, "trigger_ns": at_ns}
        if playing:
            playing.stopped = True
        if self.settings.barge_in == "control":
            if not self.held or "answered_ns" not in self.held:
                await self.tell("PAUSE")
                if trigger_ns is None and self.held and self.held["trigger"] == trigger:
                    self.held["trigger_ns"] = self.sent_ns
            await self.tell("STOP")
        elif playing:
            causing, self.causing = self.causing, None
            handed_ns = time.monotonic_ns()
            self.truth.record("cancelled", call=playing.call, session=self.name)
            playing.stream.cancel()
            playing.task.cancel()
            await asyncio.gather(playing.task, return_exceptions=True)
            if causing:
                self.handled(*causing, socket_clock.reset_since(handed_ns))
            self.settle(playing)
            self.record("utterance_ended", utterance=playing.number, reason="interrupted")
            self.playing = None
        if playing and self.playing:
            await playing.task

    def settle(self, utterance: Utterance) -> None:
        """Ends the interruption in force, once the worker's answer is there."""
        if self.telling:
            self.unsettled = utterance
            return
        held, self.held = self.held, None
        if held:
            self.record(
                "barge_in",
                utterance=utterance.number,
                last_audio_ns=utterance.last_audio_ns,
                **held,
            )

    async def leave(self) -> None:
        """Lets go of the worker."""
        if self.playing and self.playing.task:
            playing, self.playing = self.playing, None
            self.truth.record("cancelled", call=playing.call, session=self.name)
            if playing.stream:
                playing.stream.cancel()
            playing.task.cancel()
            await asyncio.gather(playing.task, return_exceptions=True)
            self.settle(playing)
            self.record("utterance_ended", utterance=playing.number, reason="abandoned")
        if self.started:
            await self.call("EndSession", messages.EndSessionRequest(session_id=self.name))
        self.socket.forget()
        self.record("connection_closed")


def parse(message) -> dict:
    """A client's message; empty if it is none."""
    try:
        parsed = json.loads(message) if isinstance(message, str) else {}
    except ValueError:
        return {}
    match parsed:
        case {"type": "text", "text": str(), "is_final": bool()}:
            return parsed
        case {"type": "control", "command": "PAUSE" | "RESUME" | "STOP"}:
            return parsed
    return {}
