"""emopipe.pipeline.runtime.result: warnings are kept once each, and never without bound."""

from emopipe.pipeline.runtime.result import KEPT_WARNINGS, RunResult


def test_a_text_that_is_repeated_is_counted() -> None:
    result = RunResult()
    for _ in range(3):
        result.add_warning("capture", "no picture", damage=False)
    result.add_warning("webcam", "no picture", damage=True)
    assert [(w.stage, w.count) for w in result.warnings] == [("capture", 3), ("webcam", 1)]
    assert result.damaged


def test_the_first_and_the_newest_are_kept_and_damage_is_not_forgotten() -> None:
    result = RunResult()
    for number in range(10 * KEPT_WARNINGS):
        result.add_warning("capture", f"frame {number} is torn", damage=number == KEPT_WARNINGS)
    texts = [warning.text for warning in result.warnings]
    assert len(texts) == 2 * KEPT_WARNINGS
    assert texts[KEPT_WARNINGS - 1] == f"frame {KEPT_WARNINGS - 1} is torn"
    assert texts[-1] == f"frame {10 * KEPT_WARNINGS - 1} is torn"
    assert result.damaged
    assert result.forgotten == 8 * KEPT_WARNINGS
