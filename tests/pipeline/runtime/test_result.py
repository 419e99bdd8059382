"""emopipe.pipeline.runtime.result: warnings are kept once each, and never without bound."""

from emopipe.pipeline.runtime.result import KEPT, Outcome


def test_a_text_that_is_repeated_is_counted() -> None:
    outcome = Outcome()
    for _ in range(3):
        outcome.note("capture", "no picture", damage=False)
    outcome.note("webcam", "no picture", damage=True)
    assert [(w.stage, w.count) for w in outcome.warnings] == [("capture", 3), ("webcam", 1)]
    assert outcome.damaged


def test_the_first_and_the_newest_are_kept_and_damage_is_not_forgotten() -> None:
    outcome = Outcome()
    for number in range(10 * KEPT):
        outcome.note("capture", f"frame {number} is torn", damage=number == KEPT)
    texts = [warning.text for warning in outcome.warnings]
    assert len(texts) == 2 * KEPT
    assert texts[KEPT - 1] == f"frame {KEPT - 1} is torn"
    assert texts[-1] == f"frame {10 * KEPT - 1} is torn"
    assert outcome.damaged
    assert outcome.forgotten == 8 * KEPT
