"""One peer of `benchmarks.peers`, in a process of its own: sends an encoded recording by WHIP, over and over.

    python -m benchmarks.peers.peer clip.mkv --endpoint http://127.0.0.1:8080 --name guest-1 --length 6 --seconds 20

Prints `joined` once it is connected. It leaves politely when its time is up, or on SIGTERM (exit code 0); exit code 3
says that the connection was lost before.
"""

import argparse
import asyncio
import signal
import sys
import time
from fractions import Fraction
from math import ceil
from pathlib import Path

from benchmarks.peers.whip_client import PacketTrack, WhipClient, packets

LOST_EXIT_CODE = 3
LEAD_S = 0.3  # s from the offer to the first packet


def looped(file: Path, kind: str, length: float, seconds: float) -> list[tuple[bytes, int, Fraction]]:
    """The packets of a track, as often as `seconds` needs; a round is exactly `length` s, whatever the file says."""
    once = [each for each in packets(file, kind) if 0 <= float(each[1] * each[2]) < length - 0.001]
    return [
        (data, pts + round(turn * length / base), base)
        for turn in range(ceil(seconds / length) + 1)
        for data, pts, base in once
    ]


async def stay(file: Path, endpoint: str, name: str, length: float, seconds: float) -> int:
    """Join, send, and leave after `seconds`; the exit code."""
    start = time.monotonic() + LEAD_S
    tracks = []
    for kind, codec in (("video", "video/vp8"), ("audio", "audio/opus")):
        track = PacketTrack(kind, looped(file, kind, length, seconds), start)
        track.codec = codec  # type: ignore[attr-defined]
        tracks.append(track)
    over, lost = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    async with WhipClient(endpoint, tracks, name=name) as client:

        def changed() -> None:
            if client.connection.connectionState in ("failed", "closed") and not over.is_set():
                lost.set()
                over.set()

        client.connection.on("connectionstatechange", changed)
        print("joined", client.stream, flush=True)
        try:
            async with asyncio.timeout(seconds):
                await over.wait()
        except TimeoutError:
            over.set()
    return LOST_EXIT_CODE if lost.is_set() else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="of VP8 and Opus")
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--length", type=float, required=True, help="of one round, in s")
    parser.add_argument("--seconds", type=float, required=True, help="how long to stay")
    given = parser.parse_args()
    sys.exit(asyncio.run(stay(given.file, given.endpoint, given.name, given.length, given.seconds)))


if __name__ == "__main__":
    main()
