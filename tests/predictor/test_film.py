"""Films give what a replay of them writes, and what their frames and their sound give alone."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from emopipe import EmotionPredictor
from emopipe.graphs.ready import default_graph
from emopipe.graphs.replay import replay_table
from emopipe.models.fusion.opinion_pool import shared
from emopipe.pipeline.graph.load import graph_from_table, read_table
from emopipe.pipeline.runtime.supervisor import Supervisor
from emopipe.predictor.faces import FacePredictor
from emopipe.predictor.options import Options
from emopipe.predictor.prediction import Prediction
from emopipe.stages.faces.detection import FaceDetection
from emopipe.stages.faces.inference import FacialInference
from emopipe.stages.media.recording import Recording
from emopipe.stages.types import VideoFrame

pytestmark = pytest.mark.slow("plays films through a whole graph")

Image = NDArray[np.uint8]


def rounded(values: Any) -> list[float]:
    return [round(float(value), 6) for value in values]


def test_a_film_gives_what_a_replay_of_it_writes(
    film: Prediction, clip: Path, weights: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "results.jsonl"
    table = replay_table(read_table(default_graph()), [str(clip)], [out], realtime=False)
    settings = [f'stages.{name}.weights="{weights[name]}"' for name in ("facial", "speech")]
    asyncio.run(Supervisor(graph_from_table(table, default_graph(), settings)).run())
    assert film.moments == [msgspec.json.decode(line) for line in out.read_bytes().splitlines()]
    assert sum(len(moment["faces"]) for moment in film.moments) >= 17


def test_each_frame_as_a_picture_gives_what_the_film_says_of_it(
    film: Prediction, clip: Path, weights: dict[str, Path]
) -> None:
    with Recording(clip) as recording:
        frames = [item.payload for item in recording if isinstance(item.payload, VideoFrame)]
    options = Options("cpu", "training", None, 1)
    faces = FacePredictor(weights["facial"], options, FaceDetection.Settings(), FacialInference.Settings())
    alone = [face for found in faces.predict(frames, whole=False) for face in found]
    faces.close()
    filmed = [face for moment in film.moments if moment["source"] == "face" for face in moment["faces"]]
    assert len(alone) == len(filmed) >= 17
    for one, other in zip(alone, filmed, strict=True):
        assert rounded(one.probabilities.values()) == list(other["face"]["probabilities"].values())
        assert rounded(one.box) == other["box"]


def test_the_sound_alone_gives_the_windows_of_the_film(
    film: Prediction, predictor: EmotionPredictor, clip: Path
) -> None:
    answer = predictor.predict_from_file(audio_path=clip).voice
    assert answer is not None
    alone = [(w.start, w.end, rounded(shared(list(w.probabilities.values())))) for w in answer.windows]
    voices = [moment["voice"] for moment in film.moments if moment["voice"]]
    filmed = {(v["start"] / 1e9, v["end"] / 1e9): list(v["probabilities"].values()) for v in voices}
    assert len(alone) >= 3
    assert [(start, end) for start, end, _ in alone if (start, end) in filmed] == sorted(filmed)
    for start, end, row in alone:
        assert filmed.get((start, end), row) == row
