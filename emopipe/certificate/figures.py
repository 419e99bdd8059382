"""What light and sound took, and how far their time stamps are off, with error bars."""

import math
import statistics
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from emopipe.certificate.observer import PEAK_NS, Observation
from emopipe.pipeline.clock import MS

BEFORE_NS = 400 * MS  # by which a time stamp may be early
WITHIN_NS = 1400 * MS  # by which one may be late, or a result may come
MIN_TRIALS = 5
DARK, BRIGHT = 10, 90  # percentiles of the pictures' luma: a stimulus is there for a third of the time
MIN_CONTRAST = 8.0  # of 255, between them: a camera's noise and flicker have less
LOUD_PART = 0.04  # of the loudest, from which sound counts as the stimulus
MIN_LOUD = 0.002  # of full scale
OVER_NOISE = 4.0  # times the median peak, which is that of the pauses


class Interval(msgspec.Struct):
    """Values in ms: their mean, its interval of 95 % (Student's t), their standard deviation, least and greatest."""

    count: int
    mean: float
    low: float
    high: float
    sd: float
    least: float
    greatest: float


class Certificate(msgspec.Struct):
    """A figure is None where fewer than 5 stimuli were found.

    Attributes:
        trials: how many stimuli there were.
        light_stamp, sound_stamp: a time stamp less the true moment.
        stamp_difference: that of light less that of sound, stimulus by stimulus.
        light_result, sound_result: from the true moment to when the first result that shows it was there.
        result_difference: that of light less that of sound.
    """

    trials: int
    light_stamp: Interval | None
    sound_stamp: Interval | None
    stamp_difference: Interval | None
    light_result: Interval | None
    sound_result: Interval | None
    result_difference: Interval | None


def certificate(moments: Sequence[tuple[int, int]], observations: Sequence[Observation]) -> Certificate:
    """What is found of stimuli whose light and sound began at these moments (monotonic ns)."""
    by_kind = {kind: [each for each in observations if each.kind == kind] for kind in ("picture", "sound", "result")}
    light = _light(by_kind["picture"])
    sound = _sound(by_kind["sound"])
    faces = _onsets(by_kind["result"], lambda each: each.value > 0)
    voices = _onsets(by_kind["result"], lambda each: each.voice)
    found: list[list[float | None]] = []
    for seen, heard in moments:
        found.append(
            [
                _first([moment - seen for moment in light], -BEFORE_NS),
                _first([moment - heard for moment in sound], -BEFORE_NS),
                _first([each.came - seen for each in faces], 0),
                _first([each.came - heard for each in voices], 0),
            ]
        )
    light_stamp, sound_stamp, light_result, sound_result = (list(column) for column in zip(*found, strict=True))
    return Certificate(
        trials=len(moments),
        light_stamp=interval(light_stamp),
        sound_stamp=interval(sound_stamp),
        stamp_difference=interval(_less(light_stamp, sound_stamp)),
        light_result=interval(light_result),
        sound_result=interval(sound_result),
        result_difference=interval(_less(light_result, sound_result)),
    )


def interval(values: Sequence[float | None]) -> Interval | None:
    """Of those values (ms) that are there; None where they are too few."""
    given = [value for value in values if value is not None]
    if len(given) < MIN_TRIALS:
        return None
    mean, sd = statistics.fmean(given), statistics.stdev(given)
    error = students_t(len(given) - 1) * sd / math.sqrt(len(given))
    return Interval(len(given), mean, mean - error, mean + error, sd, min(given), max(given))


def students_t(degrees: int) -> float:
    """The 97.5 % quantile of Student's t (Abramowitz & Stegun 26.7.5); from 4 degrees on right to 0.5 %."""
    z = statistics.NormalDist().inv_cdf(0.975)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / degrees**3


def _light(pictures: Sequence[Observation]) -> list[int]:
    """When it became bright: pictures over the middle between dark and bright ones."""
    if not pictures:
        return []
    dark, bright = np.percentile([each.value for each in pictures], [DARK, BRIGHT])
    if bright - dark < MIN_CONTRAST:
        return []
    return [each.moment for each in _onsets(pictures, lambda each: each.value > (dark + bright) / 2)]


def _sound(blocks: Sequence[Observation]) -> list[int]:
    """When it became loud, to a ms: by a part of the loudest, as microphones differ, but well over their noise."""
    peaks = [peak for each in blocks for peak in each.peaks]
    if not peaks:
        return []
    noise, loudest = np.percentile(peaks, [50, 99])
    threshold = max(LOUD_PART * loudest, OVER_NOISE * noise, MIN_LOUD)
    first = [next((n for n, peak in enumerate(each.peaks) if peak > threshold), None) for each in blocks]
    moments = [None if n is None else each.moment + n * PEAK_NS for each, n in zip(blocks, first, strict=True)]
    before = [0, *moments[:-1]]  # what is loud from the start on did not begin
    return [now for was, now in zip(before, moments, strict=True) if was is None and now is not None]


def _onsets(observed: Sequence[Observation], there: Callable[[Observation], bool]) -> list[Observation]:
    """Those that show something which the one before did not."""
    before, found = True, []
    for each in observed:
        now = there(each)
        if now and not before:
            found.append(each)
        before = now
    return found


def _first(offsets: Sequence[int], least: int) -> float | None:
    """The first offset (ns) that may be this stimulus's, in ms."""
    return next((offset / MS for offset in offsets if least <= offset <= WITHIN_NS), None)


def _less(ones: Sequence[float | None], others: Sequence[float | None]) -> list[float | None]:
    return [
        one - other if one is not None and other is not None else None for one, other in zip(ones, others, strict=True)
    ]
