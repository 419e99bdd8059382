"""Agreement by duration, Cohen's kappa and thresholds, against other ways to the same figures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emopipe.lab.agreement import cohens_kappa, common, compare, risk_setting
from emopipe.lab.annotations import Annotation
from emopipe.lab.results import Answer
from emopipe.models.calibration import threshold
from emopipe.models.checkpoint import WEIGHTS_DIR, read_card
from emopipe.models.labels import FACE
from emopipe.pipeline.clock import SECOND
from emopipe.stages.sinks.findings import Finding
from tests.support.factories import distribution


def answer(start: int, end: int, label: str, confidence: float = 0.8) -> Answer:
    return Answer(start, end, Finding(0, False, distribution(label, confidence), False))


def test_kappa_is_that_of_cohens_own_table() -> None:
    """Cohen 1960, table 1: proportions of two judges, po = .29, pe = .4145 … by hand for a smaller one here."""
    table = np.array([[20.0, 5.0], [10.0, 15.0]])
    assert cohens_kappa(table) == pytest.approx(0.4)
    assert cohens_kappa(table * 1e-9) == pytest.approx(0.4)
    assert cohens_kappa(np.zeros((2, 2))) is None
    assert cohens_kappa(np.array([[3.0, 0.0], [0.0, 0.0]])) is None
    assert cohens_kappa(np.array([[0.0, 5.0], [5.0, 0.0]])) == pytest.approx(-1)


spans = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20), st.sampled_from(FACE)), max_size=12)


@given(annotated=spans, said=spans)
def test_the_common_time_is_that_of_every_single_moment(
    annotated: list[tuple[int, int, str]], said: list[tuple[int, int, str]]
) -> None:
    annotations = [Annotation(*span) for span in _apart(annotated)]
    answers = [answer(*span) for span in sorted((start, start + length, label) for start, length, label in said)]
    found: dict[int, tuple[str, str]] = {}
    for label, given_answer, start, end in common(annotations, answers):
        for moment in range(start, end):
            assert moment not in found
            found[moment] = label, given_answer.finding.emotion
    expected: dict[int, tuple[str, str]] = {}
    reached = 0
    for each in answers:
        for moment in range(max(each.start, reached), each.end):
            for annotation in annotations:
                if annotation.start <= moment < annotation.end:
                    expected[moment] = annotation.label, each.finding.emotion
        reached = max(reached, each.end)
    assert found == expected


def _apart(given: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """The spans one after the other, with the pauses between them that `start` says."""
    made, at = [], 0
    for pause, length, label in given:
        made.append((at + pause % 7, at + pause % 7 + length, label))
        at = made[-1][1]
    return made


def test_a_threshold_is_found_where_answers_above_it_are_right() -> None:
    """200 s: confident answers are right, the others wrong in half of the cases."""
    answers, annotations = [], []
    for second in range(200):
        confident = second % 2 == 0
        right = confident or second % 4 == 1
        answers.append(answer(second * SECOND, (second + 1) * SECOND, "happy", 0.9 if confident else 0.5))
        annotations.append(Annotation(second * SECOND, (second + 1) * SECOND, "happy" if right else "sad"))
    made = compare("Anna", "face 0 fused", annotations, answers, [0.01, 0.1, 0.5])
    assert made.examples == 200
    assert made.agreement == pytest.approx(0.75)
    impossible, strict, loose = made.thresholds
    assert (impossible.threshold, impossible.setting) == (None, None)
    assert (strict.threshold, strict.coverage) == (0.9, 0.5)
    assert (loose.threshold, loose.coverage, loose.setting) == (0.0, 1.0, 1.0)
    assert strict.setting is not None
    assert threshold(read_card(WEIGHTS_DIR / "fusion.safetensors").selective, strict.setting) >= 0.9


def test_examples_are_a_second_apart() -> None:
    frames = [answer(n * SECOND // 30, (n + 1) * SECOND // 30, "happy") for n in range(90)]
    assert compare("a", "face 0", [Annotation(0, 3 * SECOND, "happy")], frames, []).examples == 3


@pytest.mark.parametrize(("who", "task"), [("face 0 fused", "fusion"), ("face 2", "facial"), ("voice", "speech")])
def test_the_setting_is_the_loosest_that_is_strict_enough(who: str, task: str) -> None:
    table = read_card(WEIGHTS_DIR / f"{task}.safetensors").selective
    wanted = table[len(table) // 2].threshold
    setting = risk_setting(who, wanted)
    assert setting is not None
    assert threshold(table, setting) >= wanted
    looser = [each for each in table if each.risk > setting]
    assert all(each.threshold < wanted for each in looser)
    assert risk_setting(who, 1.1) is None
