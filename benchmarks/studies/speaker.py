"""Whose voice it is, in composed films of which that is known.

    M=../shared/media; python -m benchmarks.studies.speaker --speaker $M/ravdess/Actor_01/*.mp4 \\
        --speaker $M/crema-d/*.flv --silent $M/faces/WolfgangLanger_Pexels.mp4 $M/faces/single_face.mp4 [--json FILE]

Takes the clips of each person who speaks, and films of people who do not (of which the second half is shown: the rule
was chosen by the first). Puts one, two or three side by side; one speaks, or somebody who is not in view, or two speak
by turns; the others are shown as they are before or after they speak, to and fro. Replays the films through the
graph, and prints for each kind of film in how much of the speaking time there is a result of the voice, and in how much
of that it is given to who speaks at this moment (`now`), and to who was last heard in its window (`window`).
"""

import argparse
import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.studies.recordings import replay
from emopipe.graphs.ready import default_graph
from emopipe.models.envelope import STEP_NS, envelope
from emopipe.models.speech.vad import SAMPLE_RATE_HZ
from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.errors import DataError
from emopipe.stages.media.recording import Recording

TILE_PX = 360
FPS = 30
SPEECH_DB = 18.0  # below the loud steps of a clip: what is louder is speech, from the first such step to the last
BEFORE_S, AFTER_S = 0.5, 0.25  # the mouth moves before the first sound and after the last
MIN_SILENT_S = 0.3

Gray = NDArray[np.uint8]


class Clip(NamedTuple):
    """A recording of one person: square pictures with their times, the sound, and where in it is speech (s)."""

    times: list[float]
    pictures: list[Gray]
    sound: NDArray[np.float32]
    speech: tuple[float, float]

    @property
    def seconds(self) -> float:
        return int(len(self.sound) / SAMPLE_RATE_HZ * FPS) / FPS

    def picture(self, at: float) -> Gray:
        return self.pictures[max(0, bisect_right(self.times, at + 1e-6) - 1)]


class Person(NamedTuple):
    """Somebody, with the clips in which they speak, and where in a clip they are silent (s)."""

    clips: list[Clip]
    silent: Clip
    start: float
    end: float

    def silence(self, at: float) -> Gray:
        """The picture of them after `at` s of silence: their silent stretch to and fro."""
        length = self.end - self.start
        place = at % (2 * length)
        return self.silent.picture(self.start + min(place, 2 * length - place))


class Turn(NamedTuple):
    """One clip of a film: `speaker` is the place of who is seen to speak it, None if nobody in view does."""

    clip: Clip
    speaker: int | None


