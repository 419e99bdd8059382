"""Whose voice it is, of mouths whose speeds are drawn from what speaking and silent ones do."""

import random
from collections.abc import Callable, Mapping, Sequence

import pytest

from emopipe.models.envelope import STEP_NS
from emopipe.models.fusion.attribution import FORGET_NS, OFF_SCREEN, VoiceAttribution, log_likelihood_ratio, voice_share
from emopipe.pipeline.clock import MS, SECOND

FRAME = 40 * MS
HOP = 500 * MS
LEVEL = -20.0
LOUD, QUIET = [LEVEL] * (HOP // STEP_NS), [LEVEL - 40] * (HOP // STEP_NS)

Speeds = Mapping[int, float | None]


def speaking(random: random.Random) -> float:
    return random.lognormvariate(1.0, 0.8)


def silent(random: random.Random) -> float:
    return random.lognormvariate(-0.4, 0.8)


def told(
    seconds: float,
    people: Callable[[float], Speeds],
    levels: Callable[[int], Sequence[float] | None] = lambda hop: LOUD,
    attribution: VoiceAttribution | None = None,
) -> list[tuple[int, dict[int, float]]]:
    """What is known at each frame: of `people` by time, and the levels of each hop, None where nobody spoke."""
    attribution = attribution or VoiceAttribution()
    found = []
    for number in range(round(seconds * SECOND / FRAME)):
        pts = number * FRAME
        if pts % HOP == 0 and pts and (heard := levels(pts // HOP)) is not None:
            attribution.hear(pts, HOP, heard, LEVEL)
        attribution.see(pts, people(pts / SECOND))
        found.append((pts, attribution.probabilities()))
    return found


def test_the_voice_is_whose_mouth_moves() -> None:
    draw = random.Random(0)
    *_, (_, known) = told(3, lambda at: {3: silent(draw), 7: speaking(draw), 9: silent(draw)})
    assert known[7] > 0.8
    assert known[3] + known[9] < 0.1


def test_it_is_nobodys_whose_mouth_is_still() -> None:
    draw = random.Random(1)
    *_, (_, known) = told(3, lambda at: {0: silent(draw), 1: silent(draw)})
    assert sum(known.values()) < 0.3
    *_, (_, alone) = told(3, lambda at: {0: silent(draw)})
    assert alone[0] < 0.3


def test_whoever_speaks_next_has_it_within_a_second() -> None:
    draw = random.Random(2)
    found = told(8, lambda at: {0: (silent if at > 4 else speaking)(draw), 1: (speaking if at > 4 else silent)(draw)})
    assert all(known[0] > 0.5 for pts, known in found if SECOND < pts < 4 * SECOND)
    assert all(known[1] > 0.5 for pts, known in found if pts > 5 * SECOND)


@pytest.mark.parametrize("levels", [lambda hop: None, lambda hop: QUIET], ids=["silence", "pause"])
def test_mouths_that_move_while_nobody_is_heard_say_nothing(levels: Callable[[int], Sequence[float] | None]) -> None:
    draw = random.Random(3)
    *_, (_, known) = told(3, lambda at: {0: speaking(draw), 1: silent(draw)}, levels)
    # No loud step, no evidence: only that face 0 was met first wears off.
    assert known[0] == pytest.approx(known[1], abs=0.1)


def test_mouths_nothing_is_known_of_leave_what_is_known_beforehand() -> None:
    *_, (_, known) = told(20, lambda at: {0: None})
    assert known == {0: pytest.approx(1 - OFF_SCREEN)}


def test_probabilities_are_those_of_who_was_seen_lately() -> None:
    draw = random.Random(4)
    found = told(6, lambda at: {0: speaking(draw), 1: silent(draw)} if at < 2 else {1: silent(draw)})
    for pts, known in found:
        assert 0 <= sum(known.values()) <= 1 + 1e-9
        assert set(known) == ({0, 1} if pts < 2 * SECOND + FORGET_NS else {1})


def test_a_window_says_what_was_only_expected() -> None:
    """The voice was loud to the end of the hop, so it may go on; the next window says that it did not."""
    attribution = VoiceAttribution()
    found = told(1.52, lambda at: {0: 4.0 if at < 1 else 0.4}, lambda hop: LOUD if hop < 3 else None, attribution)
    before, expected = dict(found)[SECOND][0], found[-1][1][0]
    attribution.hear(3 * HOP, HOP, QUIET, LEVEL)
    assert expected < 0.7
    assert 0.9 < attribution.probabilities()[0] < before


def test_waiting_frames_are_bounded() -> None:
    draw = random.Random(6)
    attribution = VoiceAttribution()
    told(60, lambda at: {0: silent(draw)}, lambda hop: None, attribution)
    assert len(attribution._pending) <= 2 * SECOND // FRAME + 1


def test_the_faster_the_likelier() -> None:
    assert log_likelihood_ratio(None) == 0
    assert log_likelihood_ratio(0.2) < log_likelihood_ratio(1.5) < log_likelihood_ratio(4.0)
    assert abs(log_likelihood_ratio(1e9)) < 2.5


def test_what_is_as_good_as_sure_counts_so() -> None:
    assert [voice_share(p) for p in (0, 0.1, 0.5, 0.9, 1)] == pytest.approx([0, 0, 0.5, 1, 1])
