"""Evaluating weights, a user's own or the shipped ones, on labelled files of a user's own."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch

from emopipe.fine_tuning.card import fingerprint
from emopipe.fine_tuning.classifier import groups_of
from emopipe.fine_tuning.data import FILE_ENDINGS, read
from emopipe.fine_tuning.faces import read_faces
from emopipe.fine_tuning.labelled import Labelled, Labels
from emopipe.fine_tuning.voices import read_voices
from emopipe.models.checkpoint import WEIGHTS_DIR, Card, load_arrays
from emopipe.models.facial.networks import NETWORKS
from emopipe.models.labels import FACE, SPEECH, as_emotion
from emopipe.models.loading import load_network
from emopipe.models.speech.model import SpeechModel
from emopipe.pipeline.errors import DataError
from emopipe.pipeline.text import count, listing, show
from emopipe.training.evaluation.results import Answers, Evaluation
from emopipe.training.facial.batches import judge
from emopipe.training.facial.evaluate import temperatures_at
from emopipe.training.speech.scoring import (
    RISK,
    SHARED,
    answered_figures,
    least_confidence,
    shared_logits,
    shared_targets,
)

UNITS = {"facial": "picture", "speech": "sound"}
EMOTIONS = {"facial": FACE, "speech": SPEECH}
MOST_NAMED = 8


def evaluate(task: str, data: Path, people: Path | None = None, weights: Path | None = None) -> Evaluation:
    """The answers of weights, by default the shipped ones of `task`, about the files of a folder or a table.

    Faces are answered for a picture each (`images`), voices by segments of speech, as `emopipe predict` hears them, and
    by a stream's windows. Files of classes that the weights do not know are left out, and so are people and files that
    taught them, where the card says which. Intervals are over people where these are known.

    Raises:
        DataError: see `data.read`; the weights know fewer than two of the classes, or learnt from all of the files.
        ModelError: the weights are missing, damaged or of another task, or the voice encoder is not to be had.
    """
    path = weights or WEIGHTS_DIR / f"{task}.safetensors"
    _, card = load_arrays(path, task)
    found = read(data, FILE_ENDINGS[task], people)
    known, notes = _known(data, found, card, path)
    files, of_strangers = _strangers(data, known, card, path)
    answers = (_faces if task == "facial" else _voices)(data, files, found.left_out, path)
    first = next(iter(answers.values()))
    notes += [*of_strangers, *_labels_notes(card.labels, first)]
    if not files[0].person:
        notes.append(f"Nobody knows who is in which {UNITS[task]}: some may have taught the weights, or be here twice.")
    notes += [f"{count(number, 'file')} left out: {reason}." for reason, number in sorted(found.left_out.items())]
    least = least_confidence(card.selective) if card.selective else 1 - RISK
    table = "" if card.selective else f", which is a confidence of {least:g}, since the weights have no table of risks"
    notes.append(
        f"answered is the share that is not uncertain at a risk of {RISK:g}{table}; answered_error is the "
        "share of wrong ones among these."
    )
    return Evaluation(answers, answered_figures(first, least), notes)


def meaning(label: str, labels: Sequence[str], emotions: Sequence[str]) -> str | None:
    """The one of a model's `labels` that a class stands for, by its name, or as a name of the same one of `emotions`;
    None if it stands for none, or for several."""
    same = [each for each in labels if each.casefold() == label.casefold()]
    emotion = as_emotion(label, emotions)
    alike = same or [each for each in labels if emotion and as_emotion(each, emotions) == emotion]
    return alike[0] if len(alike) == 1 else None


def _known(data: Path, found: Labels, card: Card, path: Path) -> tuple[list[Labelled], list[str]]:
    """The files whose classes the weights know, with the weights' labels, and notes; the others are counted."""
    meant = {label: meaning(label, card.labels, EMOTIONS[card.task]) for label in found.labels}
    if len({*meant.values()} - {None}) < 2:
        raise DataError(
            f"{data}: its classes are {listing(found.labels)}, but {path.name} knows {listing(card.labels)}; two at "
            "least must be the same, or names of the same emotion"
        )
    files = []
    for each in found.files:
        if (label := meant[each.label]) is None:
            found.left_out[f"{show(each.label)} is no label of the weights"] += 1
        else:
            files.append(each._replace(label=label))
    others = [f"{label} as {name}" for label, name in meant.items() if name not in (None, label)]
    return files, [f"Classes counted by other names: {', '.join(others)}."] if others else []


def _strangers(data: Path, files: list[Labelled], card: Card, path: Path) -> tuple[list[Labelled], list[str]]:
    """The files that did not teach the weights, of people who did not, and notes of the others."""
    taught_by = {person for fold in card.config.get("tested_apart", []) for person in fold}
    learnt = {*card.config.get("files", [])}
    people = sorted({each.person for each in files} & taught_by)
    strangers = [each for each in files if each.person not in people and fingerprint(each) not in learnt]
    if not strangers:
        raise DataError(
            f"{data}: {path.name} learnt from everybody in it; give people whom it does not know: how it does "
            "with such by its own data, `emopipe train` printed"
        )
    notes = []
    if people:
        named = f"{', '.join(people[:MOST_NAMED])}{', …' if len(people) > MOST_NAMED else ''}"
        notes.append(f"Left out, since the weights learnt from people of this name: {named}.")
    if again := sum(each.person not in people for each in files) - len(strangers):
        notes.append(f"{count(again, 'file')} left out: the weights learnt from it.")
    return strangers, notes


def _labels_notes(labels: Sequence[str], answers: Answers) -> list[str]:
    shown = {answers.labels[target] for target in answers.targets.tolist()}
    missing = [label for label in answers.labels if label not in shown]
    notes = []
    if missing:
        notes.append(
            f"Nobody here shows {', '.join(missing)}: answers that say so are wrong, and macro F1 counts them as 0."
        )
    if len(answers.labels) < len(labels):
        notes.append("calm counts as neutral, since nobody here is called calm.")
    return notes


def _faces(data: Path, files: list[Labelled], left_out: Counter[str], path: Path) -> dict[str, Answers]:
    files, crops = read_faces(data, files, left_out)
    network, card = load_network(path, "facial", NETWORKS)
    judged = judge(network, crops)
    targets = torch.tensor([card.labels.index(each.label) for each in files])
    temperature = temperatures_at(card, judged.distance)
    return {"images": Answers(judged.people, targets, card.labels, temperature, groups_of(files))}


def _voices(data: Path, files: list[Labelled], left_out: Counter[str], path: Path) -> dict[str, Answers]:
    model = SpeechModel.load(path, "cpu")
    voices = read_voices(data, files, left_out, path)
    logits = torch.from_numpy(model.logits(voices.rows))
    temperature = torch.from_numpy(model.temperature_of(voices.rows))
    targets = torch.tensor([model.labels.index(each.label) for each in voices.files])
    groups = groups_of(voices.files)
    if model.labels == SPEECH and SPEECH.index("calm") not in targets:
        joined = shared_logits(logits, temperature)
        every = Answers(joined, shared_targets(targets), SHARED, 1.0, groups)
    else:
        every = Answers(logits, targets, model.labels, temperature, groups)
    return {"segments": every.of(voices.whole), "windows": every.of(~voices.whole)}
