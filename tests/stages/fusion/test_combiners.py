"""A face and the voice as one distribution: the pool's, or a trained network's over a stream."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from emopipe.models.calibration import Selection
from emopipe.models.fusion.model import FaceObservation, FusionModel, SpeechObservation
from emopipe.models.fusion.networks import Decision
from emopipe.models.fusion.opinion_pool import shared
from emopipe.models.labels import FACE, SPEECH
from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.join import Released
from emopipe.pipeline.stream_join import latest_within
from emopipe.stages.fusion.combiners import Combiner, NetworkCombiner, PoolCombiner
from emopipe.stages.fusion.fuser import Fuser
from emopipe.stages.fusion.smoothing import Smoother
from emopipe.stages.types import FaceEmotion, FaceEmotions, SpeechEmotion
from tests.support.emotion_messages import FRAME, HOP, frame, over, window
from tests.support.random_weights import fusion_weights


def face(label: str = "happy", share: float = 0.8, quality: float = 1.0, number: int = 0) -> FaceEmotion:
    payload: FaceEmotions = frame(0, {number: label}, share=share, quality=quality).payload
    return payload.faces[0]


def spoken(label: str = "sad", end: int = HOP, share: float = 0.8) -> SpeechEmotion:
    payload: SpeechEmotion = window(end, label, share=share).payload
    return payload


def model(selective: tuple[Selection, ...] = ()) -> FusionModel:
    """A network that adds up the mean log-ratios of the face and those of the newest window."""
    network = Decision()
    weights = network.initial(np.random.default_rng(0))
    weights["face"] = np.zeros_like(weights["face"])
    for place, label in enumerate(SPEECH):
        if label != "calm":
            shown = FACE.index({"fearful": "fear", "surprised": "surprise"}.get(label, label))
            weights["face"][place, shown] = 1
    return FusionModel(network, weights, 1.0, selective)


def learned(history: float = 2.0, forget: float = 2.0, **weights: float) -> NetworkCombiner:
    return NetworkCombiner(model(), round(history * SECOND), round(forget * SECOND), **weights)


def said(probabilities: list[float]) -> str:
    return FACE[max(range(len(FACE)), key=probabilities.__getitem__)]


def test_both_halves_count() -> None:
    combine = learned()
    agreeing = combine.person(HOP, face("sad"), [spoken("sad")])
    alone = learned().person(HOP, face("sad"), [])
    assert said(agreeing.probabilities) == said(alone.probabilities) == "sad"
    assert max(agreeing.probabilities) > max(alone.probabilities)
    assert alone.face_weight == 1
    assert 0 < agreeing.face_weight < 1
    assert agreeing.evidence > alone.evidence > 0


def test_the_half_that_moves_the_answer_has_the_weight() -> None:
    strong = learned().person(HOP, face("happy", share=0.98), [spoken(share=0.2)])
    weak = learned().person(HOP, face("happy", share=0.2), [spoken(share=0.98)])
    assert strong.face_weight > 0.7
    assert weak.face_weight < 0.3


def test_a_face_is_judged_by_its_recent_past() -> None:
    combine = learned(history=1.0)
    for number in range(10):
        combine.person(number * FRAME, face("happy"), [])
    still = combine.person(10 * FRAME, face("fear", share=0.3), [])
    assert said(still.probabilities) == "happy"
    later = combine.person(10 * FRAME + 2 * SECOND, face("fear", share=0.3), [])
    assert said(later.probabilities) == "fear"


def test_each_face_has_a_past_of_its_own_until_it_is_forgotten() -> None:
    combine = learned(history=4.0, forget=0.5)
    combine.person(0, face("happy", number=1), [])
    other = combine.person(0, face("sad", number=2), [])
    assert said(other.probabilities) == "sad"
    back = combine.person(SECOND, face("sad", number=1), [])
    fresh = learned().person(SECOND, face("sad", number=1), [])
    assert back == fresh


def test_the_voice_alone_is_heard() -> None:
    combined = learned().voice(HOP, [spoken("angry")])
    assert said(combined.probabilities) == "angry"
    assert combined.face_weight == 0


def test_a_weight_of_zero_leaves_a_half_out() -> None:
    assert learned(voice_weight=0.0).person(HOP, face("happy"), [spoken("sad")]).face_weight == 1
    without_face = learned(face_weight=0.0).person(HOP, face("happy"), [spoken("sad")])
    assert without_face.probabilities == learned().voice(HOP, [spoken("sad")]).probabilities
    assert without_face.face_weight == 0


def test_a_smaller_weight_makes_a_half_count_less() -> None:
    weights = [
        learned(voice_weight=weight).person(HOP, face("happy"), [spoken("sad")]).face_weight
        for weight in (0.3, 1.0, 2.0)
    ]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] > weights[2]


def test_a_face_of_poor_quality_counts_less() -> None:
    good, poor = (
        learned().person(HOP, face("happy", quality=quality), [spoken("sad")]).face_weight for quality in (1.0, 0.2)
    )
    assert poor < good


def test_the_pool_has_no_memory() -> None:
    combine = PoolCombiner()
    combine.person(0, face("happy"), [])
    assert said(combine.person(FRAME, face("sad"), []).probabilities) == "sad"
    assert combine.person(FRAME, face("sad"), [spoken("happy"), spoken("sad", 2 * HOP)]) == combine.person(
        FRAME, face("sad"), [spoken("sad", 2 * HOP)]
    )


def test_answers_below_the_threshold_are_uncertain() -> None:
    fold = Fuser(learned(), partner=latest_within(SECOND), smoother=Smoother(0.0, 2.0), threshold=0.6)
    for place, (share, uncertain) in enumerate([(0.9, False), (0.3, True)]):
        message = frame(place * 5 * SECOND, {place: "happy"}, share=share)
        (output,) = fold.push(Released("faces", message.pts, message, False))
        assert output.result is not None
        assert output.result.faces[0].uncertain == uncertain
        assert (output.result.faces[0].confidence < 0.6) == uncertain
    earlier = window(20 * SECOND, "sad", share=0.3)
    fold.push(Released("speech", earlier.pts, earlier, False))
    (alone,) = fold.flush_voice_only()
    assert alone.result is not None
    assert alone.result.alone is not None
    assert alone.result.alone.uncertain


def test_a_shipped_network_says_what_a_notebook_says(tmp_path: Path) -> None:
    """The stage's way to a moment, with its log-ratios kept from frame to frame, is the notebook's."""
    trained = FusionModel.load(fusion_weights(tmp_path / "fusion.safetensors"))
    combine = NetworkCombiner(trained, 2 * SECOND, 2 * SECOND)
    shown = ["happy", "happy", "fear"]
    for place, label in enumerate(shown):
        combined = combine.person(place * FRAME, face(label, quality=0.5), [spoken("sad", end=0)])
    faces = [
        FaceObservation((2 - place) * FRAME / SECOND, over(FACE, label, 0.8), 0.5) for place, label in enumerate(shown)
    ]
    voice = SpeechObservation(2 * FRAME / SECOND, 0.0, over(SPEECH, "sad", 0.8))
    assert combined.probabilities == pytest.approx(shared(trained.fuse(faces, [voice]).tolist()))


@pytest.mark.parametrize("combiner", [learned, PoolCombiner])
def test_a_voice_counts_as_far_as_it_is_the_faces(combiner: Callable[[], Combiner]) -> None:
    shown, heard = face("happy", share=0.6), [spoken("sad", share=0.9)]
    whole, half, none, unheard = (
        combiner().person(HOP, shown, windows, share)
        for windows, share in ((heard, 1.0), (heard, 0.5), (heard, 0.0), ([], 1.0))
    )
    assert none.probabilities == pytest.approx(unheard.probabilities)
    assert (none.face_weight, none.evidence) == (1, unheard.evidence)
    sad = FACE.index("sad")
    assert half.probabilities[sad] == pytest.approx((whole.probabilities[sad] + none.probabilities[sad]) / 2)
    assert 1 - half.face_weight == pytest.approx((1 - whole.face_weight) / 2)
    assert sum(half.probabilities) == pytest.approx(1)
