"""Replays of the full graph in which processes die, against an undisturbed one: the outputs must be the same bytes.

    python -m benchmarks.studies.crashes clip.mp4 other.mp4 … [--runs 200] [--seed 1] [--json FILE] [--set KEY=VALUE]

Each run writes results as JSON lines, CSV, a report and a film a recording. At a random moment, loading and closing
included, a random stage is killed (SIGKILL) or stopped (SIGSTOP); in a fifth of the runs another one is, later. In a
tenth it is the supervisor, and the run goes on with `--resume`. Afterwards every output is compared by its SHA-256, and
processes, sockets, folders for temporary files and the state beside the results that are left are counted.
The same seed chooses the same stages, signals and moments, as shares of the undisturbed run's time.
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.figures import write_json
from emopipe.pipeline.access.folder import PREFIX

OUTPUTS = ("results.jsonl", "results.csv", "report.html", "film-{stream}.mp4")
TIMEOUT_S = 600.0
MAX_TIMES = 2  # processes that die in a run
KILL_AFTER_S = 5.0  # a stopped process is found out so soon
SUPERVISOR = "supervisor"
MANIFEST = ".manifest.json"


@dataclass
class Strike:
    """What is done to whom: after `share` of an undisturbed run's time."""

    share: float
    victim: str
    number: signal.Signals


@dataclass
class Tally:
    """What has become of all runs."""

    runs: int = 0
    struck: Counter[str] = field(default_factory=Counter)  # by signal and stage
    missed: int = 0  # strikes after the run's end
    restarts: int = 0
    resumed: int = 0
    differing: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)  # by what it is
    seconds: list[float] = field(default_factory=list)


