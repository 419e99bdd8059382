"""The card of fine-tuned weights: what they learnt from, how they do, and what a reader has to know of that."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from emopipe.fine_tuning.classifier import Learnt, Settings
from emopipe.fine_tuning.labelled import Labelled, Labels
from emopipe.models.calibration import Knot, Selection, selective
from emopipe.models.checkpoint import Card
from emopipe.models.thresholds import DEFAULT_RISK
from emopipe.pipeline.text import count
from emopipe.training.evaluation.results import Answers, Evaluation
from emopipe.training.trainer.settings import typed_command


def fine_tuned(
    base: Card,
    found: Labels,
    used: Labels,
    settings: Settings,
    learnt: Learnt,
    evaluation: Evaluation,
    knots: Sequence[Knot],
    data: Path,
) -> Card:
    """The card of the network of `base`, with the last layer that `used` taught, the files of `found` that could.

    Where the answers are too few for a table of risks it has none, which `evaluation` then notes.

    Args:
        knots: the temperatures that go with `learnt.temperature`, which they are multiplied by.
        data: where the files were found.
    """
    labels = list(found.labels)
    return msgspec.structs.replace(
        base,
        options={**base.options, "classes": len(labels)},
        labels=labels,
        temperature=learnt.temperature,
        temperatures=[(place, value * learnt.temperature) for place, value in knots],
        command=typed_command(),
        config=msgspec.structs.asdict(settings)
        | {
            "data": data.name,
            "init": f"{base.task}.safetensors",
            "tested_apart": learnt.tested_apart,
            "files": sorted(fingerprint(each) for each in found.files),
        },
        seed=settings.seed,
        data_sha256=_sha256(used),
        metrics=evaluation.report().flat(),
        prior=dict.fromkeys(labels, 1 / len(labels)),
        selective=_risks(evaluation, learnt.answers),
    )


def fingerprint(file: Labelled) -> str:
    """By which a card knows a file that taught the weights."""
    return file.sha256[:16]


def notes(found: Labels, what: str, unit: str) -> list[str]:
    """What a reader has to know of the figures; `what` was learnt from, and a file is a `unit`."""
    people = sorted({each.person for each in found.files} - {""})
    lines = [
        f"{len(people)} people, each judged by what the others taught: {', '.join(people[:8])}"
        f"{', …' if len(people) > 8 else ''}. The weights learnt from all of them."
        if people
        else f"Nobody knows who is in which {unit}: these figures are of {unit}s, not of people not trained on; say "
        "who is who by a folder for each person, with --people, or in a table's column person."
    ]
    lines += [f"{count(number, 'file')} left out: {reason}." for reason, number in sorted(found.left_out.items())]
    return [*lines, f"{what} in {len(found.labels)} classes: {', '.join(found.labels)}."]


def _risks(evaluation: Evaluation, answers: Answers) -> list[Selection]:
    table = selective(answers.probabilities().numpy(), answers.targets.numpy())
    if any(each.risk <= DEFAULT_RISK for each in table):
        return table
    evaluation.notes.append(
        f"Too few answers to promise that at most {100 * DEFAULT_RISK:.0f} % are wrong: the weights have no "
        "table of risks."
    )
    return []


def _sha256(found: Labels) -> str:
    """The hash of all files, their classes and people, wherever they lie."""
    lines = sorted(f"{each.sha256}\0{each.label}\0{each.person}\0" for each in found.files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
