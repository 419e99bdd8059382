"""Switches and delays, on faces whose label and lag are known."""

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from benchmarks.studies.flicker import (
    Series,
    collect,
    counted,
    delay,
    delays,
    response,
    step_response,
    switches,
    two_fusions,
)
from emopipe.pipeline.errors import DataError
from emopipe.stages.fusion.stage import Fusion
from tests.support.factories import distribution, make_emotions
from tests.support.media import every, make


def shown(*labels: str) -> list[list[float]]:
    return [list(distribution(label).values()) for label in labels]


def test_a_change_of_label_is_a_switch() -> None:
    found = switches(
        [([0.0, 0.5, 1.0, 1.5], shown("sad", "happy", "happy", "sad")), ([0.0, 1.0], shown("fear", "fear"))]
    )
    assert found == (2, 2.5)
    assert found.a_minute == pytest.approx(48)


def test_what_changes_while_a_face_is_away_is_none() -> None:
    assert switches([([0.0, 0.5, 9.0, 9.5], shown("sad", "sad", "happy", "happy"))]) == (0, 1.0)


def test_nobody_seen_switches_nothing() -> None:
    assert math.isnan(switches([([1.0], shown("sad"))]).a_minute)


@pytest.mark.parametrize("lag", [0.0, 0.1, 0.35])
def test_a_lag_is_found(lag: float) -> None:
    times = np.arange(0, 20, 1 / 30)

    def path(at: Any) -> Any:
        swing = 0.5 + 0.4 * np.sin(2 * np.pi * at / 3)
        return np.stack([swing, 1 - swing], axis=1)

    pair = (times, path(times), path(times - lag))
    assert delay([pair, pair]) == pytest.approx(lag, abs=0.01)


def test_no_face_has_no_delay() -> None:
    assert math.isnan(delay([]))


def test_a_first_order_answer_has_gone_its_way_at_its_time_constant() -> None:
    times = np.arange(0, 10, 0.01)
    path = np.where(times < 4, 0.1, 0.9 - 0.8 * np.exp(-(times - 4) / 0.3))
    found = response(times, path, path > 0.5, 4.0)
    assert found.way == pytest.approx(0.3, abs=0.02)
    assert found.label == pytest.approx(0.3 * math.log(2), abs=0.02)


def test_a_label_that_never_changes_is_said_so() -> None:
    assert math.isnan(response([0, 1, 2, 3], [0.1, 0.1, 0.2, 0.2], [False] * 4, 2.0).label)


def test_smoothing_answers_a_step_later() -> None:
    at_once = step_response(Fusion.Settings(method="pool", smoothing=0.0), seconds=2)
    later = step_response(Fusion.Settings(method="pool", smoothing=0.3), seconds=2)
    assert at_once == (0, 0)
    assert 0.15 <= later.label <= later.way <= 0.4  # 0.3 s times ln 2, and 0.3 s, with its share of one frame


def results(*labels: str, stream: str = "calm") -> list[str]:
    lines = []
    for number, label in enumerate(labels):
        emotions = msgspec.to_builtins(make_emotions({0: label}))
        lines.append(json.dumps({"stream": stream, "pts": number * 500_000_000, "time": number / 2, **emotions}))
    return lines


def test_both_fusions_are_told_apart() -> None:
    smoothed, plain = results("sad", "sad", "sad"), results("sad", "happy", "sad")
    found = collect(smoothed, plain)
    (face,) = found["calm"]
    assert face.times == [0, 0.5, 1]
    row = counted("calm", found["calm"])
    assert (row["s of a face"], row["mostly"]) == (1, "sad")
    assert (row["fused, unsmoothed"], row["fused, smoothed"]) == (120, 0)


def test_results_of_different_moments_are_refused() -> None:
    with pytest.raises(DataError, match="different moments"):
        collect(results("sad"), results("sad", stream="other"))


def test_a_recording_without_a_face_has_a_row() -> None:
    assert counted("empty", [])["mostly"] == "–"


def test_what_smoothing_adds_is_the_difference() -> None:
    times = [number / 30 for number in range(300)]
    early = shown(*["sad"] * 150, *["happy"] * 150)
    late = shown(*["sad"] * 156, *["happy"] * 144)
    plain, smooth, added = delays([Series(times, early, early, late)], Fusion.Settings(method="pool"))
    assert (plain["best fit"], smooth["best fit"], added["best fit"]) == (0, 200, 200)
    assert added["step: label"] == smooth["step: label"]


def test_both_fusions_get_the_same(tmp_path: Path) -> None:
    clip = make(tmp_path / "clip.mp4", pictures=every(10, 0.5))
    graph, name = two_fusions([clip], tmp_path, ["stages.fusion.hold=0.7"])
    smoothed, plain = graph.stages[name], graph.stages["unsmoothed"]
    assert smoothed.inputs == plain.inputs
    assert plain.settings == msgspec.structs.replace(smoothed.settings, smoothing=0.0)
    assert (smoothed.settings.hold, smoothed.settings.smoothing) == (0.7, 0.3)
