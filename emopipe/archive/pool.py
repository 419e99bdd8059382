"""The jobs of an archive: players side by side, and replaced where one dies or hangs."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from emopipe.archive.ledger import Entry
from emopipe.archive.players import Player, Players
from emopipe.archive.replay import failed


class Pool:
    """Replays recordings by several players.

    One that is lost with its player is played once more after the others, and has failed where that happens again.

    Args:
        players: who plays.
        jobs: how many at once.
        over: called with what became of each recording.
    """

    def __init__(self, players: Players, jobs: int, over: Callable[[Entry], None]) -> None:
        self._players = players
        self._jobs = jobs
        self._over = over
        self._waiting: deque[str] = deque()
        self._lost: set[str] = set()  # with a player, once

    async def run(self, recordings: Sequence[str]) -> None:
        """Replay all of them; those that come first are begun first.

        Raises:
            Stopped: no recording can be played any more.
            EmopipeError: a player does not start.
            asyncio.CancelledError: this task was cancelled; every player is gone all the same.
        """
        self._waiting.extend(recordings)
        self._left = len(recordings)
        self._all_over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        jobs = [asyncio.create_task(self._job(number)) for number in range(min(self._jobs, len(recordings)))]
        try:
            await asyncio.gather(*jobs)
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)

    async def _job(self, number: int) -> None:
        player: Player | None = None
        try:
            while self._waiting:
                player = player or await self._start(number)
                if player is None or not self._waiting:  # others were faster
                    break
                recording = self._waiting.popleft()
                answer = await player.replay(recording)
                if isinstance(answer, Entry):
                    self._take(answer)
                elif recording in self._lost:
                    self._take(failed(recording, answer.word, f"{answer.text}, twice"))
                else:
                    self._lost.add(recording)
                    self._waiting.append(recording)
                if not player.usable:
                    await player.end()
                    player = None
        finally:
            if player is not None:
                await player.end()

    async def _start(self, number: int) -> Player | None:
        """A player; None where all is over before there is room for it."""
        starting = asyncio.create_task(self._players.start(number))
        try:
            either: set[asyncio.Future[Any]] = {starting, self._all_over}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            starting.cancel()
            (player,) = await asyncio.gather(starting, return_exceptions=True)
            if not isinstance(player, BaseException):
                await player.end()
            raise
        if starting.done():
            return starting.result()
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return None

    def _take(self, entry: Entry) -> None:
        self._over(entry)
        self._left -= 1
        if not self._left:
            self._all_over.set_result(None)
