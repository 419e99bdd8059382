"""emopipe.pipeline.runtime.result: warnings are kept once each, and never without bound."""

from emopipe.pipeline.runtime.result import KEPT_WARNINGS, MAX_PENDING_TEXTS, PendingWarnings, RunResult, RunWarning


def test_a_text_that_is_repeated_is_counted() -> None:
    result = RunResult()
    for _ in range(3):
        result.add_warning(RunWarning("capture", "no picture", damage=False))
    result.add_warning(RunWarning("webcam", "no picture", damage=True))
    assert [(w.stage, w.count) for w in result.warnings] == [("capture", 3), ("webcam", 1)]
    assert result.damaged


def test_the_first_and_the_newest_are_kept_and_damage_is_not_forgotten() -> None:
    result = RunResult()
    for number in range(10 * KEPT_WARNINGS):
        result.add_warning(RunWarning("capture", f"frame {number} is torn", damage=number == KEPT_WARNINGS))
    texts = [warning.text for warning in result.warnings]
    assert len(texts) == 2 * KEPT_WARNINGS
    assert texts[KEPT_WARNINGS - 1] == f"frame {KEPT_WARNINGS - 1} is torn"
    assert texts[-1] == f"frame {10 * KEPT_WARNINGS - 1} is torn"
    assert result.damaged
    assert result.forgotten == 8 * KEPT_WARNINGS


def test_a_warning_is_told_when_it_is_new_and_each_time_it_has_gained_a_digit() -> None:
    result = RunResult()
    told = [result.add_warning(RunWarning("capture", "no picture", False)) for _ in range(100)]
    assert [number for number, each in enumerate(told, 1) if each is not None] == [1, 10, 100]
    assert result.add_warning(RunWarning("capture", "no picture", False, count=5000)) is not None
    assert result.warnings[0].count == 5100


def test_warnings_that_come_too_fast_are_joined_and_none_goes_uncounted() -> None:
    pending = PendingWarnings()
    for number in range(1000):
        pending.add("capture", f"frame {number} is torn", damage=False)
        pending.add("camera", "no picture", damage=True)
    taken = pending.take()
    assert len(taken) == MAX_PENDING_TEXTS + 1
    assert sum(warning.count for warning in taken) == 2000
    assert taken[1] == RunWarning("camera", "no picture", damage=True, count=1000)
    assert taken[-1] == RunWarning("capture", "", damage=False, count=1000 - (MAX_PENDING_TEXTS - 1))
    assert pending.take() == []
    result = RunResult()
    told = result.add_warning(taken[-1])
    assert told is not None
    assert told.text == "991 more warnings came too fast to be shown"
    assert (result.forgotten, result.warnings) == (991, [])
