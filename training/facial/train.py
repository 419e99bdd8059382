"""Training the face classifier: on FER2013, with FER+'s votes, RAF-DB and teachers where they are had."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor

from emopipe.models.facial.base import FaceNetwork
from emopipe.models.facial.networks import NETWORKS
from emopipe.models.labels import FACE
from emopipe.models.loading import load_network, pick_device
from emopipe.pipeline.errors import EmopipeError, ModelError
from emopipe.pipeline.files import replacing
from emopipe.training.facial import calibration
from emopipe.training.facial.batches import Corpus, load
from emopipe.training.facial.evaluate import evaluate
from emopipe.training.facial.module import FacialTraining, unmoved
from emopipe.training.facial.settings import TEACHER, Settings, read_settings
from emopipe.training.trainer.fit import fit, is_leader
from emopipe.training.trainer.settings import typed_command

__all__ = ["evaluate", "train"]


def train(config: dict[str, Any], data: Path, out: Path, resume: bool = False, runs: Path = Path("runs")) -> None:
    """Train on the Training images and RAF-DB's, watch PublicTest, write the averaged weights to `out`.

    They are those of the last epoch; with `patience`, those of the best validation. `runs`/facial/ is the run's folder
    (see `training.trainer.fit`); it also has, after each validation, weights that can be used (facial.safetensors).
    With `folds`, no weights are written but what networks say of the pictures they were not trained on: see
    `write_out_of_fold`.

    Raises:
        EmopipeError: a setting is unknown or out of range, there is nothing to resume, memory or disk are full.
        DataError: a data set is missing or not laid out as it should be.
        ModelError: weights to start from, or teachers' answers, are missing or do not fit.
    """
    chosen = read_settings(config)
    run = runs / "facial"
    if chosen.folds and out.suffix != ".npz":
        raise EmopipeError(f"--out {out}: with folds, out-of-fold answers are written, not weights; give a .npz")
    pl.seed_everything(chosen.seed, verbose=False)
    network, origin = _start(chosen)
    origin["command"] = typed_command()
    corpus = load(data, chosen, colour=network.channels == 3)
    if chosen.teachers:
        corpus = _taught(corpus, chosen)
        origin |= {
            "teachers": [Path(path).name for path in chosen.teachers],
            "teachers_sha256": [_sha256(Path(path)) for path in chosen.teachers],
        }
    origin |= {name: Path(path).name for name in ("votes", "rafdb") if (path := getattr(chosen, name))}
    if chosen.folds:
        write_out_of_fold(chosen, corpus, out, resume, run)
        return

    def save(averaged: FaceNetwork, epochs: int, path: Path = run / "facial.safetensors") -> None:
        calibration.save(path, averaged, corpus, chosen, origin, epochs)

    module = FacialTraining(chosen, corpus, network, save)
    _fit(module, chosen, run, resume)
    if is_leader():
        module.average.to(pick_device())
        module.calibrate_norms()
        save(module.averaged, module.current_epoch, out)


def write_out_of_fold(chosen: Settings, corpus: Corpus, out: Path, resume: bool, run: Path) -> None:
    """Train a network for each fold, without it, and write what it says of it: soft labels that no network has learnt.

    `out` holds `answers_0`, `answers_1`, … float16 [N, 2, 7], one for each source (FER2013's Training, RAF-DB): the
    probabilities of what people see and of FER2013's label, over a picture and its mirror image. Folds that are done
    are kept in `run` and not trained again with `resume`.
    """
    random = torch.Generator().manual_seed(chosen.seed)
    folds = [torch.randperm(len(source), generator=random) % chosen.folds for source in corpus.sources]
    answers = [torch.zeros(len(source), 2, len(FACE)) for source in corpus.sources]
    for fold in range(chosen.folds):
        folder = run / f"fold-{fold}"
        done = folder / "answers.pt"
        if resume and done.is_file():
            said = torch.load(done, weights_only=True)
        else:
            kept = [source.subset(which != fold) for source, which in zip(corpus.sources, folds, strict=True)]
            network, _ = _start(chosen)
            module = FacialTraining(chosen, replace(corpus, sources=kept), network)
            _fit(module, chosen, folder, resume and (folder / "last.ckpt").is_file())
            module.average.to(pick_device())
            module.calibrate_norms()
            said = [
                _answers(module.averaged, unmoved(source.subset(which == fold), network))
                for source, which in zip(corpus.sources, folds, strict=True)
            ]
            with replacing(done) as partial:
                torch.save(said, partial)
        for all_, which, part in zip(answers, folds, said, strict=True):
            all_[which == fold] = part
    if is_leader():
        with replacing(out) as partial, partial.open("wb") as file:
            arrays = {f"answers_{index}": part.numpy().astype(np.float16) for index, part in enumerate(answers)}
            np.savez(file, allow_pickle=False, sha256=np.array(corpus.sha256), **arrays)


@torch.inference_mode()
def _answers(network: FaceNetwork, views: Tensor) -> Tensor:
    """Probabilities [N, 2, 7] of pictures [N, C, H, W], averaged with those of their mirror images."""
    device, said = next(network.parameters()).device, []
    for batch in torch.split(views, 128):
        both = [network.labellings(network.prepare(each.to(device))) for each in (batch, batch.flip(3))]
        said.append(torch.stack(both).float().softmax(dim=3).mean(dim=0).cpu())
    return torch.cat(said)


def _fit(module: FacialTraining, chosen: Settings, run: Path, resume: bool) -> None:
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


def _taught(corpus: Corpus, chosen: Settings) -> Corpus:
    """The corpus with the mean of the teachers' answers mixed into what is to be learnt."""
    parts: list[list[Tensor]] = []
    for path in map(Path, chosen.teachers):
        try:
            with np.load(path, allow_pickle=False) as arrays:
                part = [torch.from_numpy(arrays[f"answers_{i}"].astype(np.float32)) for i in range(len(corpus.sources))]
        except (OSError, KeyError, ValueError) as error:
            raise ModelError(f"{path}: no out-of-fold answers for this data ({error}); make them with folds") from None
        if [len(each) for each in part] != [len(source) for source in corpus.sources]:
            raise ModelError(
                f"{path}: answers on {' and '.join(f'{len(each):,}' for each in part)} pictures, but there are "
                f"{' and '.join(f'{len(source):,}' for source in corpus.sources)}; make them anew on this data"
            )
        parts.append(part)
    means = [torch.stack(each).mean(dim=0) for each in zip(*parts, strict=True)]
    sources = [
        source.taught(mean, chosen.label_share, chosen.vote_share, has_labels=index == 0)
        for index, (source, mean) in enumerate(zip(corpus.sources, means, strict=True))
    ]
    return replace(corpus, sources=sources)


def _start(chosen: Settings) -> tuple[FaceNetwork, dict[str, Any]]:
    """The network to train, random or from weights, and what the card says of these."""
    if chosen.network == TEACHER:
        from emopipe.training.facial.hsemotion import HSEmotion

        return HSEmotion(Path(chosen.init), chosen.dropout), {}
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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
