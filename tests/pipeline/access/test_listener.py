"""access.listener: strangers hold no more than they may, and who has shown who they are stays."""

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any

import pytest

from emopipe.pipeline.access.listener import BURST, MAX_LEAVING, Connection, Listener, bind_tcp
from emopipe.pipeline.clock import SECOND, FakeClock
from emopipe.pipeline.errors import EmopipeError
from tests.support.waiting import until


class Served(asyncio.Protocol):
    """A connection that says nothing."""


class Server:
    """A listener whose connections do nothing, and who calls there."""

    def __init__(self, **limits: Any) -> None:
        self.clock = FakeClock()
        self.connections: list[Connection] = []
        self._tasks: list[asyncio.Task[Any]] = []
        bound = bind_tcp("127.0.0.1", 0)
        self.address = bound.getsockname()
        self.listener = Listener(bound, self._serve, clock=self.clock, **{"most": 100, "most_silent": 100, **limits})
        self._callers: list[socket.socket] = []

    def _serve(self, connection: Connection) -> None:
        self.connections.append(connection)
        loop = asyncio.get_running_loop()
        self._tasks.append(loop.create_task(loop.connect_accepted_socket(Served, connection.socket)))

    def call(self, source: str = "127.0.0.1") -> socket.socket:
        caller = socket.create_connection(self.address, source_address=(source, 0))
        caller.setblocking(False)
        self._callers.append(caller)
        return caller

    async def close(self) -> None:
        self.listener.close()
        made = await asyncio.gather(*self._tasks)
        for transport, _ in made:
            transport.abort()
        for caller in self._callers:
            caller.close()
        await asyncio.sleep(0)


def gone(caller: socket.socket) -> bool:
    try:
        return caller.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def drive(work: Callable[[Server], Any], **limits: Any) -> None:
    async def run() -> None:
        server = Server(**limits)
        try:
            await work(server)
        finally:
            await server.close()

    asyncio.run(run())


def test_for_a_new_stranger_the_oldest_of_the_busiest_address_goes() -> None:
    async def work(server: Server) -> None:
        lonely = server.call("127.0.0.2")
        crowd = [server.call() for _ in range(3)]
        await until(lambda: len(server.connections) == 4)
        server.call("127.0.0.3")
        await until(lambda: gone(crowd[0]))
        assert not any(map(gone, [lonely, *crowd[1:]]))
        assert server.listener.refused == 1
        assert len(server.listener.connections) == 4

    drive(work, most_silent=4)


def test_who_has_settled_makes_no_room() -> None:
    async def work(server: Server) -> None:
        friends = []
        for number in range(3):
            friends.append(server.call())
            await until(lambda: len(server.connections) > number)  # noqa: B023
            server.connections[number].settle()
        strangers = [server.call() for _ in range(2)]
        await until(lambda: gone(strangers[0]))
        late = server.call()
        await until(lambda: gone(strangers[1]))
        assert not any(map(gone, [*friends, late]))

    drive(work, most_silent=1)


def test_where_all_have_settled_a_new_one_is_closed() -> None:
    async def work(server: Server) -> None:
        friends = [server.call() for _ in range(3)]
        await until(lambda: len(server.connections) == 3)
        for connection in server.connections:
            connection.settle()
        late = server.call()
        await until(lambda: gone(late))
        assert len(server.connections) == 3
        assert not any(map(gone, friends))

    drive(work, most=3)


def test_no_more_are_taken_than_so_many_a_second() -> None:
    async def work(server: Server) -> None:
        for _ in range(BURST + 10):
            server.call()
        await until(lambda: len(server.connections) == BURST)
        await asyncio.sleep(0.1)  # long enough for the pause to end several times, were the clock not standing still
        assert len(server.connections) == BURST
        await server.clock.advance(SECOND // 10)
        await until(lambda: len(server.connections) == BURST + 5)

    drive(work, rate=50)


def test_until_those_who_make_room_are_gone_no_more_are_taken() -> None:
    async def work(server: Server) -> None:
        most = 0
        for _ in range(BURST):
            server.call()
        while len(server.connections) < BURST:
            await asyncio.sleep(0)
            most = max(most, len(server.listener.connections))
        assert most <= 4 + MAX_LEAVING

    drive(work, most_silent=4)


def test_without_descriptors_it_pauses_and_says_so() -> None:
    async def work(server: Server) -> None:
        heard: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: heard.append(context))

        class Full:
            def accept(self) -> None:
                raise OSError(errno.EMFILE, "Too many open files")

            def __getattr__(self, name: str) -> Any:
                return getattr(bound, name)

        bound = server.listener._bound
        server.listener._bound = Full()  # type: ignore[assignment]
        server.call()
        await until(lambda: heard)
        server.listener._bound = bound
        assert heard[0]["exception"].errno == errno.EMFILE
        await until(lambda: server.connections)
        assert len(heard) == 1

    drive(work)


def test_an_address_in_use_is_named_with_a_remedy() -> None:
    with bind_tcp("127.0.0.1", 0) as other:
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(EmopipeError, match=rf"endpoint: 127\.0\.0\.1:{port} is in use; stop the program"):
            bind_tcp("127.0.0.1", port)


def test_an_address_of_another_machine_cannot_be_bound() -> None:
    with pytest.raises(EmopipeError, match=r"endpoint: 192\.0\.2\.1:0 cannot be bound"):
        bind_tcp("192.0.2.1", 0)
    with pytest.raises(EmopipeError, match=r"endpoint: no\.such\.host\.invalid is no address of this machine"):
        bind_tcp("no.such.host.invalid", 0)
