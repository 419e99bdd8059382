"""access.gate: what comes at one side goes out at the other, in order, however early it comes."""

import asyncio
from typing import Any

from emopipe.pipeline.access.gate import _Side


class Transport:
    """One that reads on though it was told to pause, as uvloop's does at first."""

    def __init__(self) -> None:
        self.written = b""
        self.reading = True

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int) -> None:
        pass

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


def test_what_comes_before_the_other_side_is_there_is_kept_for_it() -> None:
    async def pass_on() -> bytes:
        loop = asyncio.get_running_loop()
        inner, outer = _Side(loop), _Side(loop)
        inner.other, outer.other = outer, inner
        near: Any = Transport()
        far: Any = Transport()
        inner.connection_made(near)
        assert not near.reading
        inner.data_received(b"gree")
        outer.connection_made(far)
        inner.data_received(b"ting, ")
        for side in (outer, inner):
            side.begin()
        assert near.reading
        assert far.reading
        inner.data_received(b"and more")
        return bytes(far.written)

    assert asyncio.run(pass_on()) == b"greeting, and more"
