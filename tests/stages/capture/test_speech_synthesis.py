"""The voice of test sources."""

import subprocess
import sys

import numpy as np
import pytest

from emopipe.pipeline.errors import MediaError
from emopipe.stages.capture import speech_synthesis as speaking
from emopipe.stages.capture.pattern import WORDS


@pytest.fixture(autouse=True)
def _voice() -> None:
    pytest.importorskip("espeakng_loader", reason="needs the optional package espeakng-loader")


def test_it_speaks() -> None:
    short, long = speaking.speak("yes", "nobody told me that the last train had left")
    assert short.dtype == np.float32
    assert 0.1 < len(short) / 16_000 < 1.5 < len(long) / 16_000 < 5
    assert 0.1 < np.abs(long).max() <= 1
    assert np.abs(long[:160]).max() > 0.005  # from its first sample on


def test_it_says_the_same_in_every_process() -> None:
    code = (
        "import hashlib; from emopipe.stages.capture.speech_synthesis import speak;"
        "from emopipe.stages.capture.pattern import WORDS;"
        "print(hashlib.sha256(b''.join(s.tobytes() for s in speak(*WORDS))).hexdigest())"
    )
    said = {subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(2)}
    assert len(said) == 1
    assert all(len(words) >= 2.5 * 16_000 for words in speaking.speak(*WORDS))


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speaking, "installed", lambda: False)
    speaking._load.cache_clear()
    with pytest.raises(MediaError, match=r"needs espeakng-loader: pip install 'emopipe\[demo\]'"):
        speaking.speak("never said before")


def test_data_that_cannot_be_read() -> None:
    code = (
        "import espeakng_loader; espeakng_loader.get_data_path = lambda: '/nowhere/' + 'x' * 200\n"
        "from emopipe.pipeline.errors import MediaError\nfrom emopipe.stages.capture.speech_synthesis import speak\n"
        "try: speak('hello')\nexcept MediaError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert "eSpeak NG cannot read its data in /nowhere/" in said.stdout
