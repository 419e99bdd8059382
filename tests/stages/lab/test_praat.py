"""Results as TextGrids of Praat."""

from pathlib import Path

import pytest
from praatio import textgrid

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.testing import run_stage
from emopipe.stages.lab.praat import TextGrid, seconds
from tests.support.lab import FRAME_NS, MARKERS, expected_segments, marker, scene


def written(path: Path, *streams: str) -> None:
    stage = TextGrid(TextGrid.Settings(path=str(path)))
    run_stage(stage, [("emotions", message) for stream in streams or ["test"] for message in scene(stream)])


def test_praat_finds_the_times_of_the_results_to_the_nanosecond(tmp_path: Path) -> None:
    path = tmp_path / "x.TextGrid"
    written(path)
    grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=False, reportingMode="error")
    assert grid.tierNames == ("face 0 fused", "face 0", "face 1 fused", "face 1", "voice")
    messages = list(scene())
    for face in (0, 1):
        for tier, alone in ((f"face {face} fused", False), (f"face {face}", True)):
            found = [
                (label, round(start * SECOND), round(end * SECOND)) for start, end, label in grid.getTier(tier).entries
            ]
            assert found == expected_segments(messages, face, alone=alone)
    assert round(grid.maxTimestamp * SECOND) == 120 * FRAME_NS + 5_000_000


def test_intervals_fill_each_tier_without_a_hole(tmp_path: Path) -> None:
    path = tmp_path / "x.TextGrid"
    written(path)
    grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=True, reportingMode="error")
    for tier in grid.tiers:
        starts = [entry.start for entry in tier.entries]
        ends = [entry.end for entry in tier.entries]
        assert [0, *ends] == [*starts, grid.maxTimestamp]


def test_a_recording_in_which_nobody_is_has_a_grid_that_praat_takes(tmp_path: Path) -> None:
    path = tmp_path / "x.TextGrid"
    run_stage(TextGrid(TextGrid.Settings(path=str(path))), [("emotions", list(scene())[-1])])
    grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=True, reportingMode="error")
    assert [(tier.name, [entry.label for entry in tier.entries]) for tier in grid.tiers] == [("voice", [""])]


def test_markers_have_a_tier_of_points_for_each_sender(tmp_path: Path) -> None:
    path = tmp_path / "x.TextGrid"
    stage = TextGrid(TextGrid.Settings(path=str(path)))
    early = [marker(1, "begin"), marker(2, "at once")]  # no reader knows such times apart
    run_stage(stage, [*(("emotions", message) for message in scene()), *early, *MARKERS], mode="live")
    assert (stage.counters["markers"], stage.counters["frames_with_face"]) == (9, 110)
    grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=True, reportingMode="error")
    assert grid.tierNames[-2:] == ("markers paradigm", "markers keys")
    found = [(round(each.time * SECOND), each.label) for each in grid.getTier("markers paradigm").entries]
    assert found == [
        (0, "begin | at once"),
        (40_400_000, "first <b> & ü"),
        (40_600_000, "within the ms"),
        (41_400_000, "the same ms"),
        (900_000_000, "and the next"),
        (1_000_000_000, "dated back after the next"),
        (5_000_000_000, "after the last result"),
    ]
    assert [tuple(each) for each in grid.getTier("markers keys").entries] == [(0.5, "press \\x00")]
    assert grid.maxTimestamp == 5.0


def test_no_time_has_an_exponent() -> None:
    assert [repr(seconds(ns)) for ns in (0, 1, 99_999, 100_000, 1_000_001)] == [
        "0.0",
        "0.0",
        "0.0",
        "0.0001",
        "0.001000001",
    ]


def test_without_the_library_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emopipe.stages.lab.extra.find_spec", lambda name: None)
    assert TextGrid.Settings(path=str(tmp_path / "x.TextGrid")).check() == [
        ("", 'needs praatio, which is not installed: pip install "emopipe[lab]"')
    ]
