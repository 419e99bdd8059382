"""The whole pipeline's results for recordings whose emotion is known: the faces, the voice, and both fused.

    python -m benchmarks.studies.recordings ../shared/media/ravdess ../shared/media/crema-d
        [--graph pipeline.toml] [--set stages.facial.weights=old.safetensors] [--json FILE]

Takes files, and folders of them, whose names tell the emotion as RAVDESS's (01-01-03-…) or CREMA-D's (1001_DFA_HAP_XX)
do; replays them through the graph; and prints for each clip, and for each of the three, the share of frames (of the
voice: of windows) whose most probable label is the right one, and what their average distribution says. In the labels
that faces and voice share calm counts as neutral.
"""

import argparse
import asyncio
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from emopipe.graphs.ready import default_graph
from emopipe.graphs.replay import replay_table
from emopipe.models.labels import FACE, SPEECH, SPEECH_TO_FACE
from emopipe.pipeline.errors import DataError
from emopipe.pipeline.graph.load import graph_from_table, read_table
from emopipe.pipeline.runtime.supervisor import Supervisor

CREMA_D = {"ANG": "angry", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
SUFFIXES = (".mp4", ".flv", ".mov", ".mkv", ".avi", ".webm")
PARTS = ("face", "voice", "fused")

Distribution = dict[str, float]


class PartSummary(NamedTuple):
    """One part's answers about one clip: of `n` frames or windows the share that is right; their mean's first label."""

    n: int
    right: float
    label: str
    confidence: float
    truth: float  # the mean's probability of the right label


def emotion_of(path: Path) -> str | None:
    """The emotion that a file's name tells, in the shared labels; none where it is neither corpus's name."""
    if code := re.fullmatch(r"\d\d-\d\d-0([1-8])-\d\d-\d\d-\d\d-\d\d", path.stem):
        return SPEECH_TO_FACE[SPEECH[int(code[1]) - 1]]
    if code := re.fullmatch(r"\d{4}_[A-Z]{3}_([A-Z]{3})_[A-Z]{2}", path.stem):
        return CREMA_D.get(code[1])
    return None


def recordings(paths: Iterable[Path]) -> list[Path]:
    """The files of known emotion among `paths` and in the folders among them."""
    found: list[Path] = []
    for path in paths:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        known = [file for file in files if file.suffix.lower() in SUFFIXES and emotion_of(file) is not None]
        if not known:
            raise DataError(f"{path}: no recording whose name tells its emotion as RAVDESS's or CREMA-D's do")
        found += known
    return found


def distributions(results: Iterable[dict[str, Any]]) -> dict[str, list[Distribution]]:
    """The distributions of each part, frame by frame (of the largest face) and window by window."""
    said: dict[str, list[Distribution]] = {part: [] for part in PARTS}
    windows: dict[tuple[int, int], Distribution] = {}
    for result in results:
        if voice := result["voice"]:
            windows[voice["start"], voice["end"]] = voice["probabilities"]
        if result["faces"]:
            person = max(result["faces"], key=lambda face: face["box"][2] * face["box"][3])
            said["face"].append(person["face"]["probabilities"])
            said["fused"].append(person["probabilities"])
    said["voice"] = list(windows.values())
    return said


def summarise(said: Sequence[Distribution], truth: str) -> PartSummary | None:
    """Summarise the distributions of one part; None if there are none."""
    if not said:
        return None
    mean = {label: sum(each[label] for each in said) / len(said) for label in FACE}
    right = sum(max(each, key=each.__getitem__) == truth for each in said) / len(said)
    label = max(mean, key=mean.__getitem__)
    return PartSummary(len(said), right, label, mean[label], mean[truth])


def replay(files: Sequence[Path], graph: Path, overrides: Sequence[str]) -> list[dict[str, Any]]:
    """All results of the files, as the graph writes them."""
    with TemporaryDirectory(prefix="emopipe-") as folder:
        out = Path(folder) / "results.jsonl"
        table = replay_table(read_table(graph), [str(file) for file in files], [out], realtime=False)
        asyncio.run(Supervisor(graph_from_table(table, graph, list(overrides))).run())
        return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def rows(
    files: Sequence[Path], results: Sequence[dict[str, Any]]
) -> Iterator[tuple[str, str, dict[str, PartSummary | None]]]:
    """Each clip's name, its emotion, and what each part says of it."""
    for file in files:
        truth = emotion_of(file)
        if truth is None:
            raise DataError(f"{file}: its name tells no emotion")
        said = distributions(result for result in results if result["stream"] == file.stem)
        yield file.stem, truth, {part: summarise(said[part], truth) for part in PARTS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="recordings, or folders of them")
    parser.add_argument("--graph", type=Path, help="the graph to replay them through (default: pipeline.toml)")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE", help="as in run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the table there")
    arguments = parser.parse_args()
    files = recordings(arguments.paths)
    graph = arguments.graph or default_graph()
    table = list(rows(files, replay(files, graph, arguments.overrides)))
    print("share of frames (voice: of windows) that are right · the average's first label and its probability")
    print(f"{'clip':22} {'shows':9}" + "".join(f" {part:<25}" for part in PARTS))
    for clip, truth, parts in table:
        cells = (f"{said.right:4.0%} · {said.label} {said.confidence:.2f}" if said else "–" for said in parts.values())
        print(f"{clip:22} {truth:9}" + "".join(f" {cell:<25}" for cell in cells))
    for part in PARTS:
        known = [(said, truth) for _, truth, parts in table if (said := parts[part])]
        if known:
            share = sum(said.right for said, _ in known) / len(known)
            clips = sum(said.label == truth for said, truth in known)
            mass = sum(said.truth for said, _ in known) / len(known)
            print(f"{part}: {clips} of {len(known)} clips, {share:.0%} of the frames; {mass:.2f} for the right label")
    if arguments.json:
        found = [
            {"clip": clip, "emotion": truth} | {part: said._asdict() if said else None for part, said in parts.items()}
            for clip, truth, parts in table
        ]
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
