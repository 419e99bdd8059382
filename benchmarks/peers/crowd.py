"""The peers of `benchmarks.peers`: started, counted, killed and ended."""

import asyncio
import itertools
import random
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

STEADY_PEER = "steady"
JOIN_TIMEOUT_S = 30.0  # s a peer has to join
LINGER_S = 15.0  # s that the steady peer stays after the last guest: to miss one that was killed takes a while


@dataclass
class Peers:
    """The fate of all peers; times are monotonic s."""

    joined: int = 0
    left: int = 0
    killed: dict[str, float] = field(default_factory=dict)  # when, by name
    lost: list[str] = field(default_factory=list)  # what went wrong, in words
    running: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)


class Crowd:
    """Starts, counts and ends peers."""

    def __init__(self, file: Path, length: float, endpoint: str) -> None:
        self.peers = Peers()
        self._file, self._length, self._endpoint = file, length, endpoint
        self._numbers = itertools.count(1)

    async def gather(self, seconds: float, guests: int, churn: float, kill_every: float) -> None:
        """The steady peer for `seconds`, and `guests` at a time beside it: they come after it, and go before it."""
        staying = asyncio.create_task(self.stay(STEADY_PEER, seconds + LINGER_S))
        while STEADY_PEER not in self.peers.running and not staying.done():
            await asyncio.sleep(0.1)
        killing = asyncio.create_task(self.kill(kill_every))
        until = time.monotonic() + seconds
        try:
            await asyncio.gather(*(self.come_and_go(churn, until) for _ in range(guests)))
            killing.cancel()
            await staying
        finally:
            killing.cancel()
            staying.cancel()
            await asyncio.gather(killing, staying, return_exceptions=True)

    async def stay(self, name: str, seconds: float) -> None:
        """Let one peer join, stay for `seconds`, and leave; or be killed meanwhile."""
        peers = self.peers
        arguments = [str(self._file), "--endpoint", self._endpoint, "--name", name]
        arguments += ["--length", str(self._length), "--seconds", str(seconds)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.peers.peer", *arguments, stdout=asyncio.subprocess.PIPE
        )
        try:
            assert process.stdout is not None
            try:
                async with asyncio.timeout(JOIN_TIMEOUT_S):
                    told = await process.stdout.readline()
            except TimeoutError:
                told = b""
            if not told:
                peers.lost.append(f"{name} could not join within {JOIN_TIMEOUT_S:g} s")
                return
            peers.joined += 1
            peers.running[name] = process
            code = await process.wait()
            if name in peers.killed:
                return
            peers.left += 1
            if code != 0:
                peers.lost.append(f"{name} was lost before its time (exit code {code})")
        finally:
            peers.running.pop(name, None)
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def come_and_go(self, stay: float, until: float) -> None:
        """One after the other, each for about `stay` s, until the loop's time is `until`."""
        while (left := until - time.monotonic()) > 2:
            await self.stay(f"guest-{next(self._numbers)}", min(left, stay * random.uniform(0.5, 1.5)))

    async def kill(self, every: float) -> None:
        """Kill one of the guests each `every` s, without goodbye."""
        while True:
            await asyncio.sleep(every)
            while not (names := [name for name in self.peers.running if name != STEADY_PEER]):
                await asyncio.sleep(0.1)
            name = random.choice(names)
            self.peers.killed[name] = time.monotonic()
            self.peers.running[name].send_signal(signal.SIGKILL)
