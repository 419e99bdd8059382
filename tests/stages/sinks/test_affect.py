"""Valence and arousal, derived and said to be."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emopipe.models.labels import FACE
from emopipe.pipeline.testing import run_stage
from emopipe.stages.sinks.affect import PLACES, derived_affect
from emopipe.stages.sinks.csv import CsvTable
from emopipe.stages.sinks.table import COLUMNS, DERIVED
from tests.support.factories import distribution, result


def test_a_certain_emotion_lies_where_the_map_has_it() -> None:
    assert set(PLACES) == set(FACE)
    for label, place in PLACES.items():
        assert derived_affect(distribution(label, 1.0)) == pytest.approx(place)
    assert derived_affect({"happy": 0.5, "sad": 0.5}) == pytest.approx((0.09, 0.12))


@given(st.lists(st.floats(0, 1), min_size=7, max_size=7).filter(any))
def test_no_distribution_lies_beyond_the_places_of_its_emotions(shares: list[float]) -> None:
    probabilities = {label: share / sum(shares) for label, share in zip(FACE, shares, strict=True)}
    for value, places in zip(derived_affect(probabilities), zip(*PLACES.values(), strict=True), strict=True):
        assert min(places) - 1e-9 <= value <= max(places) + 1e-9


def test_a_table_has_it_only_where_it_is_asked_for(tmp_path: Path) -> None:
    sent = [("emotions", result(0, {1: "happy"}, "angry")), ("emotions", result(40_000_000))]
    for name, derived in (("without", False), ("with", True)):
        run_stage(CsvTable(CsvTable.Settings(path=str(tmp_path / f"{name}.csv"), derived=derived)), sent)
    with (tmp_path / "without.csv").open(newline="") as file:
        plain = list(csv.DictReader(file))
    with (tmp_path / "with.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(plain[0]) == list(COLUMNS)
    assert list(rows[0]) == [*COLUMNS, *DERIVED]
    expected = derived_affect(distribution("happy"))
    assert [float(rows[0][name]) for name in DERIVED] == pytest.approx(expected, abs=1e-6)
    assert [rows[1][name] for name in DERIVED] == ["", ""]
