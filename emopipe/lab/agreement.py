"""How far results and people agree, by duration: the share, Cohen's kappa, who is taken for whom, and thresholds.

What threshold would keep a risk is found as for the models themselves (`models.calibration.selective`), of one result a
second: those of neighbouring frames are one answer seen twice.
"""

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from emopipe.lab.annotations import Annotation
from emopipe.lab.results import Answer
from emopipe.models.calibration import selective
from emopipe.models.checkpoint import WEIGHTS_DIR, read_card
from emopipe.models.labels import FACE
from emopipe.pipeline.clock import SECOND

EXAMPLE_NS = SECOND  # from one result that a threshold is chosen by to the next

Confusion = dict[str, dict[str, float]]


class RiskThreshold(msgspec.Struct):
    """What keeps the share of wrong answers, as people have it, at `risk`.

    Attributes:
        threshold: the confidence from which on answers count; None where these annotations are too few, or the answers
            too wrong, to promise that.
        coverage: the share of answers that reach it.
        setting: the `risk` of the stage `fusion` for which the shipped weights ask for at least that confidence; None
            where they ask for as much for none. Of another maker's labels it is 1 - `threshold`.
    """

    risk: float
    threshold: float | None = None
    coverage: float | None = None
    setting: float | None = None


class Agreement(msgspec.Struct):
    """How far results agree with one tier of annotations; shares are of the time that has both.

    Attributes:
        tier: of the annotations.
        who: the results that they are compared with, by the name of their tier.
        annotated_s: how long somebody gave a label.
        compared_s: how long of that there is a result.
        agreement: the share in which both say the same; None where they have no time in common.
        kappa: Cohen's, by duration; None where that is undefined, since one label is all that both know.
        certain: the share of results that are not uncertain.
        certain_agreement: the agreement of those.
        confusion: seconds, by the annotated label and what the results say.
        examples: results that the thresholds are chosen by.
        thresholds: by risk.
    """

    tier: str
    who: str
    annotated_s: float
    compared_s: float
    agreement: float | None
    kappa: float | None
    certain: float | None
    certain_agreement: float | None
    confusion: Confusion
    examples: int
    thresholds: list[RiskThreshold]


def compare(
    tier: str,
    who: str,
    annotations: Sequence[Annotation],
    answers: Sequence[Answer],
    risks: Sequence[float],
    known: Sequence[str] = FACE,
) -> Agreement:
    """Compare a tier of annotations with the answers of one person; both in order, and of the `known` labels."""
    seconds = np.zeros((len(known), len(known)))
    certain_ns = certain_right_ns = 0
    examples: list[tuple[Answer, str]] = []
    next_example = 0
    for label, answer, start, end in common(annotations, answers):
        said = answer.finding.emotion
        seconds[known.index(label), known.index(said)] += (end - start) / SECOND
        if not answer.finding.uncertain:
            certain_ns += end - start
            certain_right_ns += (end - start) * (said == label)
        if start >= next_example:
            examples.append((answer, label))
            next_example = start + EXAMPLE_NS
    total = float(seconds.sum())
    confusion = {
        label: {said: round(float(s), 6) for said, s in zip(known, row, strict=True) if s}
        for label, row in zip(known, seconds, strict=True)
        if row.any()
    }
    return Agreement(
        tier=tier,
        who=who,
        annotated_s=round(sum(each.end - each.start for each in annotations) / SECOND, 6),
        compared_s=round(total, 6),
        agreement=float(np.trace(seconds)) / total if total else None,
        kappa=cohens_kappa(seconds),
        certain=certain_ns / SECOND / total if total else None,
        certain_agreement=certain_right_ns / certain_ns if certain_ns else None,
        confusion=confusion,
        examples=len(examples),
        thresholds=_thresholds(examples, risks, who, known),
    )


def common(annotations: Sequence[Annotation], answers: Sequence[Answer]) -> Iterator[tuple[str, Answer, int, int]]:
    """The pieces of time that have both a label and an answer: both, and from when to when (ns), in order.

    Where answers overlap the later begins where the earlier ends.
    """
    at = 0
    reached = 0
    for answer in answers:
        start = max(answer.start, reached)
        reached = max(reached, answer.end)
        while at < len(annotations) and annotations[at].end <= start:
            at += 1
        place = at
        while place < len(annotations) and annotations[place].start < answer.end:
            begin, end = max(start, annotations[place].start), min(answer.end, annotations[place].end)
            if begin < end:
                yield annotations[place].label, answer, begin, end
            place += 1


def cohens_kappa(table: np.ndarray) -> float | None:
    """Cohen's kappa (Cohen 1960) of a square table of counts or durations; None where it is undefined."""
    total = table.sum()
    if not total:
        return None
    by_chance = float(table.sum(axis=1) @ table.sum(axis=0)) / total**2
    if by_chance >= 1:
        return None
    return float((np.trace(table) / total - by_chance) / (1 - by_chance))


def _thresholds(
    examples: Sequence[tuple[Answer, str]], risks: Sequence[float], who: str, known: Sequence[str]
) -> list[RiskThreshold]:
    rows = [[answer.finding.probabilities.get(label, 0.0) for label in known] for answer, _ in examples]
    targets = [known.index(label) for _, label in examples]
    promised = selective(np.array(rows), targets) if examples else []
    others = any(label not in FACE for answer, _ in examples for label in answer.finding.probabilities)
    made = []
    for risk in risks:
        reached = [selection for selection in promised if selection.risk <= risk + 1e-9]
        if not reached:
            made.append(RiskThreshold(risk))
            continue
        _, threshold, coverage = reached[-1]
        # Of another maker's model fusion takes a confidence as it is.
        setting = round(max(1 - threshold, 0.0), 6) or None if others else risk_setting(who, threshold)
        made.append(RiskThreshold(risk, threshold, coverage, setting))
    return made


def risk_setting(who: str, threshold: float) -> float | None:
    """The highest `risk` of the stage `fusion` for which the shipped weights let no answer of `who` below `threshold`
    count; None if there is none."""
    if threshold <= 0:
        return 1.0
    task = "speech" if who == "voice" else "fusion" if who.endswith("fused") else "facial"
    table = read_card(WEIGHTS_DIR / f"{task}.safetensors").selective
    return max((selection.risk for selection in table if selection.threshold >= threshold), default=None)
