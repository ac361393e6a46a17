"""A small orchestrator: WebSocket in front, grpc.aio workers behind, Redis beside when asked.

    python ws_orchestrator.py --server websockets --worker tone@0=localhost:7001 --truth FILE

It speaks the protocol of `voicelab orchestrator` and writes the same truth; `voicelab talker`
drives it. Times are read where bytes meet the sockets: a WebSocket message is sent when it is handed to
its library and received when its last bytes are; of gRPC `socket_clock` tells.
"""

import argparse
import asyncio
import itertools
import os
import random
import signal

import ws_servers
from truth import Truth
from ws_session import Session


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serves voice sessions over WebSocket.")
    parser.add_argument("--server", choices=ws_servers.KINDS, default="websockets")
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free one")
    parser.add_argument("--worker", required=True, help="NAME=HOST:PORT or HOST:PORT, by commas")
    parser.add_argument("--redis", help="HOST:PORT")
    parser.add_argument("--model", default="tone-small")
    parser.add_argument("--no-deflate", action="store_true")
    parser.add_argument("--barge-in", choices=("control", "reset"), default="control")
    parser.add_argument("--idle-timeout-ms", type=float, default=0, help="0: never")
    parser.add_argument("--ping-interval-ms", type=float, default=20_000, help="0: none")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--truth", help="file for what was done, one JSON object per line")
    parser.add_argument("--fault-socket", help="unix socket that switches faults")
    return parser.parse_args()


class Orchestrator:
    """What all sessions share."""

    def __init__(self, settings: argparse.Namespace) -> None:
        import grpc

        from stubs import service

        self.settings = settings
        self.truth = Truth(settings.truth)
        self.workers = {}
        for worker in settings.worker.split(","):
            name, _, address = worker.rpartition("=")
            self.workers[name or address] = address
        channels = {name: grpc.aio.insecure_channel(at) for name, at in self.workers.items()}
        self.stubs = {name: service.TTSServiceStub(at) for name, at in channels.items()}
        self.turns = itertools.cycle(self.workers)
        self.calls, self.connections = itertools.count(1), itertools.count(1)
        self.names = random.Random(settings.seed)
        self.sessions: dict[str, Session] = {}
        self.drops, self.error = 0, None
        self.registry = None
        self.leaving = asyncio.Event()

    async def hold(self, socket) -> None:
        """Holds one session."""
        name = f"ws-{self.names.getrandbits(48):012x}"
        session = Session(self, socket, next(self.connections), name)
        self.sessions[name] = session
        try:
            await session.run()
        finally:
            del self.sessions[name]

    async def obey(self, line: str) -> str:
        """Does what a line of the fault protocol asks for."""
        match line.split():
            case ["close", name] if name in self.sessions:
                self.sessions[name].order("close")
            case ["end", name] if name in self.sessions:
                self.sessions[name].order("end")
            case ["drop", number] if number.isdigit():
                self.drops = int(number)
            case ["error", code]:
                self.error = code
            case ["redis-error"] if self.registry:
                await self.registry.provoke_error(next(iter(self.workers)))
            case ["crash"]:
                for session in self.sessions.values():
                    session.record("session_closed", reason="error", way="crash")
                self.truth.finish()
                os.abort()
            case _:
                return "error: unknown command"
        return "ok"

    async def hear_faults(self, reader, writer) -> None:
        while line := await reader.readline():
            writer.write((await self.obey(line.decode()) + "\n").encode())
            await writer.drain()
        writer.close()


async def main() -> None:
    settings = arguments()
    orchestrator = Orchestrator(settings)
    if settings.redis:
        from ws_registry import Registry

        orchestrator.registry = Registry(settings.redis, orchestrator.truth)
        await orchestrator.registry.open()
        await orchestrator.registry.register(orchestrator.workers)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, orchestrator.leaving.set)
    faults = None
    if settings.fault_socket:
        path = settings.fault_socket
        faults = await asyncio.start_unix_server(orchestrator.hear_faults, path)

    async def started(port: int) -> None:
        adapter = f"orchestrator-{settings.server}"
        orchestrator.truth.record("listening", port=port, pid=os.getpid(), adapter=adapter)
        print(f"listening {port}", flush=True)
        await orchestrator.leaving.wait()
        for session in list(orchestrator.sessions.values()):
            session.order("shutdown")
        # Lets them close.
        await asyncio.sleep(0.5)

    ping_s = settings.ping_interval_ms / 1000 or None
    await ws_servers.serve(
        settings.server,
        settings.port,
        not settings.no_deflate,
        ping_s,
        orchestrator.hold,
        started,
    )
    if faults:
        faults.close()
    if orchestrator.registry:
        await orchestrator.registry.unregister(orchestrator.workers)
        await orchestrator.registry.close()
    print(orchestrator.truth.finish(), flush=True)


if __name__ == "__main__":
    # The kind of server decides on the event loop.
    ws_servers.run(arguments().server, main())
