"""An archive of many recordings: how many a minute, what of the cores is of use, memory, and what killing it does.

    python -m benchmarks.studies.archive clip.mp4 other.flv … [--recordings 300] [--longest 30] [--jobs 2] [--json FILE]

The clips are cut and encoded again, 1 s to `--longest` each, most of them short: 4.2 s on average with 30. They are
archived three times: by one process, which is what the others are compared with; by `--jobs`; and by `--jobs` again,
killed (SIGKILL) twice at random moments and gone on with. All three must be the same bytes, and nothing that was over
may be played again.

*Useful cores* are the CPU that one warm process takes for all recordings, by the time that `--jobs` take.
"""

import argparse
import contextlib
import hashlib
import json
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from benchmarks.commands import environment
from benchmarks.figures import write_json
from benchmarks.procfs import children, sample
from emopipe.pipeline.graph.process_layout import cores

FPS = 25
HEIGHT = 480
SHORTNESS = 3  # 1 has lengths even by the logarithm
SAMPLE_S = 0.5
JOB = b"emopipe.archive.job"


@dataclass
class Run:
    """One pass over all recordings.

    Attributes:
        seconds: it took.
        cpu: seconds of the processor, loading included.
        memory: resident MB of the largest job, by time.
    """

    seconds: float
    cpu: float
    memory: list[float] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """By how many MB the largest job has grown between the second quarter and the last."""
        quarter = len(self.memory) // 4
        if not quarter:
            return 0.0
        early, late = self.memory[quarter : 2 * quarter], self.memory[-quarter:]
        return max(late) - max(early)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP")
    parser.add_argument("--recordings", type=int, default=300, metavar="N")
    parser.add_argument("--longest", type=float, default=30.0, metavar="S")
    parser.add_argument("--jobs", type=int, default=cores(), metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args(arguments)
    chance = random.Random(given.seed)
    with tempfile.TemporaryDirectory(prefix="archive-") as name:
        folder = Path(name)
        length = _make(folder / "in", given.clips, given.recordings, given.longest, chance)
        one = _archive(folder, "one", 1)
        several = _archive(folder, "several", given.jobs)
        done, again = _killed(folder, "killed", given.jobs, [several.seconds * chance.uniform(0.1, 0.5) for _ in "12"])
        contents = [_contents(folder / name) for name in ("one", "several", "killed")]
    useful = one.cpu / several.seconds
    figures: dict[str, Any] = {
        "recordings": given.recordings,
        "minutes": length / 60,
        "jobs": given.jobs,
        "one": asdict(one),
        "several": asdict(several),
        "a_minute": given.recordings / several.seconds * 60,
        "useful_cores": useful,
        "growth_mb": several.growth,
        "over_when_killed": done,
        "played_again": again,
        "same": contents[0] == contents[1] == contents[2],
    }
    print(f"{given.recordings} recordings, {length / 60:.1f} minutes; {given.jobs} processes on {cores()} cores")
    print(f"one process: {given.recordings / one.seconds * 60:.1f} a minute, {one.cpu:.1f} s of CPU")
    print(f"{given.jobs} processes: {figures['a_minute']:.1f} a minute, {several.cpu:.1f} s of CPU")
    print(f"useful cores: {useful:.2f}, {useful / min(given.jobs, cores()):.2f} of those at work")
    print(f"largest job: {max(several.memory, default=0):.0f} MB, and {several.growth:+.0f} MB from early to late")
    print(f"killed twice, when {done} were over: {again} of them played again; same bytes: {figures['same']}")
    if given.json is not None:
        write_json(given.json, figures)
    return 0 if figures["same"] and not again else 1


def _make(folder: Path, clips: Sequence[Path], count: int, longest: float, chance: random.Random) -> float:
    """Write the recordings; their length (s) together."""
    folder.mkdir()
    total = 0.0
    for number in range(count):
        seconds = longest ** (chance.uniform(0.0, 1.0) ** SHORTNESS)
        _cut(chance.choice(clips), folder / f"{number // 100}" / f"{number:04}.mp4", seconds, chance.uniform(0.0, 1.0))
        total += seconds
    return total


def _cut(clip: Path, path: Path, seconds: float, begin: float) -> None:
    """So many seconds of a clip, from a share `begin` of it on, and from its beginning again where it ends."""
    import av

    path.parent.mkdir(exist_ok=True)
    with av.open(str(path), "w") as out:
        with av.open(str(clip)) as source:
            video = source.streams.video[0] if source.streams.video else None
            width = 2 * round(video.width * HEIGHT / video.height / 2) if video else 0
            heard = bool(source.streams.audio)
        if video:
            shown = out.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "20"})
            shown.width, shown.height, shown.pix_fmt = width, HEIGHT, "yuv420p"
        if heard:
            spoken = out.add_stream("aac", rate=16_000, layout="mono")
        if video:
            for number, picture in enumerate(_looped(clip, "video", begin, round(seconds * FPS))):
                frame = picture.reformat(width, HEIGHT, "yuv420p")
                frame.pts, frame.time_base = number, Fraction(1, FPS)
                frame.pict_type = 0
                out.mux(shown.encode(frame))
            out.mux(shown.encode())
        if heard:
            resampler = av.AudioResampler("fltp", "mono", 16_000)
            sent = 0
            for frame in _looped(clip, "audio", begin, None):
                frame.pts = None
                for each in resampler.resample(frame):
                    each.pts, each.time_base = sent, Fraction(1, 16_000)
                    sent += each.samples
                    out.mux(spoken.encode(each))
                if sent >= seconds * 16_000:
                    break
            out.mux(spoken.encode())


