"""Compare results with what people annotated in ELAN or Praat: agreement, kappa, confusion, thresholds.

Tiers of the same name are compared; another one with the results that --who names.
"""

import argparse
from pathlib import Path

import msgspec

from emopipe.arguments.outputs import need_writable, write_json
from emopipe.lab.agreement import Agreement, compare
from emopipe.lab.annotations import Span, labels, read_tiers
from emopipe.lab.results import Answer, answers, results
from emopipe.models.labels import FACE
from emopipe.models.thresholds import DEFAULT_RISK
from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.text import instead, listing, show
from emopipe.stages.sinks.records import ResultRecord
from emopipe.stages.sinks.table import other_labels

HELP = "compare results with annotators' labels"
RISKS = (0.1, 0.2, DEFAULT_RISK)
TOLERANCE_NS = 500 * MS  # by which an annotation may end behind the last frame: sound is often longer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", type=Path, metavar="RESULTS", help="results of emopipe (.jsonl)")
    parser.add_argument(
        "annotations", type=Path, metavar="ANNOTATIONS", help="a file of ELAN (.eaf) or Praat (.TextGrid)"
    )
    parser.add_argument(
        "--tier", metavar="NAME", help="the tier to compare (default: all that are called as emopipe's)"
    )
    parser.add_argument(
        "--who",
        metavar="NAME",
        help='the results to compare it with, by the name of their tier, such as "face 0 fused"',
    )
    parser.add_argument(
        "--stream",
        metavar="NAME",
        help="the recording, where the results are of several (default: that of the file's name)",
    )
    parser.add_argument(
        "--risk",
        type=float,
        action="append",
        metavar="R",
        help=f"find the threshold that lets this share of answers be wrong; may be repeated (default: {RISKS})",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")


def main(arguments: argparse.Namespace) -> int:
    risks = arguments.risk or list(RISKS)
    if wrong := [risk for risk in risks if not 0 < risk < 1]:
        raise EmopipeError(f"--risk {wrong[0]:g}: expected a share between 0 and 1, such as 0.2")
    tiers = read_tiers(arguments.annotations)
    if arguments.results.suffix != ".jsonl":
        raise EmopipeError(f"{arguments.results}: expected results whose name ends in .jsonl")
    if arguments.json is not None:
        need_writable(arguments.json, "--json")
    stream, found = _of_stream(arguments)
    said = answers(found)
    pairs = _pairs(arguments, tiers, said)
    end = max((each.pts + each.duration for each in found), default=0)
    filmed = any(each.source == "face" for each in found)  # else nothing tells where the sound ends
    known = tuple(dict.fromkeys([*FACE, *(label for each in found for label in other_labels(each))]))
    made = []
    for tier, who in pairs:
        if filmed:
            _need_within(arguments.annotations, tier, tiers[tier], end)
        annotated = labels(arguments.annotations, tier, tiers[tier], known)
        made.append(compare(tier, who, annotated, said[who], risks, known))

    from emopipe.tables.agreement import print_agreements

    print_agreements(made, stream)
    if arguments.json is not None:
        write_json(arguments.json, _figures(arguments, stream, made), "--json")
    return 0


def _figures(arguments: argparse.Namespace, stream: str, made: list[Agreement]) -> dict[str, object]:
    return {
        "results": str(arguments.results),
        "annotations": str(arguments.annotations),
        "stream": stream,
        "tiers": msgspec.to_builtins(made),
    }


def _of_stream(arguments: argparse.Namespace) -> tuple[str, list[ResultRecord]]:
    """The stream that the annotations are of, and its results.

    Raises:
        EmopipeError: there are several, and nothing says which; or it is not there.
    """
    found: dict[str, list[ResultRecord]] = {}
    try:
        for each in results(arguments.results):
            found.setdefault(each.stream, []).append(each)
    except OSError as error:
        raise EmopipeError(f"{arguments.results}: cannot be read ({error.strerror})") from None
    if not found:
        raise EmopipeError(f"{arguments.results}: holds no results")
    name = arguments.stream
    if name is None:
        name = arguments.annotations.stem if arguments.annotations.stem in found else next(iter(found))
        if len(found) > 1 and name != arguments.annotations.stem:
            raise EmopipeError(f"{arguments.results}: has several recordings; name one by --stream: {listing(found)}")
    if name not in found:
        raise EmopipeError(f"--stream {show(name)}: {arguments.results} has no such recording; {instead(name, found)}")
    return name, found[name]


def _pairs(
    arguments: argparse.Namespace, tiers: dict[str, list[Span]], said: dict[str, list[Answer]]
) -> list[tuple[str, str]]:
    """Which tier is compared with which results.

    Raises:
        EmopipeError: one is not there, or nothing says which.
    """
    path, tier, who = arguments.annotations, arguments.tier, arguments.who
    if not tiers:
        raise EmopipeError(f"{path}: has no tier with intervals")
    if not said:
        raise EmopipeError(f"{arguments.results}: no face and no voice was found, so there is nothing to compare")
    if tier is None:
        if who is not None:
            raise EmopipeError(f"--who {show(who)}: name the tier to compare with it by --tier: {listing(tiers)}")
        pairs = [(name, name) for name in tiers if name in said and tiers[name]]
        if not pairs:
            raise EmopipeError(
                f"{path}: no tier with annotations is called as one of the results ({listing(said)}); "
                f"name one by --tier: {listing(tiers)}"
            )
        return pairs
    if tier not in tiers:
        raise EmopipeError(f"--tier {show(tier)}: {path} has no such tier; there are {listing(tiers)}")
    if not tiers[tier]:
        raise EmopipeError(f"--tier {show(tier)}: {path} has no annotation on it")
    if who is None:
        fused = [name for name in said if name.endswith("fused")]
        candidates = [tier] if tier in said else fused or list(said)
        if len(candidates) != 1:
            raise EmopipeError(f"--tier {show(tier)}: say what to compare it with by --who: {listing(said)}")
        who = candidates[0]
    if who not in said:
        raise EmopipeError(f"--who {show(who)}: there are no such results; there are {listing(said)}")
    return [(tier, who)]


def _need_within(path: Path, tier: str, spans: list[Span], end: int) -> None:
    """Raises: EmopipeError: an annotation lies beyond the recording."""
    for span in spans:
        if span.end > end + TOLERANCE_NS:
            at = f"{span.start / SECOND:.3f} to {span.end / SECOND:.3f} s"
            raise EmopipeError(
                f"{path}: tier {show(tier)}: {show(span.value)} from {at} lies beyond the recording, which ends at "
                f"{end / SECOND:.3f} s; is it of another one?"
            )
