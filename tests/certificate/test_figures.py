"""Offsets and delays of stimuli, from what a run observed."""

import random

import pytest

from emopipe.certificate.figures import Certificate, certificate, interval, students_t
from emopipe.certificate.observer import Observation
from emopipe.pipeline.clock import MS, SECOND

TRUE = [(n * 5 * SECOND, n * 5 * SECOND + 3 * MS) for n in range(1, 11)]  # sound begins 3 ms after light


def observed(
    *,
    light: int = 20,
    sound: int = 35,
    face: int = 90,
    voice: int = 600,
    silent: int = 0,
    bright: float = 120.0,
    loud: float = 0.5,
    noise: float = 0.0,
) -> Certificate:
    """What comes of a run that is late by so much (ms); the first `silent` stimuli have no voice in results.

    Black is a luma of 16, a bright picture has `bright`; sound has `noise` all the time.
    """
    seen: list[Observation] = []
    for number, (shown, heard) in enumerate(TRUE):
        for frame in range(-25, 75):
            moment = shown + frame * 40 * MS + light * MS
            there = 0 <= frame < 40
            seen.append(Observation("picture", moment + 5 * MS, moment, bright if there else 16.0))
            spoken = there and number >= silent and frame * 40 >= voice - face
            seen.append(Observation("result", moment + (face - light) * MS, moment, int(there), spoken))
            start = heard + frame * 40 * MS + (sound - 7) * MS
            peaks = [noise] * 7 + [loud if there else noise] * 33  # the voice begins within a block
            seen.append(Observation("sound", start + 40 * MS, start, peaks=peaks))
    return certificate(TRUE, seen)


def test_a_constant_offset_is_found_without_error() -> None:
    made = observed()
    for found, expected in [
        (made.light_stamp, 20),
        (made.sound_stamp, 35),
        (made.stamp_difference, -15),
        (made.light_result, 90),
    ]:
        assert found is not None
        assert (found.count, found.mean, found.sd) == (10, pytest.approx(expected), pytest.approx(0, abs=1e-9))
        assert (found.low, found.high, found.least, found.greatest) == pytest.approx([expected] * 4)
    assert made.sound_result is not None
    assert made.sound_result.mean == pytest.approx(600 - 3, abs=40)  # to a picture


def test_what_is_missing_is_not_made_up() -> None:
    made = observed(silent=3)
    assert made.sound_result is not None
    assert made.sound_result.count == 7
    made = observed(silent=6)
    assert (made.trials, made.sound_result, made.result_difference) == (10, None, None)
    assert made.light_result is not None


@pytest.mark.parametrize(("bright", "loud", "noise"), [(30.0, 0.5, 0.0), (120.0, 0.01, 0.0), (200.0, 0.9, 0.1)])
def test_a_dim_picture_a_soft_voice_and_a_noisy_room_are_found_as_well(
    bright: float, loud: float, noise: float
) -> None:
    made = observed(bright=bright, loud=loud, noise=noise)
    assert made.light_stamp is not None
    assert made.sound_stamp is not None
    assert made.light_stamp.count == made.sound_stamp.count == 10
    assert made.light_stamp.mean == pytest.approx(20)
    assert made.sound_stamp.mean == pytest.approx(35)


def test_a_screen_that_is_not_in_the_picture_and_a_voice_in_the_noise_are_no_figure() -> None:
    assert observed(bright=20.0).light_stamp is None
    assert observed(loud=0.15, noise=0.1).sound_stamp is None
    assert observed(loud=0.001).sound_stamp is None


def test_nothing_observed_is_no_figure() -> None:
    made = certificate(TRUE, [])
    assert (made.light_stamp, made.sound_stamp, made.light_result, made.sound_result) == (None,) * 4


@pytest.mark.parametrize(("degrees", "quantile"), [(4, 2.776), (9, 2.262), (14, 2.145), (29, 2.045), (1000, 1.962)])
def test_students_t(degrees: int, quantile: float) -> None:
    assert students_t(degrees) == pytest.approx(quantile, rel=0.005)


def test_the_interval_of_the_mean_holds_the_truth_as_often_as_it_says() -> None:
    draw = random.Random(1)
    held = 0
    for _ in range(2000):
        found = interval([draw.gauss(50, 10) for _ in range(10)])
        assert found is not None
        held += found.low <= 50 <= found.high
    assert held / 2000 == pytest.approx(0.95, abs=0.015)
