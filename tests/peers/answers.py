"""The answers that the two Python workers give alike, and the record of each unary call."""

import time

from stubs import messages
from worker_state import Worker, peer_address

LANGUAGES = ("en", "zh")


class Call:
    """A unary call: recorded when it is received and when it is answered."""

    def __init__(
        self, worker: Worker, request, context, method: str, session=None, model=None
    ) -> None:
        self.worker = worker
        self.method = method
        self.peer = peer_address(context.peer())
        worker.truth.record_received(
            request, "request", method=method, peer=self.peer, session=session, model=model
        )

    def answer(self, answer, success: bool):
        """Records the answer and gives it back."""
        self.worker.truth.record_sent(
            answer, "response", method=self.method, peer=self.peer, success=success
        )
        return answer


def end_session(worker: Worker, request, context):
    """Answers EndSession."""
    call = Call(worker, request, context, "EndSession", session=request.session_id)
    ended = worker.end_session(request.session_id)
    return call.answer(messages.EndSessionResponse(success=ended), ended)


def list_models(worker: Worker, request, context):
    """Answers ListModels."""
    call = Call(worker, request, context, "ListModels")
    with worker.lock:
        resident = set(worker.resident)
    models = [
        messages.ModelInfo(
            model_id=model, family="tone", is_loaded=model in resident, languages=LANGUAGES
        )
        for model in worker.known
    ]
    return call.answer(messages.ListModelsResponse(models=models), True)


def unload_model(worker: Worker, request, context):
    """Answers UnloadModel."""
    call = Call(worker, request, context, "UnloadModel", model=request.model_id)
    refusal = worker.unload(request.model_id)
    success = refusal is None
    answer = messages.UnloadModelResponse(success=success, message=refusal or "")
    return call.answer(answer, success)


def get_capabilities(worker: Worker, request, context):
    """Answers GetCapabilities."""
    call = Call(worker, request, context, "GetCapabilities")
    capabilities = messages.Capabilities(
        streaming=True,
        cpu_ok=True,
        languages=LANGUAGES,
        max_concurrent_sessions=worker.settings.max_sessions,
    )
    with worker.lock:
        resident, sessions = sorted(worker.resident), len(worker.sessions)
    answer = messages.GetCapabilitiesResponse(
        capabilities=capabilities,
        resident_models=resident,
        metrics={"active_sessions": float(sessions)},
    )
    return call.answer(answer, True)


class ControlCall:
    """A Control call, recorded like the others and numbered as a command."""

    def __init__(self, worker: Worker, request, context) -> None:
        self.call = Call(worker, request, context, "Control", session=request.session_id)
        self.fields = {
            "control": worker.next_control(),
            "session": request.session_id,
            "command": messages.ControlCommand.Name(request.command),
        }
        worker.truth.record_received(request, "control_received", **self.fields)

    def answer(self, refusal: str | None):
        """The answer; `refusal` says why the command is not obeyed."""
        success = refusal is None
        answer = messages.ControlResponse(
            success=success, message=refusal or "", timestamp_ms=time.time_ns() // 1_000_000
        )
        truth = self.call.worker.truth
        truth.record_sent(answer, "control_answered", success=success, **self.fields)
        return self.call.answer(answer, success)
