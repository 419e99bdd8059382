"""Predictions as a table for people."""

import pytest

from emopipe.models.labels import FACE, SPEECH
from emopipe.predictor.prediction import EmotionPrediction, FacePrediction, Prediction, VoicePrediction
from emopipe.tables.prediction import print_predictions


def test_a_table_says_who_expresses_what(capsys: pytest.CaptureFixture[str]) -> None:
    row = dict(zip(FACE, (0.05, 0.05, 0.05, 0.6, 0.05, 0.05, 0.15), strict=True))
    sure = {"emotion": "happy", "confidence": 0.6, "probabilities": row}
    face = FacePrediction(**sure, uncertain=True, box=(0, 0, 1, 1), score=1.0, quality=1.0)
    print_predictions(
        [
            Prediction(
                image="a.png", faces=[face, face], audio="a.wav", fused=[EmotionPrediction(**sure, uncertain=False)] * 2
            ),
            Prediction(image="b.png", faces=[]),
        ]
    )
    shown = capsys.readouterr().out
    for text in ("face 1", "uncertain", "60 %", "neutral 15 %", "nobody speaks", "no face found", "both"):
        assert text in shown


def test_a_voice_is_told_in_the_labels_of_all_results(capsys: pytest.CaptureFixture[str]) -> None:
    row = dict(zip(SPEECH, (0.2, 0.3, 0.05, 0.05, 0.0, 0.25, 0.1, 0.05), strict=True))
    voice = VoicePrediction(emotion="calm", confidence=0.3, uncertain=False, probabilities=row, seconds=2.0, windows=[])
    print_predictions([Prediction(audio="[a].wav", voice=voice)])
    shown = " ".join(capsys.readouterr().out.split())
    assert "[a].wav │ voice │ neutral │ 50 % │ │ fear 25 %" in shown