class Replays:
    """The runs, each in a folder of its own.

    Args:
        files: the recordings.
        overrides: of the graph.
    """

    def __init__(self, files: Sequence[Path], overrides: Sequence[str]) -> None:
        limits = [f"pipeline.supervision.kill_after={KILL_AFTER_S}", "pipeline.supervision.max_restarts=10"]
        each_alone = "pipeline.layout=stages"  # so that each can be struck by itself
        settings = [part for each in [each_alone, *limits, *overrides] for part in ("--set", each)]
        outs = [part for name in OUTPUTS for part in ("--out", name)]
        recordings = [str(file.resolve()) for file in files]
        self._usual: set[str] = set()  # what libraries leave in any run
        self._command = [sys.executable, "-m", "emopipe", "replay", *recordings, *outs, *settings]

    def undisturbed(self) -> tuple[dict[str, str], float]:
        """The outputs' hashes, and the seconds that a run takes."""
        with tempfile.TemporaryDirectory(prefix="crashes-") as folder, environment() as temporary:
            began = time.monotonic()
            subprocess.run(self._command, cwd=folder, check=True, stdout=subprocess.DEVNULL, timeout=TIMEOUT_S)
            seconds = time.monotonic() - began
            self._usual = set(left_behind(temporary))
            return hashes(Path(folder)), seconds

    def disturbed(self, strikes: Sequence[Strike], expected: dict[str, str], seconds: float, tally: Tally) -> None:
        """One run that is struck, and what comes of it, into `tally`."""
        tally.runs += 1
        with tempfile.TemporaryDirectory(prefix="crashes-") as folder, environment() as temporary:
            out = Path(folder) / "out"
            out.mkdir()
            began = time.monotonic()
            with (Path(folder) / "log").open("w") as log:
                code = self._play(out, log, strikes, seconds, tally)
            tally.seconds.append(round(time.monotonic() - began, 1))
            said = (Path(folder) / "log").read_text()
            tally.restarts += said.count("begins anew")
            name = f"run {tally.runs} ({', '.join(f'{s.number.name} {s.victim} at {s.share:.2f}' for s in strikes)})"
            if code:
                tally.failed.append(f"{name}: exit code {code}: {said.strip()[-500:]}")
            found = hashes(out)
            wrong = [each for each in sorted(expected | found) if expected.get(each) != found.get(each)]
            if wrong:
                tally.differing.append(f"{name}: {', '.join(wrong)}")
            tally.left += Counter(each for each in left_behind(temporary) if each not in self._usual)

    def _play(self, out: Path, log: Any, strikes: Sequence[Strike], seconds: float, tally: Tally) -> int:
        process = self._start(out, log, [])
        began = time.monotonic()
        for strike in strikes:
            time.sleep(max(0.0, began + strike.share * seconds - time.monotonic()))
            if (pid := self._find(process.pid, strike.victim)) is None:
                tally.missed += 1
                continue
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, strike.number)
                tally.struck[f"{strike.number.name} {strike.victim}"] += 1
            if strike.victim == SUPERVISOR:
                process.wait(TIMEOUT_S)
                tally.resumed += 1
                process = self._start(out, log, ["--resume"])
                began = time.monotonic()
        return process.wait(TIMEOUT_S)

    def _start(self, out: Path, log: Any, more: list[str]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([*self._command, *more], cwd=out, stdout=subprocess.DEVNULL, stderr=log)

    def _find(self, supervisor: int, victim: str) -> int | None:
        """The process that holds a stage, once it is there; None where the run is over."""
        if victim == SUPERVISOR:
            return supervisor if Path(f"/proc/{supervisor}/fd").exists() and _alive(supervisor) else None
        deadline = time.monotonic() + TIMEOUT_S
        while _alive(supervisor) and time.monotonic() < deadline:
            for pid in _children(supervisor):
                with contextlib.suppress(OSError):
                    if Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[-2:-1] == [victim.encode()]:
                        return pid
            time.sleep(0.02)
        return None


def hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file but manifests, which say when and by which command: by its path in the folder."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and not file.name.endswith(MANIFEST)]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@contextlib.contextmanager
def environment() -> Iterator[Path]:
    """Let what is started keep its temporary files in a folder of its own, short enough for sockets."""
    temporary = Path(tempfile.mkdtemp(prefix="x", dir="/tmp"))
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(temporary)
    try:
        yield temporary
    finally:
        del os.environ["TMPDIR"]
        if before is not None:
            os.environ["TMPDIR"] = before
        shutil.rmtree(temporary, ignore_errors=True)


def left_behind(temporary: Path) -> Iterator[str]:
    """What a run has left: processes that had their temporary files there, and the files themselves."""
    marked = f"TMPDIR={temporary}\0".encode()
    time.sleep(0.5)  # for what ends by itself when its supervisor is gone
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            own = int(folder.name) if folder.name.isdecimal() else os.getpid()
            if own != os.getpid() and _alive(own) and marked in (folder / "environ").read_bytes():
                yield "process"
    for path in temporary.rglob("*"):
        what = "socket" if path.is_socket() else "folder" if path.name.startswith(PREFIX) else "file"
        yield f"{what} {path.relative_to(temporary)}"


def plan(stages: Sequence[str], runs: int, seed: int) -> list[list[Strike]]:
    """The strikes of each run: every tenth at the supervisor, every fifth of the others twice."""
    chance = random.Random(seed)
    signals = (signal.SIGKILL, signal.SIGSTOP)
    plans = []
    for number in range(runs):
        if number % 10 == 9:
            plans.append([Strike(chance.uniform(0.1, 1.0), SUPERVISOR, signal.SIGKILL)])
            continue
        times = MAX_TIMES if number % 5 == 4 or number % 10 == 3 else 1
        shares = sorted(chance.uniform(0.1, 1.0) for _ in range(times))
        shares = [share + place for place, share in enumerate(shares)]  # the second one strikes the second attempt
        plans.append([Strike(share, chance.choice(stages), chance.choice(signals)) for share in shares])
    return plans


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="recordings")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures")
    arguments = parser.parse_args()
    stages = ["capture", "faces", "facial", "windows", "speech", "fusion", *(f"out{n}" for n in range(len(OUTPUTS)))]
    replays = Replays(arguments.files, arguments.overrides)
    expected, seconds = replays.undisturbed()
    tally = Tally()
    for strikes in plan(stages, arguments.runs, arguments.seed):
        replays.disturbed(strikes, expected, seconds, tally)
        state = f"{len(tally.differing)} differ, {len(tally.failed)} failed, left {dict(tally.left)}"
        print(f"{tally.runs}/{arguments.runs}: {tally.restarts} restarts, {tally.resumed} resumed; {state}", flush=True)
    figures: dict[str, Any] = {
        "recordings": [file.name for file in arguments.files],
        "seed": arguments.seed,
        "undisturbed_seconds": round(seconds, 1),
        "outputs": len(expected),
        "runs": tally.runs,
        "struck": dict(tally.struck),
        "missed": tally.missed,
        "restarts": tally.restarts,
        "resumed": tally.resumed,
        "differing": tally.differing,
        "failed": tally.failed,
        "left": dict(tally.left),
        "seconds": tally.seconds,
    }
    write_json(arguments.json, figures)
    print(json.dumps(figures, indent=2))
    return 1 if tally.differing or tally.failed or tally.left else 0


if __name__ == "__main__":
    sys.exit(main())
