"""WebSocket servers behind one interface: websockets on asyncio and on uvloop, aiohttp, uvicorn.

`serve(kind, ...)` calls `handler(socket)` for each connection that shook hands. A socket has
`receive()` (text or bytes, or raises `Ended`), `send(text)` and `close(code)`; `requested_ns` and
`answered_ns` are when its upgrade was asked for and answered, `received_ns()` when the message that was
taken last was received.
"""

import asyncio
import socket
import time

from ws_arrivals import Arrivals

# The server's own words for a close that no client sent (RFC 6455, 7.4.1).
ABNORMAL, NO_CODE = 1006, 1005

KINDS = ("websockets", "websockets-uvloop", "aiohttp", "uvicorn")


class Ended(Exception):
    """The connection is over: `way` in the lab's words, and the guide's `reason`."""

    def __init__(self, reason: str, way: str) -> None:
        super().__init__(way)
        self.reason, self.way = reason, way


def ended(received: int | None, sent: int | None) -> Ended:
    """What the codes of the two Close frames say; None for one that did not come."""
    if sent == 1011:
        return Ended("timeout", "keep_alive")
    if sent in (1002, 1003, 1007, 1009):
        return Ended("error", "protocol_error")
    if received in (1000, 1001):
        return Ended("normal", "client_close")
    if received is not None and 1002 <= received <= 1015 and received not in (ABNORMAL, NO_CODE):
        return Ended("error", "client_error_close")
    if received == NO_CODE:
        return Ended("client_disconnect", "client_left")
    return Ended("client_disconnect", "client_gone")


