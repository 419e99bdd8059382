"""Training and evaluating the face classifier on FER2013."""

import hashlib
import os
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from emopipe.models.facial.base import FaceNetwork
from emopipe.models.facial.networks import NETWORKS
from emopipe.models.labels import FACE
from emopipe.models.loading import load_network, pick_device
from emopipe.pipeline.errors import EmopipeError, ModelError
from emopipe.training.evaluation.metrics import summarise
from emopipe.training.evaluation.results import Answers, Evaluation, need_labels
from emopipe.training.facial import fer2013
from emopipe.training.facial.averaging import calibrate_norms
from emopipe.training.facial.batches import predict
from emopipe.training.facial.duplicates import duplicates
from emopipe.training.facial.module import FacialTraining
from emopipe.training.facial.settings import Settings, read_settings
from emopipe.training.trainer.fit import fit, is_leader
from emopipe.training.trainer.settings import typed_command


def train(config: dict[str, Any], data: Path, out: Path, resume: bool = False, runs: Path = Path("runs")) -> None:
    """Train on the Training images, watch PublicTest, write the averaged weights to `out`.

    They are those of the last epoch; with `patience`, those of the best validation. `runs`/facial/ is the run's folder
    (see `training.trainer.fit`); it also has, after each validation, weights that can be used (facial.safetensors).

    Raises:
        EmopipeError: a setting is unknown or out of range, there is nothing to resume, memory or disk are full.
        DataError: the data set is missing or not laid out as FER2013.
        ModelError: weights to start or to learn from are missing or do not fit.
    """
    chosen = read_settings(config)
    run = runs / "facial"
    pl.seed_everything(chosen.seed, verbose=False)
    network, origin = _start(chosen)
    paths = [Path(path) for path in chosen.teachers]
    teachers = [_read(path) for path in paths]
    if teachers:
        origin |= {"teachers": [path.name for path in paths], "teachers_sha256": [_sha256(path) for path in paths]}
    dataset = fer2013.load(data)
    for name in ("Training", "PublicTest"):
        dataset.split(name)
    module = FacialTraining(
        chosen,
        dataset,
        network,
        teachers,
        origin={**origin, "command": typed_command()},
        interim=run / "facial.safetensors",
    )
    fit(
        module,
        run,
        epochs=chosen.epochs,
        resume=resume,
        threads=chosen.threads,
        monitor="nll",
        precision=chosen.precision,
        devices=chosen.devices,
        patience=chosen.patience or None,
        validate_every=chosen.validate_every,
        gradient_clip=chosen.gradient_clip or None,
    )
    if not is_leader():
        return
    average = module.average.to(pick_device())
    calibrate_norms(average, dataset.split("Training"))
    watched = dataset.split("PublicTest")
    module.save(out, predict(average, watched), torch.from_numpy(watched.targets), module.current_epoch)


def evaluate(data: Path, weights: Path | None = None, split: str = "PublicTest") -> Evaluation:
    """A checkpoint's answers (by default the shipped one's) on a split of FER2013, by its official name.

    `accuracy_without_duplicates` and `uar_without_duplicates` leave out the images that are also in Training.

    Raises:
        DataError: the data set is missing, not laid out as FER2013, or has none of this split.
        ModelError: the weights are missing or damaged.
    """
    if split not in fer2013.SPLITS:
        raise EmopipeError(f"split: {split!r} is unknown; the splits are {', '.join(fer2013.SPLITS)}")
    network, card = load_network(weights, "facial", NETWORKS)
    need_labels(card.labels, FACE, weights)
    torch.set_num_threads(os.cpu_count() or 1)
    dataset = fer2013.load(data)
    chosen = dataset.split(split)
    network.to(pick_device())
    logits, targets = predict(network, chosen), torch.from_numpy(chosen.targets)
    figures: dict[str, float] = {}
    notes = [_what_a_split_shows(split, len(chosen))]
    if split != "Training":
        fresh = torch.from_numpy(~duplicates(chosen, dataset))
        figures["n_duplicates"] = float((~fresh).sum())
        if fresh.any():
            others = summarise(logits[fresh], targets[fresh], card.labels, card.temperature)
            figures |= {f"{name}_without_duplicates": others[name] for name in ("accuracy", "uar")}
        if "Training" not in dataset.splits:
            notes.append(
                "Duplicates of Training images were found by the list in the package, which knows the pixels of the "
                "common download; in another edition of FER2013 some may go unnoticed."
            )
    if dataset.damaged:
        figures["n_damaged"] = float(len(dataset.damaged))
        notes.append(f"{len(dataset.damaged)} damaged images, of any split, were skipped.")
    return Evaluation({"images": Answers(logits, targets, card.labels, card.temperature)}, figures, notes)


def _what_a_split_shows(split: str, count: int) -> str:
    shown = {
        "Training": "The model was trained on these images: this says nothing of others.",
        "PublicTest": "The temperature was fitted on PublicTest and the model chosen by it: a little flattering.",
        "PrivateTest": "Nothing was trained, fitted or chosen on PrivateTest.",
    }[split]
    official = fer2013.SPLITS[split]
    return shown if count == official else f"{shown} These are {count:,} of its {official:,} images."


def _start(chosen: Settings) -> tuple[FaceNetwork, dict[str, Any]]:
    """The network to train, random or from weights, and what the card says of these."""
    if chosen.init:
        path = Path(chosen.init)
        network, card = load_network(path, "facial", {chosen.network: NETWORKS[chosen.network]})
        if card.labels != list(FACE):
            raise ModelError(f"{path}: made for the labels {', '.join(card.labels)}, not {', '.join(FACE)}")
        network.dropout = torch.nn.Dropout(chosen.dropout)
        return network.train(), {"init": path.name, "init_sha256": _sha256(path)}
    network = NETWORKS[chosen.network](dropout=chosen.dropout)
    if chosen.imagenet:
        from emopipe.models.facial.backbones import Backbone

        if not isinstance(network, Backbone):
            raise EmopipeError(f"imagenet: there are no ImageNet weights for the network {chosen.network!r}")
        path = Path(chosen.imagenet)
        network.load_imagenet(path)
        return network, {"imagenet": path.name, "imagenet_sha256": _sha256(path)}
    return network, {}


def _read(teacher: Path) -> FaceNetwork:
    network, card = load_network(teacher, "facial", NETWORKS)
    if card.labels != list(FACE):
        raise ModelError(f"{teacher}: made for the labels {', '.join(card.labels)}, not {', '.join(FACE)}")
    return network


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
