"""A face and a voice together, from plain numbers: what a notebook uses."""

import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emopipe.models import checkpoint
from emopipe.models.fusion.model import (
    HISTORY_S,
    FaceObservation,
    FusionModel,
    SpeechObservation,
    centred_log_ratios,
    make_moment,
    timbre,
)
from emopipe.models.fusion.networks import MAX_WINDOWS, NETWORKS, STEP_S, STEPS, TIMBRE_SIZE
from emopipe.models.labels import FACE, SPEECH
from emopipe.pipeline.errors import ModelError
from tests.support.paths import ROOT
from tests.support.random_weights import facial_weights, fusion_weights


def over(labels: tuple[str, ...], label: str, share: float = 0.8) -> list[float]:
    return [share if each == label else (1 - share) / (len(labels) - 1) for each in labels]


def smiles(count: int = 30, rate: float = 30.0) -> list[FaceObservation]:
    return [FaceObservation(number / rate, over(FACE, "happy")) for number in range(count)]


SAD = SpeechObservation(0.2, 1.5, over(SPEECH, "sad"), np.linspace(-1, 1, TIMBRE_SIZE, dtype=np.float32))


@pytest.fixture(scope="module", params=list(NETWORKS))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FusionModel:
    path = fusion_weights(tmp_path_factory.mktemp("weights") / "fusion.safetensors", request.param)
    return FusionModel.load(path)


def test_either_half_may_be_missing(model: FusionModel) -> None:
    answers = [model.fuse(face, voice) for face in (smiles(), []) for voice in ([SAD], [])]
    for answer in answers:
        assert answer.shape == (len(SPEECH),)
        assert answer.sum() == pytest.approx(1)
        assert (answer > 0).all()
    assert len({answer.tobytes() for answer in answers}) == 4


def test_its_halves_are_worked_out_with_a_moment(model: FusionModel) -> None:
    heard = [SpeechObservation(0.2, 2.0, over(SPEECH, "sad"), np.ones(TIMBRE_SIZE, np.float32))]
    together = model.halves(make_moment(smiles(), heard))
    apart = [model.fuse(smiles(), heard), model.fuse(smiles()), model.fuse((), heard)]
    assert together == pytest.approx(np.array(apart), abs=1e-12)


def test_the_order_in_which_frames_and_windows_are_given_does_not_matter(model: FusionModel) -> None:
    earlier = SAD._replace(age=0.7, probabilities=over(SPEECH, "angry"))
    one = model.fuse([*smiles(20), FaceObservation(0.9, over(FACE, "fear"))], [earlier, SAD])
    other = model.fuse([FaceObservation(0.9, over(FACE, "fear")), *smiles(20)[::-1]], [SAD, earlier])
    assert one == pytest.approx(other, abs=1e-12)


def test_a_row_has_the_same_bits_alone_and_in_company(model: FusionModel) -> None:
    moments = [make_moment(smiles(count), [SAD]) for count in (1, 10, 60)]
    together = model.probabilities(type(moments[0])(*(np.concatenate(parts) for parts in zip(*moments, strict=True))))
    assert [row.tobytes() for row in together] == [model.probabilities(each)[0].tobytes() for each in moments]


def test_what_is_too_long_ago_does_not_count(model: FusionModel) -> None:
    past = [FaceObservation(HISTORY_S + 1, over(FACE, "angry"))]
    long_ago = SAD._replace(age=HISTORY_S + 1)
    assert model.fuse([*smiles(), *past], [SAD, long_ago]).tobytes() == model.fuse(smiles(), [SAD]).tobytes()


def test_a_crop_of_no_quality_says_nothing(model: FusionModel) -> None:
    blurred = [FaceObservation(0.1, over(FACE, "happy"), quality=0.0)]
    unsure = [FaceObservation(0.1, [1 / len(FACE)] * len(FACE))]
    assert model.fuse(blurred, [SAD]) == pytest.approx(model.fuse(unsure, [SAD]))


