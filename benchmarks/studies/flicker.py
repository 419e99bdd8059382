"""Flicker of a calm face's label, with and without smoothing, and the delay that smoothing adds.

    python -m benchmarks.studies.flicker calm.mp4 neutral.flv … [--set stages.fusion.smoothing=0.5] [--json FILE]

Replays the recordings once, through two fusions that get the very same faces and voice: the graph's own, and one whose
`smoothing` is 0; beside them stands what the face's network says, frame by frame. A switch is a change of the most
probable label between two results of one face.

The delay is told twice: as the shift in time by which one series of distributions fits the other best, over all faces
of all recordings; and as the answer to a step, a face that has been neutral for 5 s and is happy from then on, at 30
frames a second: when the fused probability has gone 63 % of its way, and when the label changes.
"""

import argparse
import asyncio
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from benchmarks.figures import machine, table, write_json
from emopipe.graphs.ready import default_graph
from emopipe.graphs.replay import replay_table
from emopipe.models.labels import FACE
from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.errors import DataError
from emopipe.pipeline.graph.load import graph_from_table, read_table
from emopipe.pipeline.graph.spec import Graph
from emopipe.pipeline.runtime.supervisor import Supervisor
from emopipe.pipeline.testing import data, run_stage
from emopipe.stages.fusion.stage import Fusion
from emopipe.stages.types import Emotions, FaceEmotion, FaceEmotions

MAX_GAP_S = 2.0  # s; a face not seen for longer starts anew, and what it shows then is no switch
MAX_DELAY_S = 2.0  # s; no longer delay is looked for
STEP_S = 0.005  # s; how finely
SHOWN_SHARE = 0.7  # the probability of what the synthetic face shows
FPS = 30


@dataclass
class Series:
    """One face of one recording: when it was seen (s), and its distributions over `labels.FACE`, one row a result."""

    times: list[float] = field(default_factory=list)
    face: list[list[float]] = field(default_factory=list)
    fused: list[list[float]] = field(default_factory=list)
    smoothed: list[list[float]] = field(default_factory=list)


class Switches(NamedTuple):
    """The number of label changes, and the seconds of the face in view."""

    changes: int
    seconds: float

    @property
    def a_minute(self) -> float:
        return 60 * self.changes / self.seconds if self.seconds else float("nan")


class Response(NamedTuple):
    """The answer to a step, in s after it: 63 % of the way, and the change of the label."""

    way: float
    label: float


def switches(series: Iterable[tuple[ArrayLike, ArrayLike]]) -> Switches:
    """Count the switches in (times, distributions) pairs, one a face, all together."""
    changes, seconds = 0, 0.0
    for times, distributions in series:
        steps = np.diff(np.asarray(times, np.float64))
        seen = steps <= MAX_GAP_S
        changes += int((np.diff(np.argmax(distributions, axis=1)) != 0)[seen].sum()) if len(steps) else 0
        seconds += float(steps[seen].sum())
    return Switches(changes, seconds)


def delay(pairs: Iterable[tuple[ArrayLike, ArrayLike, ArrayLike]]) -> float:
    """By how many seconds the third of (times, distributions, later distributions) lags behind the second.

    That shift, in steps of `STEP_S` up to `MAX_DELAY_S`, at which both differ least (mean square, over all pairs).
    """
    shifts = np.arange(0, MAX_DELAY_S + STEP_S / 2, STEP_S)
    squares, counts = np.zeros(len(shifts)), np.zeros(len(shifts))
    for times, earlier, later in pairs:
        at, one, other = np.asarray(times), np.asarray(earlier), np.asarray(later)
        for number, shift in enumerate(shifts):
            within = at + shift <= at[-1]
            shifted = np.stack([np.interp(at[within] + shift, at, column) for column in other.T], axis=1)
            squares[number] += ((one[within] - shifted) ** 2).sum()
            counts[number] += within.sum()
    if not counts.any():
        return float("nan")
    means = np.divide(squares, counts, out=np.full(len(shifts), np.inf), where=counts > 0)
    return float(shifts[means.argmin()])


def response(times: ArrayLike, path: ArrayLike, changed: ArrayLike, at: float) -> Response:
    """The response of a probability's `path` to a step at `at`, and of the label; nan for what did not change."""
    when, values = np.asarray(times), np.asarray(path)
    before, after = values[when < at][-1], values[-1]
    gone = (when >= at) & ((values - before) / (after - before) >= 1 - np.exp(-1))
    new = (when >= at) & np.asarray(changed)
    return Response(*(float(when[there][0] - at) if there.any() else float("nan") for there in (gone, new)))


def step_response(settings: Fusion.Settings, seconds: float = 5.0) -> Response:
    """The response of a fusion with these settings to a face that is neutral for `seconds`, then happy as long."""
    shown = ["neutral"] * round(seconds * FPS) + ["happy"] * round(seconds * FPS)
    send = [("faces", data(_seen(label), round(number * SECOND / FPS))) for number, label in enumerate(shown)]
    results: list[Emotions] = run_stage(Fusion(settings), send, connect=["faces"]).payloads("emotions")
    people = [result.faces[0] for result in results]
    times = [number / FPS for number in range(len(people))]
    happy = [person.probabilities["happy"] for person in people]
    return response(times, happy, [person.emotion == "happy" for person in people], seconds)


