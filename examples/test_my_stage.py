"""`my_stage.py` tested alone, without processes, sockets or models: `pytest examples/test_my_stage.py`."""

from my_stage import SmileMeter, Smiles

from emopipe.pipeline import SECOND
from emopipe.pipeline.testing import data, run_stage
from emopipe.stages.types import Emotions, Modality, PersonEmotion


def one_face(happy: float) -> Emotions:
    seen = {"happy": happy, "neutral": 1 - happy}
    face = Modality(probabilities=seen, weight=1.0, age=0, uncertain=False)
    person = PersonEmotion(id=7, box=(0, 0, 1, 1), emotion="happy", confidence=happy, probabilities=seen, face=face)
    return Emotions(source="face", faces=[person], voice=None, alone=None, forced=False)


def test_a_smile_is_as_long_as_the_face_has_been_happy() -> None:
    sends = [("emotions", data(one_face(happy), pts * SECOND)) for pts, happy in enumerate([0.1, 0.9, 0.8, 0.2])]
    outputs = run_stage(SmileMeter(), sends)
    assert outputs.payloads("smiles") == [Smiles(seconds=each) for each in ({}, {7: 0.0}, {7: 1.0}, {})]
