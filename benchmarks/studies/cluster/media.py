"""Recordings on one process and on two Ray nodes: the same bytes, and no message that arrives before it was sent.

    python -m benchmarks.studies.cluster.media CLIP… [--json FILE]

Each recording is replayed at its own pace, once in one process and once on two nodes. The second one is in a network
namespace of its own and, where the system can do that, has another monotonic clock. Pictures and sound go there, crops
come back to be judged and voices already are, all over CURVE. Results hold what fusion has aligned, by event time: with
the same bytes the alignment is the same. What messages take from stage to stage is in the runs' traces, by clocks that
are known within an error; by more than that nothing may arrive early.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, NamedTuple

from benchmarks.clips import read_clip
from benchmarks.commands import Command
from benchmarks.figures import machine, percentiles, table, write_json
from benchmarks.hosts import Host, can_isolate, isolated
from benchmarks.playing import GRAPH
from benchmarks.studies.cluster.nodes import Nodes
from benchmarks.studies.cluster.transits import Transit, transits
from emopipe.arguments.cluster import need_ray
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.text import readable

SINK = "console"
PROCESSES = {"capture": "near", "windows": "near", "fusion": "near", "facial": "expressions", SINK: "results"}
FAR_PROCESSES = {"faces": "vision", "speech": "voice"}
ZONES = dict.fromkeys(("near", "expressions"), "a") | dict.fromkeys(FAR_PROCESSES.values(), "b")
CROSSING = ("capture.video", "faces.faces", "windows.windows", "speech.emotions")
WRONG = 1  # the exit code where bytes were others, or a message came too early


class Run(NamedTuple):
    """What came of a replay.

    Attributes:
        results: as they were written.
        age: p50 and p95 (ms) from a result's capture to the sink.
        transits: of all messages.
    """

    results: str
    age: tuple[float, float]
    transits: list[Transit]


class Comparison(NamedTuple):
    """A replay in one process, and on two nodes."""

    here: Run
    there: Run

    @property
    def same(self) -> bool:
        return self.here.results == self.there.results

    @property
    def early(self) -> list[Transit]:
        """The messages that arrived before they were sent, by more than their clocks may differ."""
        return [each for each in self.there.transits if not each.possible]

    @property
    def crossed(self) -> list[Transit]:
        """The messages from one node to the other."""
        return [each for each in self.there.transits if each.output in CROSSING]

    def row(self) -> dict[str, object]:
        """Its figures."""
        p50, p95 = percentiles([each.ms for each in self.crossed], (50, 95))
        return {
            "results": self.here.results.count("\n"),
            "same bytes": str(self.same),
            "age p50 ms": self.here.age[0],
            "p95": self.here.age[1],
            "on two nodes p50": self.there.age[0],
            "two p95": self.there.age[1],
            "between nodes p50": p50,
            "between p95": p95,
            "earliest ms": min(each.ms for each in self.crossed),
            "clocks ± ms": max(each.error for each in self.crossed),
            "too early": len(self.early),
        }


def compare(clips: Sequence[Path], nodes: Nodes, folder: Path, *, realtime: bool = True) -> Comparison:
    """Replay recordings, one after the other, in one process and on two nodes.

    Args:
        folder: for what the runs write.
        realtime: at their own pace.

    Raises:
        EmopipeError: nothing came of it.
    """
    settings: dict[str, object] = {
        "stages.capture.use": "file-capture",
        "stages.capture.uri": json.dumps([str(path.resolve()) for path in clips]),
        "stages.capture.realtime": json.dumps(realtime),
        f"stages.{SINK}.use": "jsonl",
    }
    places = {f"stages.{stage}.process": f'"{name}"' for stage, name in (PROCESSES | FAR_PROCESSES).items()}
    places |= {f"processes.{name}.label": f'{{ zone = "{zone}" }}' for name, zone in ZONES.items()}
    here = _run(folder / "here", settings, "--one-process")
    there = _run(folder / "there", settings | places, "--on", "ray", environment=nodes.environment)
    return Comparison(here, there)


def _run(
    folder: Path,
    settings: Mapping[str, object],
    *options: str,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Run:
    folder.mkdir(exist_ok=True)
    results, figures, trace = (folder / name for name in ("results.jsonl", "figures.json", "trace.json"))
    given = {**settings, f"stages.{SINK}.path": f'"{results}"'}
    sets = [text for key, value in given.items() for text in ("--set", f"{key}={value}")]
    command = ("run", GRAPH, *sets, *options, "--json", figures, "--trace", trace)
    failure = f"no result came of emopipe run {' '.join(options)}"
    with Command(*command, folder=folder, failure=failure, more=environment) as running:
        running.wait()
    found: dict[str, Any] = json.loads(figures.read_text())
    age = found["stages"][SINK]["age_ms"]
    errors = {name: process["clock_error_ms"] for name, process in found["processes"].items()}
    moved = transits(json.loads(trace.read_text()), errors)
    return Run(results.read_text(), (age["p50"], age["p95"]), moved)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP", help="recordings with pictures")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures there")
    parser.add_argument("--isolated", action="store_true", help="this network has no way out: use it as it is")
    given = parser.parse_args(arguments)
    found: dict[str, Comparison] = {}
    try:
        need_ray()
        clips = [read_clip(path) for path in given.clips]
        if not given.isolated:
            if not can_isolate():
                raise EmopipeError("needs network namespaces: run as root, or allow users to make them")
            own = sys.argv[1:] if arguments is None else arguments
            command = isolated([sys.executable, "-m", "benchmarks.studies.cluster.media", *own, "--isolated"])
            os.execvp(command[0], command)
        with TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as name, Host() as far:
            with Nodes(Path(name), far) as nodes:
                nodes.start_second()
                for clip in clips:
                    found[str(clip)] = compare([clip.path], nodes, Path(name))
    except EmopipeError as error:
        print(f"media: {readable(error)}", file=sys.stderr)
        return error.exit_code
    rows = [{"": clip.path.name, **found[str(clip)].row()} for clip in clips]
    print(f"{machine()}, other clock on the second node: {bool(nodes.shift)}\n\n{table(rows)}")
    right = all(each.same and not each.early for each in found.values())
    print(f"\nsame bytes, and nothing early by more than the clocks may differ: {right}")
    write_json(given.json, {"rows": rows, "shifted": bool(nodes.shift), "right": right})
    return 0 if right else WRONG


if __name__ == "__main__":
    sys.exit(main())