def two_fusions(files: Sequence[Path], folder: Path, overrides: Sequence[str]) -> tuple[Graph, str]:
    """The default graph over `files`, its fusion twice, the second without smoothing; and the first one's name.

    Both write to `folder`: `smoothed.jsonl` and `plain.jsonl`.
    """
    path = default_graph()
    table = replay_table(read_table(path), [str(file) for file in files], [folder / "smoothed.jsonl"], realtime=False)
    stages: dict[str, Any] = table["stages"]
    name = next(name for name, stage in stages.items() if stage["use"] == "fusion")
    stages["plain"] = {
        "use": "jsonl",
        "path": str(folder / "plain.jsonl"),
        "inputs": {"emotions": "unsmoothed.emotions"},
    }
    stages["unsmoothed"] = dict(stages[name])
    # What is asked of the one fusion holds for the other, too.
    twice = [each.replace(f"stages.{name}.", "stages.unsmoothed.", 1) for each in overrides]
    return graph_from_table(table, path, [*overrides, *twice, "stages.unsmoothed.smoothing=0"]), name


def collect(smoothed: Iterable[str], plain: Iterable[str]) -> dict[str, list[Series]]:
    """The faces of each stream, from the lines of both files.

    Raises:
        DataError: they are not results of the same frames.
    """
    found: dict[str, dict[int, Series]] = defaultdict(lambda: defaultdict(Series))
    for one, other in zip(map(json.loads, smoothed), map(json.loads, plain), strict=True):
        if (one["stream"], one["pts"]) != (other["stream"], other["pts"]):
            raise DataError(f"{one['stream']} at {one['time']} s: the two fusions told of different moments")
        for person, unsmoothed in zip(one["faces"], other["faces"], strict=True):
            series = found[one["stream"]][person["id"]]
            series.times.append(one["pts"] / SECOND)
            series.face.append(_row(person["face"]["probabilities"]))
            series.fused.append(_row(unsmoothed["probabilities"]))
            series.smoothed.append(_row(person["probabilities"]))
    return {stream: list(faces.values()) for stream, faces in found.items()}


def measure(files: Sequence[Path], overrides: Sequence[str]) -> tuple[dict[str, list[Series]], Fusion.Settings]:
    """The series of both fusions over the recordings, and the settings of the one that smooths."""
    with TemporaryDirectory(prefix="emopipe-") as folder:
        graph, name = two_fusions(files, Path(folder), overrides)
        asyncio.run(Supervisor(graph).run())
        lines = [
            (Path(folder) / f"{file}.jsonl").read_text(encoding="utf-8").splitlines() for file in ("smoothed", "plain")
        ]
    settings: Fusion.Settings = graph.stages[name].settings
    return collect(*lines), settings


def counted(clip: str, faces: Sequence[Series]) -> dict[str, object]:
    """A row of the table of switches."""
    by_part = {
        part: switches((one.times, getattr(one, part)) for one in faces) for part in ("face", "fused", "smoothed")
    }
    label = FACE[int(np.mean([row for one in faces for row in one.smoothed], axis=0).argmax())] if faces else "–"
    return {"recording": clip, "s of a face": by_part["face"].seconds, "mostly": label} | {
        title: by_part[part].a_minute
        for part, title in {
            "face": "face's network",
            "fused": "fused, unsmoothed",
            "smoothed": "fused, smoothed",
        }.items()
    }


def delays(faces: Sequence[Series], settings: Fusion.Settings) -> list[dict[str, object]]:
    """The rows of the table of delays, in ms."""
    unsmoothed = msgspec.structs.replace(settings, smoothing=0.0)
    plain, smooth = step_response(unsmoothed), step_response(settings)
    shift = {
        "fused": delay((one.times, one.face, one.fused) for one in faces),
        "smoothed": delay((one.times, one.face, one.smoothed) for one in faces),
        "added": delay((one.times, one.fused, one.smoothed) for one in faces),
    }
    return [
        _delay("fused, unsmoothed, behind the face's network", shift["fused"], plain),
        _delay("fused, smoothed, behind the face's network", shift["smoothed"], smooth),
        _delay(
            f"what smoothing ({settings.smoothing:g} s) adds",
            shift["added"],
            Response(smooth.way - plain.way, smooth.label - plain.label),
        ),
    ]


def _delay(what: str, shift: float, answer: Response) -> dict[str, object]:
    return {
        "delay, ms": what,
        "best fit": round(1000 * shift),
        "step: 63 %": round(1000 * answer.way),
        "step: label": round(1000 * answer.label),
    }


def _seen(label: str) -> FaceEmotions:
    rest = (1 - SHOWN_SHARE) / (len(FACE) - 1)
    probabilities = [SHOWN_SHARE if each == label else rest for each in FACE]
    box = (0.3, 0.3, 0.3, 0.4)
    return FaceEmotions(faces=[FaceEmotion(id=0, box=box, score=1.0, quality=1.0, probabilities=probabilities)])


def _row(probabilities: Mapping[str, float]) -> list[float]:
    return [probabilities[label] for label in FACE]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP", help="recordings of a calm face")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE", help="as in run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    given = parser.parse_args()
    found, settings = measure(given.clips, given.overrides)
    everybody = [face for faces in found.values() for face in faces]
    rows = [counted(clip, faces) for clip, faces in found.items()]
    rows.append(counted("all", everybody))
    late = delays(everybody, settings)
    print(f"{machine()}\n\nswitches of the label a minute:\n\n{table(rows)}\n\n{table(late)}")
    write_json(given.json, {"switches_a_minute": rows, "delays_ms": late})


if __name__ == "__main__":
    main()
