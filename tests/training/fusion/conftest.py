"""Real pairs of a face and a voice, and what a network with random weights says of the voices."""

from pathlib import Path

import pytest

from emopipe.training.fusion import pairs
from emopipe.training.fusion.out_of_fold import SpeechAnswerCache, SpeechAnswers
from emopipe.training.fusion.pairs import Pairs
from tests.support.pairs import faces, voices
from tests.support.random_weights import speech_weights

ACTORS = (1, 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pairs")


@pytest.fixture(scope="module")
def found(folder: Path) -> Pairs:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return pairs.read(voices(folder / "data", ACTORS), faces(folder / "faces.parquet", (*ACTORS, 4)))


@pytest.fixture(scope="module")
def heard(folder: Path, found: Pairs) -> list[SpeechAnswers]:
    weights = speech_weights(folder / "speech.safetensors")
    return SpeechAnswerCache(folder / "cache").of([pair.clip for pair in found.pairs], weights)