def test_fifteen_frames_a_second_say_what_sixty_say() -> None:
    slow, fast = make_moment(smiles(15, 15.0), []), make_moment(smiles(60, 60.0), [])
    assert np.array_equal(slow.seen, fast.seen)
    assert slow.face == pytest.approx(fast.face)


def test_steps_and_windows_are_newest_last() -> None:
    angry = SAD._replace(age=0.7, probabilities=over(SPEECH, "angry"))
    found = make_moment(
        [FaceObservation(0.0, over(FACE, "happy")), FaceObservation(STEP_S * 1.5, over(FACE, "sad"))], [SAD, angry]
    )
    assert found.seen[0].nonzero()[0].tolist() == [STEPS - 2, STEPS - 1]
    assert FACE[int(found.face[0, -1].argmax())] == "happy"
    assert [SPEECH[int(row.argmax())] for row in found.voice[0, -2:]] == ["angry", "sad"]
    assert found.heard[0].tolist() == [0] * (MAX_WINDOWS - 2) + [1, 1]
    assert found.length[0, -1] == pytest.approx(0.5)
    assert found.timbre[0].tolist() == np.linspace(-1, 1, TIMBRE_SIZE, dtype=np.float32).tolist()


@given(st.lists(st.floats(0, 1), min_size=7, max_size=7).filter(lambda values: sum(values) > 0))
def test_log_ratios_are_centred_finite_and_keep_the_order(values: list[float]) -> None:
    found = centred_log_ratios(np.array(values) / sum(values))
    assert np.isfinite(found).all()
    assert found.sum() == pytest.approx(0, abs=1e-9)
    assert found.argmax() == np.argmax(values) or max(values) - values[int(found.argmax())] < 1e-3 * sum(values)


@pytest.mark.parametrize("frames", [1, 3, 300])
def test_timbre_is_of_one_length(frames: int) -> None:
    mfcc = np.random.default_rng(0).normal(size=(frames, 40)).astype(np.float32)
    found = timbre(mfcc)
    assert found.shape == (TIMBRE_SIZE,)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert found[:40] == pytest.approx(mfcc.mean(0), abs=1e-5)


def test_an_unknown_timbre_is_that_of_the_average_voice(tmp_path: Path) -> None:
    model = FusionModel.load(fusion_weights(tmp_path / "fusion.safetensors", "feature"))
    average = np.linspace(0.5, 2, TIMBRE_SIZE)
    model.weights["timbre_mean"] = average
    known = model.fuse(smiles(), [SAD._replace(timbre=average.astype(np.float32))])
    assert model.fuse(smiles(), [SAD._replace(timbre=None)]) == pytest.approx(known, abs=1e-6)


def test_torch_is_not_needed(tmp_path: Path) -> None:
    path = fusion_weights(tmp_path / "fusion.safetensors")
    script = (
        "import sys; from pathlib import Path; from emopipe.models.fusion.model import FusionModel, FaceObservation\n"
        f"FusionModel.load(Path({str(path)!r})).fuse([FaceObservation(0.0, [1 / 7] * 7)])\n"
        "print([name for name in ('torch', 'cv2', 'mediapipe') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_wrong_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone\.safetensors: no such weights"):
        FusionModel.load(tmp_path / "gone.safetensors")
    with pytest.raises(ModelError, match="a facial model, but a fusion model is needed"):
        FusionModel.load(facial_weights(tmp_path / "facial.safetensors"))
    path = fusion_weights(tmp_path / "fusion.safetensors")
    state, card = checkpoint.load(path, "fusion")
    for change, message in (
        ({"network": "feature"}, "its weights do not fit the network 'feature'"),
        ({"network": "mixture"}, "network 'mixture' is unknown; the networks are decision, feature, attention"),
        ({"options": {"depth": 3}}, "unknown option depth"),
        ({"labels": list(FACE)}, "gives the labels angry"),
    ):
        checkpoint.save(path, state, msgspec.structs.replace(card, **change))
        with pytest.raises(ModelError, match=message):
            FusionModel.load(path)
