"""The `tts` worker on grpc.aio: one event loop, one task per running call.

    python worker_aio.py --port 7001 --adapter NAME --truth FILE
"""

import asyncio
import os
import signal
import time

import grpc

import answers
from stubs import messages, service
from worker_state import StreamState, Worker, arguments, peer_address

# How often a held stream looks for the command that lets it go.
HOLD_S = 0.002

# How often a stream that waits for text looks for commands.
IDLE_S = 0.01


class Service(service.TTSServiceServicer):
    """The eight methods."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.loading = asyncio.Lock()

    async def load_alone(self, model: str) -> tuple[str | None, int]:
        """Loads a model unless it is resident; gives why it cannot and how long it took, in ns."""
        if model in self.worker.resident:
            return None, 0
        if refusal := self.worker.begin_load(model):
            return refusal, 0
        with self.worker.load(model) as load:
            await asyncio.sleep(self.worker.load_s())
        return None, self.worker.end_load(model, load)

    async def StartSession(self, request, context):
        model = request.model_id or self.worker.known[0]
        call = answers.Call(
            self.worker, request, context, "StartSession", request.session_id, model
        )
        async with self.loading:
            refusal, _ = await self.load_alone(model)
            refusal = refusal or self.worker.start_session(request.session_id, model, call.peer)
        success = refusal is None
        answer = messages.StartSessionResponse(success=success, message=refusal or "")
        return call.answer(answer, success)

    async def EndSession(self, request, context):
        return answers.end_session(self.worker, request, context)

    async def ListModels(self, request, context):
        return answers.list_models(self.worker, request, context)

    async def LoadModel(self, request, context):
        call = answers.Call(self.worker, request, context, "LoadModel", model=request.model_id)
        async with self.loading:
            refusal, duration_ns = await self.load_alone(request.model_id)
        success = refusal is None
        answer = messages.LoadModelResponse(
            success=success,
            message=refusal or "",
            load_duration_ms=duration_ns // 1_000_000,
        )
        return call.answer(answer, success)

    async def UnloadModel(self, request, context):
        async with self.loading:
            return answers.unload_model(self.worker, request, context)

    async def GetCapabilities(self, request, context):
        return answers.get_capabilities(self.worker, request, context)

    async def Control(self, request, context):
        control = answers.ControlCall(self.worker, request, context)
        session = self.worker.sessions.get(request.session_id)
        if session is None:
            return control.answer("unknown session")
        if request.command == messages.RELOAD:
            async with self.loading:
                await self.reload(session.model)
        else:
            self.worker.command(request.session_id, control.fields["command"])
        return control.answer(None)

    async def reload(self, model: str) -> None:
        self.worker.truth.record("model_unload", model=model, reason="reload")
        self.worker.truth.record("model_load_start", model=model)
        with self.worker.load(model) as load:
            await asyncio.sleep(self.worker.load_s())
        self.worker.end_load(model, load)

    async def Synthesize(self, request_iterator, context):
        number = self.worker.next_stream()
        peer = peer_address(context.peer())
        truth = self.worker.truth
        truth.record("request", method="Synthesize", peer=peer, stream=number)
        text = aiter(request_iterator)
        first = await anext(text, None)
        session = self.worker.sessions.get(first.session_id) if first else None
        if session is None:
            name = first.session_id if first else None
            truth.record(
                "stream_end", stream=number, session=name, reason="unknown_session", frames=0
            )
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown session")
        fields = {"session": session.name, "model": session.model, "peer": peer}
        truth.record("stream_start", stream=number, **fields)
        state = StreamState(self.worker, number, session)
        audio: asyncio.Queue = asyncio.Queue(maxsize=4)
        thinking = asyncio.create_task(think(state, first, text, audio))
        try:
            async for frame in frames(state, audio):
                yield frame
        finally:
            thinking.cancel()
            state.record_end()


async def frames(state: StreamState, audio: asyncio.Queue):
    """The frames of one call, each when it is due."""
    while True:
        try:
            run = await asyncio.wait_for(audio.get(), IDLE_S)
        except TimeoutError:
            if state.obey() == "stop":
                return
            continue
        if run is None:
            yield state.next_frame(messages, is_final=True, empty=True)
            return
        count, is_last = run
        state.schedule.audio_ready(time.monotonic_ns())
        for left in range(count - 1, -1, -1):
            if not await hold_until_due(state):
                return
            state.schedule.advance()
            yield state.next_frame(messages, is_final=is_last and left == 0)
        if is_last:
            if count == 0:
                yield state.next_frame(messages, is_final=True, empty=True)
            return


async def hold_until_due(state: StreamState) -> bool:
    """Waits until the next frame may be sent; gives whether the stream goes on."""
    while True:
        wait_s = (state.schedule.due_ns - time.monotonic_ns()) / 1e9
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        order = state.obey()
        if order == "stop":
            return False
        if order == "go" and time.monotonic_ns() >= state.schedule.due_ns:
            return True
        if order == "hold":
            await asyncio.sleep(HOLD_S)


async def think(state: StreamState, first, text, audio: asyncio.Queue) -> None:
    """Reads text and runs the model on it, ahead of the frames that play."""
    chunk = first
    while chunk is not None:
        state.record_text(chunk)
        for run in state.audio_runs(chunk):
            await asyncio.sleep(state.worker.think_s(state.random))
            await audio.put(run)
        if chunk.is_final:
            return
        chunk = await anext(text, None)
    # A reset ends the text too, and cancels this task a moment later.
    await asyncio.sleep(IDLE_S)
    await audio.put(None)


async def main() -> None:
    settings = arguments("A tts worker on grpc.aio.")
    worker = Worker(settings)
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    service.add_TTSServiceServicer_to_server(Service(worker), server)
    port = server.add_insecure_port(f"[::]:{settings.port}")
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await server.start()
    worker.truth.record("listening", port=port, pid=os.getpid(), adapter=settings.adapter)
    print(f"listening {port}", flush=True)
    await ended.wait()
    await server.stop(grace=0)
    # Lets the calls that were cut off record their ends.
    await asyncio.sleep(0.1)
    print(worker.truth.finish(), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
