"""Measures over time."""

import math
from collections.abc import Iterable
from typing import Any

import pytest

from emopipe.models.geometry.following import FollowedFaces
from emopipe.models.geometry.measures import Measures

MS = 1_000_000


def measures(yaw: float = 0.0, closed: float = 0.0, uncertain: bool = False) -> Measures:
    still: dict[str, Any] = dict.fromkeys(Measures._fields, 0.0)
    return Measures(**still | {"yaw": yaw, "closed": closed, "uncertain": uncertain})


def blinks(lids: Iterable[tuple[int, float]]) -> list[int]:
    """How many were counted at each moment (ms) of eyes closed so far."""
    faces = FollowedFaces(0.1, 2.0)
    return [faces.add(0, measures(closed=closed), ms * MS)[1] for ms, closed in lids]


def test_a_mean_follows_in_seconds_and_not_in_frames() -> None:
    for step in (10, 20, 50):
        faces = FollowedFaces(0.1, 2.0)
        for ms in range(0, 2000, step):
            faces.add(0, measures(yaw=0), ms * MS)
        after = [faces.add(0, measures(yaw=10), ms * MS)[0].yaw for ms in range(2000, 2301, step)]
        assert after[-1] == pytest.approx(10 * (1 - math.exp(-3)), abs=0.6)
        assert after == sorted(after)


def test_the_first_comes_out_as_it_went_in_and_so_do_all_without_smoothing() -> None:
    assert FollowedFaces(0.1, 2.0).add(0, measures(yaw=7), 0)[0].yaw == 7
    faces = FollowedFaces(0.0, 2.0)
    assert [faces.add(0, measures(yaw=yaw), yaw * MS)[0].yaw for yaw in (3, -4, 5)] == pytest.approx([3, -4, 5])


def test_an_uncertain_measure_takes_no_part() -> None:
    faces = FollowedFaces(0.1, 2.0)
    faces.add(0, measures(yaw=2), 0)
    held, _ = faces.add(0, measures(yaw=50, uncertain=True), 40 * MS)
    assert (held.yaw, held.uncertain) == (2, True)
    back, _ = faces.add(0, measures(yaw=2), 80 * MS)
    assert (back.yaw, back.uncertain) == (2, False)


def test_faces_do_not_mix_and_one_that_was_away_starts_anew() -> None:
    faces = FollowedFaces(0.1, 2.0)
    faces.add(0, measures(yaw=10), 0)
    assert faces.add(1, measures(yaw=-10), 0)[0].yaw == -10
    assert faces.add(0, measures(yaw=20), 2001 * MS)[0].yaw == 20


def test_a_blink_is_counted_when_the_eyes_are_open_again() -> None:
    assert blinks([(0, 0.1), (40, 0.6), (80, 0.9), (120, 0.3), (160, 0.1), (200, 0.7), (240, 0.1)]) == [
        *(0, 0, 0, 1, 1, 1, 2)
    ]


@pytest.mark.parametrize("lids", [[(0, 0.4), (40, 0.45), (80, 0.1)], [(0, 0.9), (501, 0.1)], [(0, 0.9), (400, 0.9)]])
def test_eyes_half_closed_or_closed_for_longer_do_not_blink(lids: list[tuple[int, float]]) -> None:
    assert blinks(lids)[-1] == 0


def test_lids_that_tremble_between_open_and_closed_blink_once() -> None:
    assert blinks([(0, 0.6), (40, 0.45), (80, 0.6), (120, 0.45), (160, 0.2)])[-1] == 1
