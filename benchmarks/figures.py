"""Figures of benchmarks: percentiles, slopes with their errors, shares, and a table to publish."""

import json
import math
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Slope(NamedTuple):
    """A straight line through points: its rise per unit of x, the standard error of that, and the residuals' spread.

    The error is that of least squares, as if the points strayed from the line independently of each other; memory
    that moves in steps does not quite.
    """

    rise: float
    error: float
    spread: float


def slope(x: ArrayLike, y: ArrayLike) -> Slope:
    """The line of least squares; nan where fewer than three points, or all at one x, leave it open."""
    xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(xs) < 3 or np.ptp(xs) == 0:
        return Slope(math.nan, math.nan, math.nan)
    centred = xs - xs.mean()
    square = float(centred @ centred)
    rise = float(centred @ (ys - ys.mean())) / square
    residuals = ys - ys.mean() - rise * centred
    spread = math.sqrt(float(residuals @ residuals) / (len(xs) - 2))
    return Slope(rise, spread / math.sqrt(square), spread)


def percentiles(values: ArrayLike, percents: Sequence[float] = (50, 95, 99)) -> list[float]:
    """One value for each of `percents`; nan where there are no values."""
    array = np.asarray(values, np.float64)
    return np.percentile(array, percents).tolist() if len(array) else [math.nan] * len(percents)


def evenness(shares: Iterable[float]) -> float:
    """The evenness of shares: the smallest share over the largest, 1 where all got the same.

    nan where nobody got anything.
    """
    given = list(shares)
    return min(given) / max(given) if given and max(given) > 0 else math.nan


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """`rows` as a Markdown table; the first row's keys are its head, and numbers are aligned to the right."""
    if not rows:
        return ""
    names = list(rows[0])
    texts = [[_text(row.get(name)) for name in names] for row in rows]
    numeric = [all(not isinstance(row.get(name), str) for row in rows) for name in names]
    widths = [max(len(name), 4, *(len(line[n]) for line in texts)) for n, name in enumerate(names)]

    def line(cells: Sequence[str]) -> str:
        aligned = (c.rjust(w) if right else c.ljust(w) for c, w, right in zip(cells, widths, numeric, strict=True))
        return "| " + " | ".join(aligned) + " |"

    rule = ("-" * (w - 1) + (":" if right else "-") for w, right in zip(widths, numeric, strict=True))
    return "\n".join([line(names), "| " + " | ".join(rule) + " |", *map(line, texts)])


def machine() -> str:
    """The machine, in one line; its load before the measurement says whether it was idle."""
    load = f", load {os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else ""
    return f"{os.cpu_count()} cores, {platform.machine()}{load}, Python {platform.python_version()}"


def write_json(path: Path | None, found: Mapping[str, Any]) -> None:
    """Write what was found to `path`, if one is given; what is not a number (nan) becomes null."""
    if path is not None:
        text = json.dumps(finite({"machine": machine(), **found}), indent=2, ensure_ascii=False, allow_nan=False)
        path.write_text(text + "\n", encoding="utf-8")


def _text(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return str(value)


def finite(value: Any) -> Any:
    """The same with None for every number that is none (nan, infinite)."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return value
