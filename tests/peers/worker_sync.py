"""The `tts` worker on grpcio's synchronous server: one pool thread per running call.

    python worker_sync.py --port 7001 --adapter NAME --truth FILE
"""

import concurrent.futures
import os
import queue
import signal
import threading
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
        self.loading = threading.Lock()

    def load(self, model: str) -> tuple[str | None, int]:
        """Loads a model unless it is resident; gives why it cannot and how long it took, in ns."""
        with self.loading:
            return self.load_alone(model)

    def load_alone(self, model: str) -> tuple[str | None, int]:
        if model in self.worker.resident:
            return None, 0
        if refusal := self.worker.begin_load(model):
            return refusal, 0
        with self.worker.load(model) as load:
            time.sleep(self.worker.load_s())
        return None, self.worker.end_load(model, load)

    def StartSession(self, request, context):
        model = request.model_id or self.worker.known[0]
        call = answers.Call(
            self.worker, request, context, "StartSession", request.session_id, model
        )
        with self.loading:
            refusal, _ = self.load_alone(model)
            refusal = refusal or self.worker.start_session(request.session_id, model, call.peer)
        success = refusal is None
        answer = messages.StartSessionResponse(success=success, message=refusal or "")
        return call.answer(answer, success)

    def EndSession(self, request, context):
        return answers.end_session(self.worker, request, context)

    def ListModels(self, request, context):
        return answers.list_models(self.worker, request, context)

    def LoadModel(self, request, context):
        call = answers.Call(self.worker, request, context, "LoadModel", model=request.model_id)
        refusal, duration_ns = self.load(request.model_id)
        success = refusal is None
        answer = messages.LoadModelResponse(
            success=success,
            message=refusal or "",
            load_duration_ms=duration_ns // 1_000_000,
        )
        return call.answer(answer, success)

    def UnloadModel(self, request, context):
        with self.loading:
            return answers.unload_model(self.worker, request, context)

    def GetCapabilities(self, request, context):
        return answers.get_capabilities(self.worker, request, context)

    def Control(self, request, context):
        control = answers.ControlCall(self.worker, request, context)
        session = self.worker.sessions.get(request.session_id)
        if session is None:
            return control.answer("unknown session")
        if request.command == messages.RELOAD:
            with self.loading:
                self.reload(session.model)
        else:
            self.worker.command(request.session_id, control.fields["command"])
        return control.answer(None)

    def reload(self, model: str) -> None:
        self.worker.truth.record("model_unload", model=model, reason="reload")
        self.worker.truth.record("model_load_start", model=model)
        with self.worker.load(model) as load:
            time.sleep(self.worker.load_s())
        self.worker.end_load(model, load)

    def Synthesize(self, request_iterator, context):
        number = self.worker.next_stream()
        peer = peer_address(context.peer())
        truth = self.worker.truth
        truth.record("request", method="Synthesize", peer=peer, stream=number)
        first = next(iter(request_iterator), None)
        session = self.worker.sessions.get(first.session_id) if first else None
        if session is None:
            name = first.session_id if first else None
            truth.record(
                "stream_end", stream=number, session=name, reason="unknown_session", frames=0
            )
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown session")
        fields = {"session": session.name, "model": session.model, "peer": peer}
        truth.record("stream_start", stream=number, **fields)
        state = StreamState(self.worker, number, session)
        audio: queue.Queue = queue.Queue(maxsize=4)
        threading.Thread(
            target=think, args=(state, first, request_iterator, audio), daemon=True
        ).start()
        try:
            yield from self.frames(state, audio, context)
        finally:
            state.record_end()

    def frames(self, state: StreamState, audio: queue.Queue, context):
        """The frames of one call, each when it is due."""
        while True:
            try:
                run = audio.get(timeout=IDLE_S)
            except queue.Empty:
                if not context.is_active() or state.obey() == "stop":
                    return
                continue
            if run is None:
                yield state.next_frame(messages, is_final=True, empty=True)
                return
            frames, is_last = run
            state.schedule.audio_ready(time.monotonic_ns())
            for left in range(frames - 1, -1, -1):
                if not hold_until_due(state, context):
                    return
                state.schedule.advance()
                yield state.next_frame(messages, is_final=is_last and left == 0)
            if is_last:
                if frames == 0:
                    yield state.next_frame(messages, is_final=True, empty=True)
                return


def hold_until_due(state: StreamState, context) -> bool:
    """Waits until the next frame may be sent; gives whether the stream goes on."""
    while True:
        wait_s = (state.schedule.due_ns - time.monotonic_ns()) / 1e9
        if wait_s > 0:
            time.sleep(wait_s)
        # A reset goes first: the session may have ended since.
        if not context.is_active():
            return False
        order = state.obey()
        if order == "stop":
            return False
        if order == "go" and time.monotonic_ns() >= state.schedule.due_ns:
            return True
        if order == "hold":
            time.sleep(HOLD_S)


def think(state: StreamState, first, rest, audio: queue.Queue) -> None:
    """Reads text and runs the model on it, ahead of the frames that play."""
    chunk = first
    try:
        while chunk is not None:
            state.record_text(chunk)
            for run in state.audio_runs(chunk):
                time.sleep(state.worker.think_s(state.random))
                audio.put(run)
            if chunk.is_final:
                return
            chunk = next(rest, None)
    except grpc.RpcError:
        # The call was reset.
        return
    audio.put(None)


def main() -> None:
    settings = arguments("A tts worker on grpcio's synchronous server.")
    worker = Worker(settings)
    pool = concurrent.futures.ThreadPoolExecutor(max_workers=settings.threads)
    server = grpc.server(pool, options=[("grpc.so_reuseport", 0)])
    service.add_TTSServiceServicer_to_server(Service(worker), server)
    port = server.add_insecure_port(f"[::]:{settings.port}")
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    server.start()
    worker.truth.record("listening", port=port, pid=os.getpid(), adapter=settings.adapter)
    print(f"listening {port}", flush=True)
    ended.wait()
    server.stop(grace=0).wait(1)
    # Lets the calls that were cut off record their ends.
    time.sleep(0.1)
    print(worker.truth.finish(), flush=True)
    # Pool threads that still hold a stream must not keep the process.
    os._exit(0)


if __name__ == "__main__":
    main()
