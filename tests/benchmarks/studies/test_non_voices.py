"""The study of what is no voice: which sounds are found, and how they are counted."""

import struct
import wave
import zipfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks.studies.non_voices import EXCERPTS, Judge, Score, formulas, instruments, sounds
from emopipe.pipeline.errors import DataError
from tests.support.voices import silence, voice


def write(path: Path, seconds: float) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes((8000 * np.sin(np.arange(int(16000 * seconds)) / 5)).astype("<i2").tobytes())
    return path


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data


def font() -> bytes:
    pcm = (8000 * np.sin(np.arange(4000) / 5)).astype("<i2").tobytes()
    headers = [
        (b"Flute", 0, 4000, 2000, 3000, 8000),
        (b"Choir Aah", 0, 4000, 2000, 3000, 8000),
        (b"EOS", 0, 0, 0, 0, 0),
    ]
    packed = b"".join(struct.pack("<20s5I6x", *header) for header in headers)
    return chunk(b"smpl", pcm) + chunk(b"shdr", packed)


def test_sounds_in_folders_archives_and_fonts(tmp_path: Path) -> None:
    write(tmp_path / "long.wav", 10)
    with zipfile.ZipFile(tmp_path / "sounds.whl", "w") as archive:
        archive.write(write(tmp_path / "bell.wav", 1), "package/ring.wav")
        archive.writestr("package/font.sf2", font())
        archive.writestr("package/read.me", "")
    found = list(sounds([tmp_path], leave_out="Aah"))
    names = [name for name, _ in found]
    assert {name.split()[0] for name in names} == {"bell.wav", "Flute", "ring.wav", "long.wav"}
    assert len(names) == 3 + EXCERPTS


def test_an_instrument_is_looped_at_its_own_rate() -> None:
    (name, sound), _ = instruments(font())
    assert name == "Flute"
    assert len(sound) == 3 * 16000
    assert np.abs(sound).max() == pytest.approx(0.5, abs=0.01)
    assert np.abs(sound[-1000:]).max() < 0.2


def test_what_is_no_sound_font_is_said() -> None:
    with pytest.raises(DataError, match="not a sound font"):
        list(instruments(b"RIFF"))


@pytest.mark.slow("runs the voice encoder over a minute of sound")
def test_sounds_are_counted_once_and_voices_come_through() -> None:
    judge = Judge(min_voice=0.5)
    score, through = judge.score([*formulas(1), ("nothing", silence(1.0))])
    assert score.sounds == 13
    assert score.heard >= 8
    assert (score.let_through, through) == (0, [])
    assert Judge(min_voice=0.0).score([("tone", voice(2.0))])[0] == Score(1, 1, 1, 0)
