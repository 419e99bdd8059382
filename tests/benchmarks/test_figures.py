"""Figures made of measurements, on points whose line, spread and shares are known."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.figures import evenness, percentiles, slope, table, write_json


def test_a_straight_line_has_its_slope_and_no_error() -> None:
    found = slope([0, 1, 2, 3], [5, 7, 9, 11])
    assert tuple(found) == pytest.approx((2, 0, 0))


def test_the_error_says_how_far_slopes_of_noise_stray() -> None:
    random = np.random.default_rng(0)
    x = np.arange(180.0)
    found = [slope(x, 3 * x + random.normal(0, 5, len(x))) for _ in range(400)]
    assert np.std([each.rise for each in found]) == pytest.approx(np.mean([each.error for each in found]), rel=0.1)
    assert np.mean([each.rise for each in found]) == pytest.approx(3, abs=0.01)
    assert np.mean([each.spread for each in found]) == pytest.approx(5, rel=0.05)


@pytest.mark.parametrize(("x", "y"), [([], []), ([1, 2], [3, 4]), ([1, 1, 1], [1, 2, 3])])
def test_no_line_is_no_number(x: list[float], y: list[float]) -> None:
    assert all(math.isnan(each) for each in slope(x, y))


def test_evenness_is_the_smallest_share_over_the_largest() -> None:
    assert evenness([30, 24, 30]) == pytest.approx(0.8)
    assert evenness([7, 7]) == 1
    assert evenness([0, 9]) == 0
    assert math.isnan(evenness([]))
    assert math.isnan(evenness([0, 0]))


def test_percentiles_of_nothing_are_no_numbers() -> None:
    assert percentiles([4, 1, 3, 2], (0, 50, 100)) == [1, 2.5, 4]
    assert all(math.isnan(each) for each in percentiles([]))


def test_a_table_is_markdown() -> None:
    rows = [{"clip": "calm", "ms": 12.345, "n": 7}, {"clip": "a much longer one", "ms": math.nan, "n": 1234}]
    assert table(rows).splitlines() == [
        "| clip              |   ms |    n |",
        "| ----------------- | ---: | ---: |",
        "| calm              | 12.3 |    7 |",
        "| a much longer one |    – | 1234 |",
    ]
    assert table([]) == ""


def test_json_has_null_for_no_number(tmp_path: Path) -> None:
    write_json(tmp_path / "found.json", {"rows": [{"slope": math.nan, "n": 3}]})
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert found["rows"] == [{"slope": None, "n": 3}]
    assert "cores" in found["machine"]
    write_json(None, {"nowhere": 1})
