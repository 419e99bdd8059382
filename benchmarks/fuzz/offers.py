"""Malformed WebRTC offers against a running `webrtc` stage: each is refused in words, and a sender notices nothing.

    python -m benchmarks.fuzz.offers --count 1000 --seed 7

Offers of a real peer and of a browser's shape are mutated: bytes, characters that end lines, fields, lines and whole
sections. The same seed gives the same offers. Every answer must be one that the stage gives on purpose (no 500), no
warning may come, memory must stay flat, and a good offer afterwards must be answered. It runs in a network namespace of
its own, which needs root.
"""

import argparse
import asyncio
import os
import random
import sys
from collections import Counter
from collections.abc import Iterator

import aiohttp
from aiortc import RTCConfiguration, RTCPeerConnection

from benchmarks.procfs import sample
from emopipe.pipeline.clock import SystemClock
from emopipe.pipeline.testing import StageHarness
from emopipe.stages.webrtc.source import WebRtc

ON_PURPOSE = {201, 400, 413, 415, 422, 503}
SDP = "application/sdp"
LINE_ENDS = ("\r\n", "\n", "\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "")
VALUES = (
    "",
    "0",
    "-1",
    "65536",
    "4294967296",
    "9" * 40,
    "١٢",
    "nan",
    "::",
    "127.0.0.1",
    "x" * 300,
    "\x00",
    "a=b",
    "%s",
)
MAX_GROWTH_MB = 64
# Mutated candidates are anybody's addresses: nothing may leave a network that has no way out.
NETWORK = (
    "ip link set lo up && ip link add media0 type veth peer name media1 && "
    'ip addr add 10.77.0.1/24 dev media0 && ip link set media0 up && ip link set media1 up && exec "$@"'
)


async def originals() -> list[str]:
    """Offers as they should be."""
    made = []
    for kinds in (("audio",), ("video",), ("video", "audio")):
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        for kind in kinds:
            connection.addTransceiver(kind, direction="sendonly")
        await connection.setLocalDescription(await connection.createOffer())
        made.append(connection.localDescription.sdp)
        await connection.close()
    return made


def mutations(offers: list[str], count: int, seed: int) -> Iterator[bytes]:
    """`count` offers, each with one to six things wrong; the same for the same `seed`."""
    chance = random.Random(seed)
    for _ in range(count):
        text = chance.choice(offers)
        for _ in range(chance.randint(1, 6)):
            text = chance.choice(MUTATIONS)(text, chance)
        body = text.encode(errors="surrogatepass")
        if chance.random() < 0.2:
            body = _flip(body, chance)
        yield body[: 1 << 17]


def _drop_line(text: str, chance: random.Random) -> str:
    lines = text.splitlines()
    if lines:
        del lines[chance.randrange(len(lines))]
    return "\r\n".join(lines) + "\r\n"


def _repeat_lines(text: str, chance: random.Random) -> str:
    lines = text.splitlines()
    start = chance.randrange(max(1, len(lines)))
    part = lines[start : start + chance.choice((1, 3, 30))]
    return "\r\n".join([*lines[:start], *part * chance.choice((2, 9, 70)), *lines[start:]]) + "\r\n"


def _swap_lines(text: str, chance: random.Random) -> str:
    lines = text.splitlines()
    if len(lines) > 1:
        one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
        lines[one], lines[other] = lines[other], lines[one]
    return "\r\n".join(lines) + "\r\n"


def _change_field(text: str, chance: random.Random) -> str:
    lines = text.splitlines()
    if not lines:
        return text
    at = chance.randrange(len(lines))
    separator = chance.choice((" ", ":", "=", ";", "/"))
    fields = lines[at].split(separator)
    fields[chance.randrange(len(fields))] = chance.choice(VALUES)
    lines[at] = separator.join(fields)
    return "\r\n".join(lines) + "\r\n"


def _change_line_ends(text: str, chance: random.Random) -> str:
    return chance.choice(LINE_ENDS).join(text.splitlines())


def _add_candidates(text: str, chance: random.Random) -> str:
    end = chance.choice(LINE_ENDS)
    number = chance.choice((1, 10, 64, 65, 1000))
    port = chance.choice((0, 53, 5000, 70_000))
    lines = [f"a=candidate:{n} 1 udp {n} 127.0.0.{n % 250} {port} typ host" for n in range(number)]
    return text + end.join(lines) + end


def _cut(text: str, chance: random.Random) -> str:
    return text[: chance.randrange(len(text) + 1)]


def _flip(body: bytes, chance: random.Random) -> bytes:
    changed = bytearray(body)
    for _ in range(chance.randint(1, 8)):
        if changed:
            changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


MUTATIONS = (_drop_line, _repeat_lines, _swap_lines, _change_field, _change_line_ends, _add_candidates, _cut)


async def fuzz(endpoint: str, count: int, seed: int) -> Counter[int]:
    """Run a stage at `endpoint` and offer all mutations; how many answers there were of each status.

    Raises:
        AssertionError: an answer that the stage does not give on purpose, a warning, or memory that grew.
    """
    stage = WebRtc(WebRtc.Settings(endpoint=endpoint, offers_per_second=10_000))
    harness = StageHarness(stage, mode="live")
    harness.clock = SystemClock()  # type: ignore[assignment]
    answers: Counter[int] = Counter()
    async with harness, aiohttp.ClientSession() as client:
        offers = await originals()
        began = _memory()
        for number, body in enumerate(mutations(offers, count, seed)):
            headers = {"Content-Type": SDP}
            async with client.post(f"{endpoint}/whip", data=body, headers=headers) as answer:
                text = await answer.text()
            answers[answer.status] += 1
            said = f"offer {number} of seed {seed}: {answer.status} {text} {harness.outputs.warnings}"
            assert answer.status in ON_PURPOSE, said
            assert "Traceback" not in text
        async with client.post(f"{endpoint}/whip", data=offers[-1], headers={"Content-Type": SDP}) as answer:
            assert answer.status == 201, await answer.text()
        assert not harness.outputs.warnings, harness.outputs.warnings
        grown = _memory() - began
        assert grown < MAX_GROWTH_MB, f"{grown:.0f} MB more than before"
        assert stage.counters["offers"] == count + 1
        assert stage.counters["refused"] == count + 1 - stage.counters["peers"]
    return answers


def _memory() -> float:
    now = sample(os.getpid())
    assert now is not None
    return now.memory


def main() -> None:
    """Fuzz and print the answers by status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--isolated", action="store_true", help="this network has no way out: use it as it is")
    arguments = parser.parse_args()
    if not arguments.isolated:
        command = [sys.executable, "-m", "benchmarks.fuzz.offers", *sys.argv[1:], "--isolated"]
        os.execvp("unshare", ["unshare", "--net", "sh", "-c", NETWORK, "sh", *command])
    answers = asyncio.run(fuzz("http://127.0.0.1:8099", arguments.count, arguments.seed))
    print(", ".join(f"{status}: {number}" for status, number in sorted(answers.items())))


if __name__ == "__main__":
    main()
