"""What the Python orchestrator keeps in Redis, by redis-py on asyncio, each command timed.

Times are read where the library hands bytes to its socket and gets them from it: commands wait for
each other in the library, which is no time of Redis'.
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
        self.sent_ns = self.received_ns = 0
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
        self.stamp(self.client.connection)
        self.truth.record("redis_opened")
        await self.ask("PING")

    def stamp(self, connection) -> None:
        """Remembers when a command was last written and when a reply last came."""
        reader, writer = connection._reader, connection._writer
        feed, write = reader.feed_data, writer.writelines

        def feed_data(data) -> None:
            self.received_ns = time.monotonic_ns()
            feed(data)

        def writelines(lines) -> None:
            self.sent_ns = time.monotonic_ns()
            write(lines)

        reader.feed_data, writer.writelines = feed_data, writelines

    async def close(self) -> None:
        await self.client.aclose()
        self.truth.record("redis_closed")

    async def ask(self, *command):
        """Sends a command; gives its reply, or None for an error, which is recorded."""
        error, reply = None, None
        try:
            reply = await self.client.execute_command(*command)
        except self.errors as refused:
            error = str(refused).split(" ", 1)[0]
            if getattr(refused, "status_code", None):
                error = refused.status_code
        # Nobody else's command was written since: this coroutine was not suspended after the reply.
        fields = {"command": command[0], "sent_ns": self.sent_ns, "error": error}
        self.truth.record_at(self.received_ns, "redis_command", **fields)
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
