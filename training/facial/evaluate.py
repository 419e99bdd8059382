"""Evaluating the face classifier on FER2013, with or without FER+'s votes, on RAF-DB and on CK+."""

import os
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emopipe.models.calibration import temperature_at
from emopipe.models.checkpoint import Card
from emopipe.models.facial.networks import NETWORKS
from emopipe.models.labels import FACE
from emopipe.models.loading import load_network, pick_device
from emopipe.pipeline.errors import EmopipeError
from emopipe.training.evaluation.metrics import summarise
from emopipe.training.evaluation.results import Answers, Evaluation, need_labels
from emopipe.training.facial import class_folders, fer2013, ferplus
from emopipe.training.facial.batches import judge
from emopipe.training.facial.duplicates import duplicates

DEFAULT_SPLITS = {"fer2013": "PublicTest", "rafdb": "test", "ck+": "all"}

NOTES = {
    "Training": "The model was trained on these images: this says nothing of others.",
    "PublicTest": "The model was chosen and calibrated on PublicTest: a little flattering.",
    "PrivateTest": "Nothing was trained, fitted or chosen on PrivateTest.",
    "train": "The model was trained on these images: this says nothing of others.",
    "validation": "The model was chosen and calibrated on this tenth of RAF-DB's training part: a little flattering.",
    "test": "Nothing was trained, fitted or chosen on RAF-DB's test part.",
    "all": "Nothing was trained, fitted or chosen on CK+.",
}
"""What the figures of a split can show of the shipped weights."""

LABELLINGS = (
    "accuracy: FER2013's own labels, by the output that learnt them; the distribution that the stages give is what "
    "people see (people_…, and votes_… with --votes)."
)


def evaluate(
    data: Path, weights: Path | None = None, split: str | None = None, votes: Path | None = None
) -> Evaluation:
    """A checkpoint's answers (by default the shipped one's) on a split of FER2013, RAF-DB or CK+, by its official name.

    On FER2013 there are two: `images`, in FER2013's own labelling by the network's output for it, and `people`, the
    distribution that the stages give, against the same labels. With FER+'s `votes` a third, `votes`: the latter
    against what 6 or more of ten people saw. On the other corpora there is `images` alone, what the stages give.

    Raises:
        DataError: the data set is missing, in another layout, or has none of this split; votes that fit no image.
        ModelError: the weights are missing or damaged.
        EmopipeError: no such split of this corpus; votes for another corpus than FER2013.
    """
    corpus = class_folders.corpus_of(data)
    split = split or DEFAULT_SPLITS[corpus]
    if split not in class_folders.SPLITS[corpus]:
        splits = ", ".join(class_folders.SPLITS[corpus])
        raise EmopipeError(f"split: {split!r} is unknown; the splits are {splits}")
    if votes and corpus != "fer2013":
        raise EmopipeError(f"--votes {votes}: FER+ voted on FER2013's images, but {data} holds others; leave it out")
    network, card = load_network(weights, "facial", NETWORKS)
    need_labels(card.labels, FACE, weights)
    torch.set_num_threads(os.cpu_count() or 1)
    network.to(pick_device())
    if corpus == "fer2013":
        dataset = fer2013.load(data)
        chosen = dataset.split(split)
        judged = judge(network, chosen.images)
        evaluation = _fer2013(dataset, split, card, judged.people, judged.fer2013, judged.distance)
        if votes:
            seen = ferplus.load(votes, chosen.names)
            _add_votes(evaluation, seen, judged.people, temperatures_at(card, judged.distance))
        return evaluation
    pictures = class_folders.load(data, split)
    judged = judge(network, pictures.images)
    figures = {f"n_left_out_{reason}": float(count) for reason, count in pictures.left_out.items()}
    notes = [NOTES[split]] + [f"{count} images left out: {reason}." for reason, count in pictures.left_out.items()]
    answers = Answers(
        judged.people, torch.from_numpy(pictures.targets), card.labels, temperatures_at(card, judged.distance)
    )
    return Evaluation({"images": answers}, figures, notes)


def temperatures_at(card: Card, distance: Tensor) -> float | Tensor:
    """The temperature of each face by its distance from the training faces, or the one for all."""
    if not card.temperatures:
        return card.temperature
    return torch.from_numpy(temperature_at(card.temperatures, distance.numpy()))


def _fer2013(
    dataset: fer2013.Fer2013, split: str, card: Card, people: Tensor, own: Tensor, distance: Tensor
) -> Evaluation:
    chosen = dataset.split(split)
    targets, temperatures = torch.from_numpy(chosen.targets), temperatures_at(card, distance)
    figures: dict[str, float] = {}
    official = fer2013.SPLITS[split]
    part = "" if len(chosen) == official else f" These are {len(chosen):,} of its {official:,} images."
    notes = [NOTES[split] + part, LABELLINGS]
    if split != "Training":
        fresh = torch.from_numpy(~duplicates(chosen, dataset))
        figures["n_duplicates"] = float((~fresh).sum())
        if fresh.any():
            others = summarise(own[fresh], targets[fresh], card.labels, 1.0)
            figures |= {f"{name}_without_duplicates": others[name] for name in ("accuracy", "uar")}
        if "Training" not in dataset.splits:
            notes.append(
                "Duplicates of Training images were found by the list in the package, which knows the pixels of the "
                "common download; in another edition of FER2013 some may go unnoticed."
            )
    if dataset.damaged:
        figures["n_damaged"] = float(len(dataset.damaged))
        notes.append(f"{len(dataset.damaged)} damaged images, of any split, were skipped.")
    answers = {
        "images": Answers(own, targets, card.labels, 1.0),  # never shown, and so not calibrated
        "people": Answers(people, targets, card.labels, temperatures),
    }
    return Evaluation(answers, figures, notes)


def _add_votes(evaluation: Evaluation, votes: ferplus.Votes, people: Tensor, temperatures: float | Tensor) -> None:
    """What the stages give, against what most people saw: on the images of which they are sure."""
    clear: NDArray[np.intp] = np.flatnonzero(votes.clear)
    unknown = int((votes.counts.sum(axis=1) == 0).sum())
    if unknown:
        evaluation.notes.append(f"{unknown:,} images have no votes and are left out of votes_….")
    if not len(clear):
        evaluation.notes.append(f"No image has {ferplus.CLEAR} votes for one class: there are no votes_… figures.")
        return
    seen = torch.from_numpy(votes.shares[clear].argmax(axis=1))
    chosen = torch.from_numpy(clear)
    temperature = temperatures[chosen] if isinstance(temperatures, Tensor) else temperatures
    answers = Answers(people[chosen], seen, list(FACE), temperature)
    evaluation.answers["votes"] = answers
    if f"recall_{FACE[-1]}" in (figures := answers.figures()):
        evaluation.figures["votes_neutral_recall"] = figures["recall_neutral"]
