"""Malformed media read as recordings: every file is read to its end or refused in words, in order and in flat memory.

    python -m benchmarks.fuzz.media --count 1000 --seed 7

Small recordings and pictures in ten containers are mutated: bytes, numbers of their headers, pieces cut out, doubled,
or of another file. The same seed gives the same files. A file may only raise `MediaError`; the times of what is read go
on, its audio does not overlap, what is left out is said, and no file takes longer than `MAX_SECONDS`. They are read in
processes of their own, so that a crash of FFmpeg is seen, and the number of the file that made it.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np

from benchmarks.procfs import sample
from emopipe.pipeline.errors import MediaError
from emopipe.stages.media.recording import Item, Recording

MAX_SECONDS = 20.0
MAX_GROWTH_MB = 96
BATCH_FILES = 100  # of one process
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
CONTAINERS = {  # suffix: codecs of video and audio
    "mp4": ("libx264", "aac"),
    "mov": ("mpeg4", "pcm_s16le"),
    "mkv": ("libx264", "flac"),
    "webm": ("libvpx", "libopus"),
    "avi": ("mpeg4", "pcm_s16le"),
    "ts": ("libx264", "mp2"),
    "flv": ("flv", "libmp3lame"),
    "wav": ("", "pcm_s16le"),
    "png": ("png", ""),
    "jpg": ("mjpeg", ""),
}


def make(path: Path) -> bytes:
    """A second of a moving bar and a tone, or one picture of it."""
    video, audio = CONTAINERS[path.suffix[1:]]
    with av.open(str(path), "w", format="image2" if path.suffix in (".png", ".jpg") else None) as container:
        shown = heard = None
        if video:
            shown = container.add_stream(video, rate=25)
            shown.width, shown.height = 96, 64
            shown.pix_fmt = {"png": "rgb24", "mjpeg": "yuvj420p"}.get(video, "yuv420p")
        if audio:
            heard = container.add_stream(audio, rate=48_000, layout="mono")
        for number in range(25 if audio else 1):
            if shown is not None:
                image = np.full((64, 96, 3), 40, np.uint8)
                image[:, number * 3 : number * 3 + 12] = 220
                container.mux(shown.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
            if heard is not None:
                wave = 8000 * np.sin(2 * np.pi * 300 * (number * 1920 + np.arange(1920)) / 48_000)
                frame = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], "s16", "mono")
                frame.sample_rate, frame.time_base, frame.pts = 48_000, Fraction(1, 48_000), number * 1920
                container.mux(heard.encode(frame))
        for stream in (shown, heard):
            if stream is not None:
                container.mux(stream.encode(None))
    return path.read_bytes()


def originals(folder: Path) -> dict[str, bytes]:
    """Recordings as they should be, by suffix."""
    return {suffix: make(folder / f"whole.{suffix}") for suffix in CONTAINERS}


def mutation(whole: dict[str, bytes], seed: int, number: int) -> tuple[str, bytes]:
    """File `number` of `seed`: its suffix, and its bytes with one to eight things wrong."""
    chance = random.Random(f"{seed}-{number}")
    suffix = chance.choice(sorted(whole))
    data = bytearray(whole[suffix])
    for _ in range(chance.randint(1, 8)):
        # Half of the harm is done to the first kilobyte, where headers are.
        at = chance.randrange(min(len(data), 1024) if chance.random() < 0.5 else len(data))
        length = chance.choice((1, 4, 16, 188, 1024, len(data) // 4))
        match chance.randrange(7):
            case 0:
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                value = chance.choice(NUMBERS).to_bytes(4, chance.choice(("big", "little")))
                data[at : at + 4] = value
            case 2:
                data[at : at + length] = chance.randbytes(min(length, len(data) - at))
            case 3:
                del data[at : at + length]
            case 4:
                data[at:at] = data[at : at + length]
            case 5:
                other = whole[chance.choice(sorted(whole))]
                start = chance.randrange(len(other))
                data[at : at + length] = other[start : start + length]
            case 6:
                del data[max(at, 16) :]
        if len(data) < 32:
            data += chance.randbytes(64)
    return suffix, bytes(data)


def faults(items: Sequence[Item], recording: Recording) -> Iterator[str]:
    """What is wrong with what was read."""
    for kind in ("video", "audio"):
        mine = [item for item in items if item.kind == kind]
        if any(item.pts < 0 or item.duration < 0 for item in mine):
            yield f"{kind} before its beginning"
        if any(b.pts < a.pts + (a.duration if kind == "audio" else 1) for a, b in pairwise(mine)):
            yield f"{kind} goes back"
    left_out = recording.counters["overlapping"] + recording.counters["late"]
    if left_out and not recording.damage:
        yield "something is left out, and nothing said"


def read(path: Path) -> str:
    """What became of a file: `read`, `damaged`, `refused`, or what is wrong with us."""
    began = time.monotonic()
    try:
        with Recording(path) as recording:
            items = list(recording)
    except MediaError as error:
        outcome = "refused" if str(path) in str(error) else f"no name in: {error}"
    else:
        outcome = next(faults(items, recording), "damaged" if recording.damage else "read")
    took = time.monotonic() - began
    return outcome if took <= MAX_SECONDS else f"took {took:.0f} s"


def memory() -> float:
    """MB of this process."""
    now = sample(os.getpid())
    assert now is not None
    return now.memory


def batch(seed: int, numbers: range) -> None:
    """Read files and print what became of each; the process may die of any."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = originals(folder)
        before = 0.0
        for number in numbers:
            suffix, data = mutation(whole, seed, number)
            path = folder / f"{number}.{suffix}"
            path.write_bytes(data)
            print(number, suffix, end=" ", flush=True)
            print(read(path), flush=True)
            path.unlink()
            if number == numbers[len(numbers) // 2]:
                before = memory()
        grown = memory() - before
        if grown > MAX_GROWTH_MB:
            print(numbers[-1], "all", f"memory grew by {grown:.0f} MB")


def run(seed: int, count: int) -> tuple[Counter[str], list[str]]:
    """How many files were read, damaged and refused, and what went wrong: a line a file."""
    outcomes: Counter[str] = Counter()
    wrong = []
    for start in range(0, count, BATCH_FILES):
        numbers = range(start, min(start + BATCH_FILES, count))
        ends = [str(numbers[0]), str(numbers[-1])]
        command = [sys.executable, "-m", "benchmarks.fuzz.media", "--seed", str(seed), "--batch", *ends]
        done = subprocess.run(command, capture_output=True, text=True, timeout=len(numbers) * MAX_SECONDS, check=False)
        for line in done.stdout.splitlines():
            number, suffix, outcome = line.split(" ", 2)
            outcomes[outcome] += outcome in ("read", "damaged", "refused")
            if outcome not in ("read", "damaged", "refused"):
                wrong.append(f"file {number} of seed {seed} (.{suffix}): {outcome or 'no answer'}")
        if done.returncode != 0:
            wrong.append(f"seed {seed}, after {done.stdout.splitlines()[-1:]}: {done.returncode}: {done.stderr[-300:]}")
    return outcomes, wrong


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz, and say what became of the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="how many files")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--batch", type=int, nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.batch:
        batch(args.seed, range(args.batch[0], args.batch[-1] + 1))
        return 0
    outcomes, wrong = run(args.seed, args.count)
    print(", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common() if count))
    print("\n".join(wrong) if wrong else "nothing went wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