def listening(port: int) -> socket.socket:
    """A socket on `port` of both address families, or of IPv4 alone."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


# What each connection received, by its peer's address.
ARRIVALS: dict[tuple, Arrivals] = {}


def stamp_reads(protocol: type) -> None:
    """Has a kind of connection say when it receives bytes."""
    take = protocol.data_received

    def data_received(self, data) -> None:
        peer = self.transport.get_extra_info("peername") if self.transport else None
        if peer:
            ARRIVALS.setdefault(peer[:2], Arrivals()).take(data)
        take(self, data)

    protocol.data_received = data_received


class Socket:
    """What all of them have."""

    def __init__(self, peer: tuple, path: str) -> None:
        self._peer = peer[:2]
        self.peer, self.path = "{}:{}".format(*self._peer), path
        # Nothing follows the request before it is answered.
        self._arrivals = ARRIVALS.setdefault(self._peer, Arrivals())
        self.requested_ns, self.answered_ns = self._arrivals.last_ns, time.monotonic_ns()

    def received_ns(self) -> int:
        messages = self._arrivals.messages
        return messages.popleft() if messages else time.monotonic_ns()

    def forget(self) -> None:
        ARRIVALS.pop(self._peer, None)


class WebsocketsSocket(Socket):
    """A connection of the websockets library."""

    def __init__(self, connection) -> None:
        self.connection = connection
        super().__init__(connection.remote_address, connection.request.path)
        self.answered_ns = connection.answered_ns

    async def receive(self):
        from websockets.exceptions import ConnectionClosed

        try:
            return await self.connection.recv()
        except ConnectionClosed as closed:
            received = closed.rcvd.code if closed.rcvd else None
            # A Close that only echoes the client's says nothing of its own.
            sent = closed.sent.code if closed.sent and not closed.rcvd_then_sent else None
            raise ended(received, sent) from None

    async def send(self, text: str) -> None:
        await self.connection.send(text)

    async def close(self, code: int) -> None:
        await self.connection.close(code)


async def serve_websockets(port, deflate, ping_s, handler, started) -> None:
    from websockets.asyncio.server import ServerConnection, serve

    stamp_reads(ServerConnection)

    def answering(connection, request, response) -> None:
        connection.answered_ns = time.monotonic_ns()

    compression = "deflate" if deflate else None
    listener = listening(port)
    async with serve(
        lambda connection: handler(WebsocketsSocket(connection)),
        sock=listener,
        process_response=answering,
        compression=compression,
        ping_interval=ping_s,
        ping_timeout=ping_s,
    ):
        await started(listener.getsockname()[1])


class AiohttpSocket(Socket):
    """A connection of aiohttp."""

    def __init__(self, request, response) -> None:
        self.response = response
        super().__init__(request.transport.get_extra_info("peername"), request.path_qs)

    async def receive(self):
        from aiohttp import WebSocketError, WSMsgType

        message = await self.response.receive()
        if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            return message.data
        if message.type == WSMsgType.CLOSE:
            raise ended(message.data or NO_CODE, None)
        failure = self.response.exception()
        if isinstance(failure, TimeoutError) or type(failure).__name__ == "ServerTimeoutError":
            raise Ended("timeout", "keep_alive")
        if message.type == WSMsgType.ERROR and isinstance(message.data, WebSocketError):
            raise Ended("error", "protocol_error")
        raise ended(None, None)

    async def send(self, text: str) -> None:
        await self.response.send_str(text)

    async def close(self, code: int) -> None:
        await self.response.close(code=code)


async def serve_aiohttp(port, deflate, ping_s, handler, started) -> None:
    from aiohttp import web

    stamp_reads(web.RequestHandler)

    async def answer(request):
        response = web.WebSocketResponse(compress=deflate, heartbeat=ping_s)
        socket = AiohttpSocket(request, response)
        await response.prepare(request)
        await handler(socket)
        return response

    application = web.Application()
    application.router.add_get("/ws", answer)
    runner = web.AppRunner(application, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    listener = listening(port)
    await web.SockSite(runner, listener).start()
    await started(listener.getsockname()[1])
    await runner.cleanup()


class AsgiSocket(Socket):
    """A connection of an ASGI server."""

    def __init__(self, scope, receive, send) -> None:
        self._receive, self._send = receive, send
        path = scope["path"] + "?" + scope["query_string"].decode()
        super().__init__(scope["client"], path)

    async def receive(self):
        event = await self._receive()
        if event["type"] == "websocket.disconnect":
            code = event.get("code")
            sent = code if code in (1002, 1003, 1007, 1009, 1011) else None
            raise ended(code if code != ABNORMAL else None, sent)
        return event.get("text") if event.get("text") is not None else event["bytes"]

    async def send(self, text: str) -> None:
        await self._send({"type": "websocket.send", "text": text})

    async def close(self, code: int) -> None:
        await self._send({"type": "websocket.close", "code": code})


async def serve_uvicorn(port, deflate, ping_s, handler, started) -> None:
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

    stamp_reads(H11Protocol)
    stamp_reads(WebSocketsSansIOProtocol)

    async def application(scope, receive, send):
        if scope["type"] != "websocket":
            return
        await receive()
        socket = AsgiSocket(scope, receive, send)
        await send({"type": "websocket.accept"})
        await handler(socket)

    config = uvicorn.Config(
        application,
        http="h11",
        ws="websockets-sansio",
        ws_per_message_deflate=deflate,
        ws_ping_interval=ping_s,
        ws_ping_timeout=ping_s,
        lifespan="off",
        log_level="warning",
        timeout_graceful_shutdown=1,
    )

    class Server(uvicorn.Server):
        """Leaves the signals to the program."""

        def capture_signals(self):
            import contextlib

            return contextlib.nullcontext()

    server, listener = Server(config), listening(port)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    await started(listener.getsockname()[1])
    server.should_exit = True
    await serving


async def serve(kind: str, port: int, deflate: bool, ping_s, handler, started) -> None:
    """Serves until `started(port)` returns."""
    serving = {"aiohttp": serve_aiohttp, "uvicorn": serve_uvicorn}.get(kind, serve_websockets)
    await serving(port, deflate, ping_s, handler, started)


def run(kind: str, main) -> None:
    """Runs `main` on the kind's event loop."""
    if kind == "websockets-uvloop":
        import uvloop

        uvloop.run(main)
    else:
        asyncio.run(main)
