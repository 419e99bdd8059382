"""The facial inference stage with a real network: the same bits whatever the batch, clear errors about weights."""

import sys
from pathlib import Path

import numpy as np
import pytest

from emopipe.models.labels import FACE
from emopipe.pipeline.errors import ModelError
from emopipe.pipeline.message import Message
from emopipe.pipeline.testing import data, gap, run_stage
from emopipe.stages.faces.inference import FacialInference
from emopipe.stages.types import Face, FaceEmotions, Faces
from tests.support.random_weights import facial_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return facial_weights(tmp_path_factory.mktemp("weights") / "facial.safetensors")


def stage(weights: Path, batch_size: int = 16) -> FacialInference:
    return FacialInference(FacialInference.Settings(weights=str(weights), device="cpu", batch_size=batch_size))


def frames(counts: list[int], stream: str = "test") -> list[Message]:
    """Frames with so many faces each, of noise."""
    noise = np.random.default_rng(len(stream))
    return [
        data(
            Faces(
                faces=[
                    Face(
                        id=number,
                        box=(0.1 * number, 0.0, 0.1, 0.2),
                        score=0.9,
                        quality=0.5,
                        crop=noise.integers(0, 256, (48, 48), np.uint8),
                    )
                    for number in range(count)
                ]
            ),
            pts=40 * place,
            stream=stream,
        )
        for place, count in enumerate(counts)
    ]


def test_every_face_gets_a_distribution_and_keeps_its_name_and_place(weights: Path) -> None:
    sent = frames([2, 0, 1])
    outputs = run_stage(stage(weights), [("faces", message) for message in [*sent, gap(200, 40)]])
    results: list[FaceEmotions] = outputs.payloads("emotions")
    for message, result in zip(sent, results, strict=True):
        faces = [(face.id, face.box, face.score, face.quality) for face in message.payload.faces]
        assert [(face.id, face.box, face.score, face.quality) for face in result.faces] == faces
        for face in result.faces:
            assert len(face.probabilities) == len(FACE)
            assert sum(face.probabilities) == pytest.approx(1, abs=1e-6)
    assert [message.pts for message in outputs.gaps("emotions")] == [200]


def test_the_batch_changes_no_bit(weights: Path) -> None:
    script = [
        ("faces", m) for pair in zip(frames([1, 4, 0, 9, 2]), frames([5] * 5, "other"), strict=True) for m in pair
    ]
    results = [
        [message.payload for stream in ("test", "other") for message in outputs.data("emotions", stream)]
        for outputs in (run_stage(stage(weights, size), script) for size in (1, 3, 16))
    ]
    assert results[0] == results[1] == results[2]


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"nonsense" * 8)
    with pytest.raises(
        ModelError, match=r"damaged\.safetensors: damaged weights, .*; restore the file or train it again"
    ):
        run_stage(stage(damaged))


def test_weights_with_labels_of_their_own_name_them(tmp_path: Path) -> None:
    labels = [*FACE[1:], "contempt"]
    other = facial_weights(tmp_path / "other.safetensors", labels)
    (result,) = run_stage(stage(other), [("faces", message) for message in frames([1])]).payloads("emotions")
    assert result.labels == labels
    counted = FacialInference.Settings(weights=str(other), device="cpu", emotions={"contempt": "angry"})
    assert counted.check() == []
    (fused,) = run_stage(FacialInference(counted), [("faces", message) for message in frames([1])]).payloads("emotions")
    assert fused.labels == list(FACE)
    assert fused.faces[0].probabilities == [result.faces[0].probabilities[-1], *result.faces[0].probabilities[:-1]]
    (problem,) = FacialInference.Settings(weights=str(other), emotions={"boredom": "sad"}).check()
    assert "is none of the model's labels" in problem.text
    restless = facial_weights(tmp_path / "restless.safetensors", [*FACE[:-1], "contempt"])
    (problem,) = FacialInference.Settings(weights=str(restless), prior="neutral").check()
    assert "neutral is none of the model's labels" in problem.text


def test_a_neutral_prior_cures_a_sad_look(weights: Path) -> None:
    sent = [("faces", message) for message in frames([3])]
    neutral = []
    for share in (0.1, 0.3, 0.6, 0.9):
        settings = FacialInference.Settings(weights=str(weights), device="cpu", prior={"neutral": share})
        (result,) = run_stage(FacialInference(settings), sent).payloads("emotions")
        neutral.append([face.probabilities[FACE.index("neutral")] for face in result.faces])
    assert (np.diff(neutral, axis=0) > 0).all()


def test_a_wrong_prior_is_found_before_anything_runs() -> None:
    (problem,) = FacialInference.Settings(prior={"calm": 0.5}).check()
    assert problem == (
        "prior",
        '"calm" is no label; known are "angry", "disgust", "fear", "happy", "sad", "surprise" and "neutral"',
    )


def test_torch_can_compute_on_a_cpu(weights: Path) -> None:
    (message,) = frames([2])
    found = []
    for backend in ("onnxruntime", "torch"):
        settings = FacialInference.Settings(weights=str(weights), device="cpu", backend=backend)
        inference = FacialInference(settings)
        assert inference.load(weights, "cpu").backend == backend
        (result,) = run_stage(inference, [("faces", message)]).payloads("emotions")
        found.append([face.probabilities for face in result.faces])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-3, atol=1e-6)


def test_a_back_end_that_cannot_be_used_is_said_before_anything_runs(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = FacialInference.Settings(weights=str(weights), backend="torch")
    assert settings.check() == []
    monkeypatch.setitem(sys.modules, "torch", None)  # as where it is not installed
    (problem,) = settings.check()
    assert problem == ("backend", "torch cannot be used: torch is not installed; pip install torch, or choose another")
