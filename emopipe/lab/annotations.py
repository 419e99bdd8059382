"""Annotators' files, as ELAN and Praat save them: the labels that people gave, from when to when."""

import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from emopipe.models.labels import FACE
from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.text import instead, listing, one_line, show
from emopipe.stages.lab.extra import extra_problem
from emopipe.stages.lab.tiers import parse_value

MAX_BYTES = 64 << 20
LIBRARIES = {".eaf": "pympi", ".TextGrid": "praatio"}
PROGRAMS = {".eaf": "ELAN", ".TextGrid": "Praat"}


class Span(NamedTuple):
    """One annotation as it stands in the file, from when to when (ns)."""

    start: int
    end: int
    value: str


class Annotation(NamedTuple):
    """A label that somebody gave, from when to when (ns); one marked as uncertain counts as it stands."""

    start: int
    end: int
    label: str


def read_tiers(path: Path) -> dict[str, list[Span]]:
    """The tiers of a file of ELAN or Praat by name, each in order, without its empty annotations.

    Raises:
        EmopipeError: it is not there, of another kind, not what ELAN or Praat would open; or a library is missing.
    """
    library = LIBRARIES.get(path.suffix)
    if library is None:
        raise EmopipeError(f"{path}: expected annotations, whose name ends in {' or '.join(LIBRARIES)}")
    if not path.is_file():
        raise EmopipeError(f"{path}: no such file")
    if problem := extra_problem(library):
        raise EmopipeError(f"{path}: {problem}")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise EmopipeError(f"{path}: larger than {MAX_BYTES >> 20} MB, and no file of annotations")
        found = _read_eaf(path) if path.suffix == ".eaf" else _read_textgrid(path)
    except EmopipeError:
        raise
    except OSError as error:
        raise EmopipeError(f"{path}: cannot be read ({error.strerror})") from None
    except Exception as error:  # the libraries raise whatever they stumble over, pympi a bare Exception
        program = PROGRAMS[path.suffix]
        said = f"{type(error).__name__}: {one_line(error)}"
        raise EmopipeError(f"{path}: not a file that {program} would open ({said}); save it there again") from None
    return {name: _ordered(path, name, spans) for name, spans in found.items()}


def labels(path: Path, tier: str, spans: list[Span], known: Sequence[str] = FACE) -> list[Annotation]:
    """A tier's annotations as labels.

    Raises:
        EmopipeError: some are none of the `known` labels; all of them are named.
    """
    found = [(span, parse_value(span.value, known)) for span in spans]
    unknown = list(dict.fromkeys(span.value for span, parsed in found if parsed is None))
    if unknown:
        are = "are no labels" if len(unknown) > 1 else "is no label"
        nearest = instead(unknown[0].lower(), known)
        raise EmopipeError(f"{path}: tier {show(tier)}: {listing(unknown[:10])} {are}; {nearest}")
    return [Annotation(span.start, span.end, parsed[0]) for span, parsed in found if parsed is not None]


def _read_eaf(path: Path) -> dict[str, list[Span]]:
    from pympi import Elan

    with warnings.catch_warnings(action="ignore"):  # of a version that it has not seen; what matters is checked here
        document: Any = Elan.Eaf(str(path), suppress_version_warning=True)
    found: dict[str, list[Span]] = {}
    for name in document.get_tier_names():
        kind = document.get_parameters_for_tier(name)["LINGUISTIC_TYPE_REF"]
        document.get_parameters_for_linguistic_type(kind)  # raises where there is none: ELAN refuses such a file
        spans = found[name] = []
        for start, end, value, *_ in document.get_annotation_data_for_tier(name):
            if start is None or end is None:
                raise EmopipeError(f"{path}: tier {show(name)}: {show(value)} has no time; align it in ELAN")
            spans.append(Span(start * MS, end * MS, value))
    return found


def _read_textgrid(path: Path) -> dict[str, list[Span]]:
    from praatio import textgrid
    from praatio.data_classes.interval_tier import IntervalTier

    grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=False, reportingMode="error")
    return {
        tier.name: [Span(round(start * SECOND), round(end * SECOND), label) for start, end, label in tier.entries]
        for tier in grid.tiers
        if isinstance(tier, IntervalTier)  # points last for no time
    }


def _ordered(path: Path, tier: str, spans: list[Span]) -> list[Span]:
    """Raises: EmopipeError: spans overlap, or end before they begin."""
    made = sorted(span for span in spans if span.value.strip())
    wrong = next((span for span in made if span.end <= span.start), None)
    wrong = wrong or next((after for before, after in pairwise(made) if after.start < before.end), None)
    if wrong is not None:
        at = f"{show(wrong.value)} at {wrong.start / SECOND:.3f} s"
        raise EmopipeError(f"{path}: tier {show(tier)}: {at} overlaps another, or ends before it begins; mend it there")
    return made