def _looped(clip: Path, kind: str, begin: float, count: int | None) -> Iterator[Any]:
    """Decoded frames of a clip over and over, from a share of it on; pictures as if there were `FPS` a second."""
    import av

    with av.open(str(clip)) as source:
        skip = int(sum(1 for _ in source.decode(**{kind: 0})) * begin)
    sent = 0
    while True:
        with av.open(str(clip)) as source:
            for frame in source.decode(**{kind: 0}):
                if skip:
                    skip -= 1
                    continue
                if count is not None and sent >= count:
                    return
                sent += 1
                yield frame


def _command(folder: Path, out: str, jobs: int) -> list[str]:
    return [sys.executable, "-m", "emopipe", "archive", "in", "--out", out, "--jobs", str(jobs)]


def _archive(folder: Path, out: str, jobs: int) -> Run:
    """A pass that nothing disturbs."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    memory: list[float] = []
    with _started(folder, out, jobs) as process:
        while process.poll() is None:
            found = [sample(job) for job in children(JOB, process.pid)]
            if sizes := [each.memory for each in found if each is not None]:
                memory.append(max(sizes))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(SAMPLE_S)
        if process.returncode != 0:
            raise SystemExit(f"emopipe archive ended with {process.returncode}")
    seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Run(seconds, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, memory)


def _killed(folder: Path, out: str, jobs: int, moments: Sequence[float]) -> tuple[int, int]:
    """Passes that are killed after so many seconds, and one to the end; how many were over, and were played again."""
    over: dict[str, int] = {}  # the results of what was over when it was killed, by inode
    for moment in moments:
        with _started(folder, out, jobs) as process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(moment)
            process.send_signal(signal.SIGKILL)
        journal = folder / out / ".archive" / "journal"
        lines = journal.read_text().splitlines(keepends=True) if journal.exists() else []
        entries = dict(json.loads(line) for line in lines if line.endswith("\n"))
        over |= {each["result"]: (folder / out / each["result"]).stat().st_ino for each in entries.values()}
    _archive(folder, out, jobs)
    return len(over), sum((folder / out / name).stat().st_ino != inode for name, inode in over.items())


@contextlib.contextmanager
def _started(folder: Path, out: str, jobs: int) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(
        _command(folder, out, jobs), cwd=folder, env=environment(), stdout=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def _contents(folder: Path) -> dict[str, str]:
    """The hash of each file that says nothing of how it came to be."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".archive" not in path.parts
    }


if __name__ == "__main__":
    sys.exit(main())
