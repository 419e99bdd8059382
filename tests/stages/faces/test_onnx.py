"""Another maker's model for faces in a graph: its labels, emotions where it knows them, and what `check` says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emopipe.models.calibration import softmax
from emopipe.models.labels import FACE
from emopipe.pipeline.errors import ModelError
from emopipe.pipeline.message import Message
from emopipe.pipeline.testing import data, gap, run_stage
from emopipe.stages.faces.onnx import OnnxFacialInference
from emopipe.stages.types import Face, FaceEmotions, Faces
from tests.support.onnx_models import onnx_model
from tests.support.verbs import verb

WEIGHTS = [[1.0, -1.0, 0.5]]


def settings(path: Path, **given: Any) -> OnnxFacialInference.Settings:
    return OnnxFacialInference.Settings(model=str(path), **given)


def faces(*levels: int, pts: int = 0, picture: np.ndarray | None = None) -> Message:
    found = [
        Face(
            id=number,
            box=(0.1, 0.1, 0.2, 0.2),
            score=0.9,
            quality=0.5,
            crop=np.full((48, 48), level, np.uint8),
            picture=picture,
        )
        for number, level in enumerate(levels)
    ]
    return data(Faces(faces=found), pts)


def results(stage: OnnxFacialInference, *sent: Message) -> list[FaceEmotions]:
    outputs = run_stage(stage, [("faces", message) for message in sent])
    found: list[FaceEmotions] = outputs.payloads("emotions")
    return found


def test_a_model_with_labels_of_its_own_names_them(tmp_path: Path) -> None:
    path = onnx_model(tmp_path / "own.onnx", labels=["bored", "engaged", "happy"], weights=WEIGHTS)
    (first, second) = results(OnnxFacialInference(settings(path)), faces(0, 255), faces(51, pts=40))
    assert first.labels == second.labels == ["bored", "engaged", "happy"]
    assert [face.id for face in first.faces] == [0, 1]
    for face, level in zip([*first.faces, *second.faces], (0.0, 1.0, 0.2), strict=True):
        np.testing.assert_allclose(face.probabilities, softmax([level * np.array(WEIGHTS[0])])[0], atol=1e-6)


def test_a_model_of_emotions_gives_them_in_the_order_of_the_others(tmp_path: Path) -> None:
    path = onnx_model(tmp_path / "own.onnx", labels=["sadness", "joy", "calm"], weights=WEIGHTS)
    ((result,),) = [results(OnnxFacialInference(settings(path)), faces(255))]
    assert result.labels == list(FACE)
    sad, happy, neutral = softmax(np.array(WEIGHTS))[0]
    expected = {"sad": sad, "happy": happy, "neutral": neutral}
    np.testing.assert_allclose(result.faces[0].probabilities, [expected.get(label, 0.0) for label in FACE], atol=1e-6)


def test_a_label_counts_as_what_the_settings_say(tmp_path: Path) -> None:
    path = onnx_model(tmp_path / "own.onnx", labels=["contempt", "disgust", "happy"], weights=WEIGHTS)
    stage = OnnxFacialInference(settings(path, emotions={"contempt": "disgust"}))
    (result,) = results(stage, faces(255))
    contempt, disgust, happy = softmax(np.array(WEIGHTS))[0]
    assert result.labels == list(FACE)
    assert result.faces[0].probabilities[FACE.index("disgust")] == pytest.approx(contempt + disgust, abs=1e-6)
    assert result.faces[0].probabilities[FACE.index("happy")] == pytest.approx(happy, abs=1e-6)


def test_colours_are_seen_where_face_detection_cuts_them(tmp_path: Path) -> None:
    weights = [[9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0]]
    path = onnx_model(tmp_path / "own.onnx", ("N", 3, 32, 32), weights=weights)
    blue = np.full((32, 32, 3), (0, 0, 255), np.uint8)
    (result,) = results(OnnxFacialInference(settings(path, labels=["red", "green", "blue"])), faces(0, picture=blue))
    assert max(zip(result.faces[0].probabilities, result.labels, strict=True))[1] == "blue"
    with pytest.raises(ModelError, match="set picture = 32 in the stage face-detection"):
        results(OnnxFacialInference(settings(path)), faces(0))


def test_no_bit_depends_on_the_batch(tmp_path: Path) -> None:
    path = onnx_model(tmp_path / "own.onnx", labels=["a", "b", "c"], weights=WEIGHTS)
    sent = [faces(*range(number), pts=40 * place) for place, number in enumerate((1, 5, 0, 3))]
    found = [results(OnnxFacialInference(settings(path, batch_size=size)), *sent) for size in (1, 3, 16)]
    assert found[0] == found[1] == found[2]


def test_a_gap_stays_one(tmp_path: Path) -> None:
    stage = OnnxFacialInference(settings(onnx_model(tmp_path / "own.onnx")))
    outputs = run_stage(stage, [("faces", faces(1)), ("faces", gap(40, 40))])
    assert [message.pts for message in outputs.gaps("emotions")] == [40]


GRAPH = """
[stages.capture]
use = "test-pattern"
[stages.faces]
use = "face-detection"
inputs.video = "capture.video"
[stages.own]
use = "onnx-facial-inference"
inputs.faces = "faces.faces"
model = "{model}"
{more}
[stages.fusion]
use = "fusion"
inputs.faces = "own.emotions"
[stages.results]
use = "jsonl"
inputs.emotions = "fusion.emotions"
path = "{model}.jsonl"
"""


@pytest.mark.parametrize(
    ("model", "more", "problem"),
    [
        ({}, "", ""),
        ({"metadata": False}, "", 'does not say what its 3 outputs are called; set labels = ["…", "…"]'),
        ({}, 'labels = ["a", "b"]', "labels has 2 names, but the output"),
        ({"shape": ("N", 7)}, "", "takes no pictures of faces"),
        ({"shape": ("N", 1, 64, 64)}, "size = 32", "for pictures of 64 × 64, not of 32; leave size out"),
        ({"domain": "com.somebody"}, "", "export it without custom operators"),
        ({}, 'emotions = {{ cross = "angry" }}', '"cross" is none of the model\'s labels'),
        ({}, 'emotions = {{ sad = "blue" }}', '"blue" is no emotion'),
    ],
)
def test_check_says_in_one_line_what_does_not_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: dict[str, Any], more: str, problem: str
) -> None:
    path = onnx_model(tmp_path / "own.onnx", **model)
    graph = tmp_path / "own.toml"
    graph.write_text(GRAPH.replace("{model}", str(path)).replace("{more}", more.replace("{{", "{").replace("}}", "}")))
    assert verb("check", str(graph)) == (2 if problem else 0)
    (line,) = capsys.readouterr().out.splitlines()
    assert problem in line
    assert problem == "" or line.startswith(f"{graph}: stages.own")


@pytest.mark.parametrize("content", [None, b"not a model"])
def test_check_names_a_file_that_is_missing_or_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    path = tmp_path / "own.onnx"
    if content is not None:
        path.write_bytes(content)
    graph = tmp_path / "own.toml"
    graph.write_text(GRAPH.replace("{model}", str(path)).replace("{more}", ""))
    assert verb("check", str(graph)) == 2
    (line,) = capsys.readouterr().out.splitlines()
    assert f"stages.own.model: {path}: no " in line
