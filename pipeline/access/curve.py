"""ZeroMQ sockets that other hosts can reach: encrypted, and for those alone whose public key is allowed (CurveZMQ).

server = CurveServer(context, socket, "tcp://10.0.0.1:5560", pair, allowed, folder / "results")   # binds it
"""

import asyncio
import contextlib
from collections.abc import Container
from pathlib import Path

import zmq
from zmq.auth import Authenticator

from emopipe.pipeline.access.addresses import split_tcp, tcp_address
from emopipe.pipeline.access.gate import HANDSHAKE_TIMEOUT_S, Gate
from emopipe.pipeline.access.keys import KeyPair
from emopipe.pipeline.access.listener import bind_tcp
from emopipe.pipeline.errors import EmopipeError

DOMAIN = "emopipe"  # of authentication
HEARTBEAT_S = 5.0  # s between ZeroMQ's own heartbeats, by which a host that is gone is noticed
SILENCE_S = 15.0  # s without an answer after which it is

Context = zmq.Context[zmq.Socket[bytes]]
Socket = zmq.Socket[bytes]


class CurveServer:
    """Binds a socket where other hosts reach it, behind a gate.

    Args:
        context: of no other such socket, so that strangers at one do not keep the other's thread busy.
        socket: not bound yet; it stays the caller's, who closes it before `close`.
        address: `tcp://HOST:PORT`; port `*` is one that is free.
        pair: who we are.
        allowed: the public keys that are let in.
        path: where the socket itself is bound, in a folder that only this user can enter.

    At the end: close the socket, `stop`, end the context, wait until all is `drained`; or `close` instead.

    Attributes:
        address: with its port.

    Raises:
        EmopipeError: the address is in use, or not this machine's.
    """

    def __init__(
        self, context: Context, socket: Socket, address: str, pair: KeyPair, allowed: Container[str], path: Path
    ) -> None:
        host, port = split_tcp(address)
        with contextlib.ExitStack() as undo:
            bound = undo.enter_context(bind_tcp(host, port))
            self._authentication = Authentication(context, allowed)
            undo.callback(self._authentication.close)
            socket.curve_server = True
            socket.curve_secretkey = pair.secret.encode()
            socket.zap_domain = DOMAIN.encode()  # without one ZeroMQ would let anybody in if nobody answered for us
            socket.setsockopt(zmq.HANDSHAKE_IVL, round(HANDSHAKE_TIMEOUT_S * 1000))
            set_heartbeats(socket)
            socket.bind(f"ipc://{path}")
            self._gate = Gate(bound, str(path))
            undo.pop_all()
        self.address = tcp_address(host, bound.getsockname()[1])

    @property
    def refused(self) -> int:
        """Connections that were let go unheard: their key is not allowed, or there were too many."""
        return self._gate.listener.refused + self._authentication.refused

    def stop(self) -> None:
        """Let nobody in any more; who is there stays. The context can be ended now."""
        self._gate.listener.close()
        self._authentication.close()

    async def drained(self) -> None:
        """Wait, but not for long, until what the socket has sent has left, and let go of everybody."""
        await self._gate.drained()
        self._gate.close()

    def close(self) -> None:
        """Let nobody in any more, and go of who is there."""
        self.stop()
        self._gate.close()


class Authentication:
    """Answers the question of a context's sockets whether a key may come in (ZAP, ZeroMQ RFC 27), in the event loop.

    Attributes:
        refused: keys that were not.
    """

    def __init__(self, context: Context, allowed: Container[str]) -> None:
        self._allowed = allowed
        self.refused = 0
        self._authenticator = Authenticator(context)
        self._authenticator.configure_curve_callback(DOMAIN, credentials_provider=self)
        self._authenticator.start()
        self._loop = asyncio.get_running_loop()
        self._descriptor = self._authenticator.zap_socket.fileno()
        self._readable = asyncio.Event()
        self._loop.add_reader(self._descriptor, self._readable.set)
        self._answering = self._loop.create_task(self._answer())
        self._answering.add_done_callback(self._ended)

    def callback(self, domain: str, key: bytes) -> bool:
        """Whether a public key, in Z85, may come in; what `zmq.auth` asks its credentials provider."""
        allowed = key.decode() in self._allowed
        self.refused += not allowed
        return allowed

    def close(self) -> None:
        self._answering.cancel()
        self._loop.remove_reader(self._descriptor)
        self._authenticator.stop()

    async def _answer(self) -> None:
        while True:
            self._readable.clear()
            try:
                while True:  # the descriptor is edge-triggered
                    request = self._authenticator.zap_socket.recv_multipart(zmq.NOBLOCK)
                    await self._authenticator.handle_zap_message(request)
            except zmq.Again:
                await self._readable.wait()

    def _ended(self, answering: "asyncio.Task[None]") -> None:
        """Say so if it has failed: nobody would come in any more."""
        if not answering.cancelled() and (error := answering.exception()) is not None:
            self._loop.call_exception_handler({"message": "authentication has failed", "exception": error})


def be_client(socket: Socket, pair: KeyPair, server: str) -> None:
    """Prepare a socket to connect to one whose public key is `server`."""
    socket.curve_publickey = pair.public.encode()
    socket.curve_secretkey = pair.secret.encode()
    socket.curve_serverkey = server.encode()
    set_heartbeats(socket)


def set_heartbeats(socket: Socket) -> None:
    """Have ZeroMQ, not this process' event loop, ask whether the peer is still there."""
    socket.setsockopt(zmq.HEARTBEAT_IVL, round(HEARTBEAT_S * 1000))
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, round(SILENCE_S * 1000))


def need_curve() -> None:
    """Raises: EmopipeError: this build of ZeroMQ cannot encrypt."""
    if not zmq.has("curve"):
        raise EmopipeError("this build of ZeroMQ has no CURVE; install pyzmq from its wheel")