class Film(NamedTuple):
    kind: str
    people: list[Person]
    turns: list[Turn]

    @property
    def columns(self) -> int:
        return min(2, len(self.people))

    @property
    def rows(self) -> int:
        return -(-len(self.people) // self.columns)

    def place(self, box: Sequence[float]) -> int:
        """The place of who has their face there."""
        left, top, width, height = box
        column, row = int((left + width / 2) * self.columns), int((top + height / 2) * self.rows)
        return min(len(self.people) - 1, row * self.columns + column)

    def speech(self) -> Iterator[tuple[float, float, int | None]]:
        """From when to when (s) who speaks."""
        begin = 0.0
        for turn in self.turns:
            yield begin + turn.clip.speech[0], begin + turn.clip.speech[1], turn.speaker
            begin += turn.clip.seconds


class Score(NamedTuple):
    """Of `seconds` of speech `heard` is the share with a voice in the result; of that `now` and `window` are right."""

    films: int
    seconds: float
    heard: float
    now: float
    window: float
    lowest: float  # `now` of the worst film


def read(path: Path) -> Clip:
    times: list[float] = []
    pictures: list[Gray] = []
    blocks = [np.empty(0, np.float32)]
    with Recording(path) as recording:
        for item in recording:
            if item.kind == "audio":
                blocks.append(item.payload.samples if item.payload else _silence(item.duration))  # type: ignore[union-attr]
            elif item.payload is not None:
                times.append(item.pts / SECOND)
                pictures.append(_square(item.payload.luma))  # type: ignore[union-attr]
    sound = np.concatenate(blocks)
    return Clip(times, pictures, sound, _speech(sound))


def speaker(paths: Sequence[Path]) -> Person:
    clips = [read(path) for path in paths]
    stretches = [
        stretch
        for clip in clips
        for stretch in (
            (max(0.0, clip.speech[0] - BEFORE_S), clip, 0.0),
            (clip.times[-1] - clip.speech[1] - AFTER_S, clip, clip.speech[1] + AFTER_S),
        )
    ]
    length, clip, start = max(stretches, key=lambda stretch: stretch[0])
    if length < MIN_SILENT_S:
        raise DataError(f"{paths[0]}: nowhere in the clips is this person silent for {MIN_SILENT_S} s")
    return Person(clips, clip, start, start + length)


def onlooker(path: Path) -> Person:
    clip = read(path)
    return Person([], clip, clip.times[-1] / 2, clip.times[-1])


def films(speakers: Sequence[Person], silent: Sequence[Person]) -> Iterator[Film]:
    for person in speakers:
        others = [other for other in (*speakers, *silent) if other is not person]
        speaks = [Turn(clip, 0) for clip in person.clips]
        hidden = [Turn(clip, None) for clip in person.clips]
        yield Film("one in view, who speaks", [person], speaks)
        for other in others:
            yield Film("two in view, one speaks", [person, other], speaks)
            yield Film("one in view, another speaks", [other], hidden)
        for first, second in pairwise(others):
            yield Film("three in view, one speaks", [person, first, second], speaks)
            yield Film("two in view, another speaks", [first, second], hidden)
        for other in others:
            if other.clips:
                pairs = list(zip(person.clips, other.clips, strict=False))
                by_turns = [turn for a, b in pairs for turn in (Turn(a, 0), Turn(b, 1))]
                yield Film("two in view, by turns", [person, other], by_turns)
                in_and_out = [turn for a, b in pairs for turn in (Turn(a, 0), Turn(b, None))]
                for quiet in silent:
                    yield Film("two in view, one and another by turns", [person, quiet], in_and_out)


def write(film: Film, path: Path) -> None:
    with av.open(str(path), "w") as container:
        shown = container.add_stream("libx264", rate=FPS, options={"crf": "18", "preset": "veryfast"})
        shown.width, shown.height, shown.pix_fmt = TILE_PX * film.columns, TILE_PX * film.rows, "yuv420p"
        heard = container.add_stream("pcm_s16le", rate=SAMPLE_RATE_HZ, layout="mono")
        number = 0
        for turn in film.turns:
            for step in range(round(turn.clip.seconds * FPS)):
                tiles = [
                    turn.clip.picture(step / FPS) if place == turn.speaker else person.silence(number / FPS)
                    for place, person in enumerate(film.people)
                ]
                tiles += [np.zeros_like(tiles[0])] * (film.rows * film.columns - len(tiles))
                rows = [tiles[first : first + film.columns] for first in range(0, len(tiles), film.columns)]
                picture = av.VideoFrame.from_ndarray(np.block(rows), "gray")
                picture.pts, picture.time_base = number, Fraction(1, FPS)
                container.mux(shown.encode(picture))
                first, last = (number_of * SAMPLE_RATE_HZ // FPS for number_of in (step, step + 1))
                samples = (np.clip(turn.clip.sound[first:last], -1, 1) * 32767).astype(np.int16)
                block = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
                block.sample_rate, block.pts = SAMPLE_RATE_HZ, number * SAMPLE_RATE_HZ // FPS
                container.mux(heard.encode(block))
                number += 1
        for stream in (shown, heard):
            container.mux(stream.encode(None))


def said(film: Film, result: dict[str, Any]) -> int | None:
    """The place of who is given the voice: the likeliest, of the faces and of nobody."""
    odds: dict[int | None, float] = {None: 1.0}
    for face in result["faces"]:
        place = film.place(face["box"])
        odds[place] = odds.get(place, 0.0) + face["speaking"]
        odds[None] -= face["speaking"]
    return max(odds, key=odds.__getitem__)


def score(shown: Sequence[Film], results: Sequence[Sequence[dict[str, Any]]]) -> Score:
    """The score of some films, each with its results."""
    frames, heard, shares = 0, 0, []
    now, window = 0, 0
    for film, told in zip(shown, results, strict=True):
        right, among = 0, 0
        for result in told:
            at = result["pts"] / SECOND
            speaking = [who for start, end, who in film.speech() if start <= at <= end]
            if not speaking or result["source"] != "face":
                continue
            frames += 1
            if result["voice"] is None:
                continue
            among += 1
            answer = said(film, result)
            right += answer == speaking[0]
            last = [who for start, _, who in film.speech() if start < result["voice"]["end"] / SECOND]
            window += bool(last) and answer == last[-1]
        shares.append(right / among if among else 0.0)
        now, heard = now + right, heard + among
    return Score(
        len(shown), frames / FPS, heard / max(1, frames), now / max(1, heard), window / max(1, heard), min(shares)
    )


def _square(luma: Gray) -> Gray:
    height, width = luma.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = np.ascontiguousarray(luma[top : top + side, left : left + side])
    square: Gray = cv2.resize(middle, (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA)
    return square


def _silence(duration: int) -> NDArray[np.float32]:
    return np.zeros(duration * SAMPLE_RATE_HZ // SECOND, np.float32)


def _speech(sound: NDArray[np.float32]) -> tuple[float, float]:
    levels = envelope(sound)
    loud = np.flatnonzero(levels > np.percentile(levels, 95) - SPEECH_DB) if len(levels) else levels
    return (loud[0] * STEP_NS / SECOND, (loud[-1] + 1) * STEP_NS / SECOND) if len(loud) else (0.0, 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speaker", nargs="+", type=Path, action="append", required=True, help="one person's clips")
    parser.add_argument("--silent", nargs="+", type=Path, required=True, help="films of one silent person each")
    parser.add_argument("--graph", type=Path, help="the graph to replay them through (default: pipeline.toml)")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE", help="as in run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the table there")
    arguments = parser.parse_args()
    shown = list(films([speaker(paths) for paths in arguments.speaker], [onlooker(path) for path in arguments.silent]))
    with TemporaryDirectory(prefix="emopipe-") as folder:
        files = [Path(folder) / f"film-{number}.mkv" for number in range(len(shown))]
        for film, file in zip(shown, files, strict=True):
            write(film, file)
        results = replay(files, arguments.graph or default_graph(), arguments.overrides)
    told = [[result for result in results if result["stream"] == file.stem] for file in files]
    print(f"{'':38} {'films':>5} {'speech':>7} {'heard':>6} {'now':>6} {'window':>6} {'lowest':>6}")
    table = {}
    for kind in [*dict.fromkeys(film.kind for film in shown), "all"]:
        places = [place for place, film in enumerate(shown) if kind in (film.kind, "all")]
        found = table[kind] = score([shown[place] for place in places], [told[place] for place in places])
        shares = " ".join(f"{share:6.1%}" for share in found[2:])
        print(f"{kind:38} {found.films:5} {found.seconds:6.1f}s {shares}")
    if arguments.json:
        rows = {kind: found._asdict() for kind, found in table.items()}
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
