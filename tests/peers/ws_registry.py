"""What the Python orchestrator keeps in Redis, by redis-py on asyncio, each command timed.

Times are read around the library's calls. redis-py's own `CLIENT SETINFO` at connect is recorded
with the time of the whole set-up.
"""

import json
import time

REGISTRATION_TTL_S, AFFINITY_TTL_S = 30, 300


class Registry:
    """A connection to Redis."""

    def __init__(self, address: str, truth) -> None:
        import redis.asyncio

        host, port = address.rsplit(":", 1)
        self.truth = truth
        self.errors = redis.exceptions.ResponseError
        # One connection, so that what it says is counted once.
        self.client = redis.asyncio.Redis(
            host=host,
            port=int(port),
            protocol=2,
            single_connection_client=True,
            driver_info=None,
        )

    async def open(self) -> None:
        await self.client.initialize()
        self.truth.record("redis_opened")
        await self.ask("PING")

    async def close(self) -> None:
        await self.client.aclose()
        self.truth.record("redis_closed")

    async def ask(self, *command):
        """Sends a command; gives its reply, or None for an error, which is recorded."""
        sent_ns, error, reply = time.monotonic_ns(), None, None
        try:
            reply = await self.client.execute_command(*command)
        except self.errors as refused:
            error = str(refused).split(" ", 1)[0]
            if getattr(refused, "status_code", None):
                error = refused.status_code
        self.truth.record("redis_command", command=command[0], sent_ns=sent_ns, error=error)
        return reply

    async def register(self, workers: dict[str, str]) -> None:
        """Registers workers and reads the registrations back."""
        for name, address in workers.items():
            registration = {
                "name": name,
                "addr": f"grpc://{address}",
                "capabilities": {"streaming": True, "cpu_ok": True, "languages": ["en"]},
                "resident_models": [],
                "metrics": {},
                "last_heartbeat_ts": time.time(),
            }
            await self.ask("SETEX", f"worker:{name}", REGISTRATION_TTL_S, json.dumps(registration))
        for key in await self.ask("KEYS", "worker:*") or ():
            await self.ask("GET", key)
        await self.ask("HGETALL", "routing:stats")

    async def unregister(self, workers: dict[str, str]) -> None:
        for name in workers:
            await self.ask("DEL", f"worker:{name}")

    async def remember(self, session: str, worker: str) -> None:
        """Asks for a session's worker, and remembers it."""
        await self.ask("GET", f"routing:affinity:{session}")
        await self.ask("SETEX", f"routing:affinity:{session}", AFFINITY_TTL_S, worker)

    async def provoke_error(self, worker: str) -> None:
        """Sends a command that Redis refuses."""
        await self.ask("HGETALL", f"worker:{worker}")
