"""Training and evaluating the voice classifier on RAVDESS, on people it has never heard.

Every figure comes from actors who were not trained on: folds of whole actors, a schedule of fixed length (the last
weights are taken, no epoch is picked), temperature fitted on other actors than it is scored on.
"""

import json
import logging
import shlex
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import msgspec
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger

from models import checkpoint
from models.calibration import class_shares, selective, softmax
from models.features import MfccSpec
from models.labels import SPEECH
from models.speech import LSTM, NETWORKS, SpeechModel
from pipeline.errors import DataError, EmopipeError
from training import metrics, ravdess
from training.hearing import Heard, figures, hear, join, mean_and_sd
from training.memory import keep_freed_memory
from training.ravdess import Clip
from training.settings import settings
from training.voices import Settings, SpeechTraining, options


class Training:
    """Trains networks on some actors each, in folders of `run`."""

    def __init__(self, config: Settings, data: Path, run: Path, resume: bool) -> None:
        self.config, self.run, self.resume = config, run, resume
        self.spec = MfccSpec()
        speeds = list(dict.fromkeys([1.0, *config.speeds]))
        corpora = ravdess.read(data, self.spec, speeds)
        self.corpus = corpora[1.0]
        self.versions = [corpora[speed].clips for speed in config.speeds]

    def clips(self, actors: Sequence[int]) -> list[Clip]:
        return [clip for clip in self.corpus.clips if clip.name.actor in actors]

    def others(self, *groups: Sequence[int]) -> list[int]:
        """The actors in none of `groups`."""
        return [actor for actor in self.corpus.actors if not any(actor in group for group in groups)]

    def fit(self, name: str, actors: Sequence[int], validation: Sequence[int]) -> LSTM:
        """Train on `actors`, watching `validation`; give the averaged weights of the last step."""
        config, folder = self.config, self.run / name
        if not any(clip.windows for clip in self.clips(validation)):
            raise DataError(f"no speech was heard in the clips of actors {_list(validation)}; are these their sounds?")
        pl.seed_everything(config.seed, verbose=False)
        train = [[clip for clip in clips if clip.name.actor in actors] for clips in self.versions]
        module = SpeechTraining(config, self.spec, train, self.clips(validation))
        terminal = sys.stdout.isatty()
        trainer = pl.Trainer(
            max_epochs=config.epochs,
            accelerator="auto",
            devices=1,
            gradient_clip_val=1.0,
            check_val_every_n_epoch=min(10, config.epochs),
            logger=CSVLogger(folder, name=None, version=""),
            callbacks=[
                ModelCheckpoint(folder, filename="last", enable_version_counter=False, save_on_train_epoch_end=True),
                *([TQDMProgressBar(refresh_rate=5)] if terminal else []),
            ],
            enable_progress_bar=terminal,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        last = folder / "last.ckpt"
        try:
            trainer.fit(module, ckpt_path=last if self.resume and last.is_file() else None, weights_only=True)
        except SystemExit:  # Lightning's answer to Ctrl-C
            raise KeyboardInterrupt from None
        network = module.average.module.eval()
        if not isinstance(network, LSTM):
            raise TypeError(f"a {type(network).__name__} was averaged")
        return network

    def cross_validate(self) -> tuple[float, dict[str, float]]:
        """Test on the actors of each fold in turn what was trained on the others.

        A fold's temperature is fitted on two of its training side's actors who were kept out of training for that.
        Gives the temperature that fits all folds' test windows together, and the figures' mean and deviation.
        """
        folds = ravdess.folds(self.corpus.actors)
        tested: list[Heard] = []
        scored: list[dict[str, float]] = []
        for number, test in enumerate(folds):
            watched = _one_of_each_sex(folds[(number + 1) % len(folds)])
            network = self.fit(f"fold-{number + 1}", self.others(test, watched), watched)
            kept = hear(network, self.clips(watched), self.spec)
            temperature = metrics.fit_temperature(kept.window_logits, kept.window_targets)
            tested.append(hear(network, self.clips(test), self.spec))
            scored.append(figures(tested[-1], temperature))
            print(f"fold {number + 1}/{len(folds)} · actors {_list(test)} · {_line(scored[-1])}", flush=True)
        everyone = join(tested)
        summary = mean_and_sd(scored)
        (self.run / "cross-validation.json").write_text(
            json.dumps({"folds": dict(zip(map(_list, folds), scored, strict=True)), "all": summary}, indent=2)
        )
        return metrics.fit_temperature(everyone.window_logits, everyone.window_targets), summary


def train(config: dict[str, Any], data: Path, out: Path, resume: bool = False, runs: Path = Path("runs")) -> None:
    """Cross-validate over the usual folds of actors, then train on all but `validation_actors` and write to `out`.

    `runs`/speech/ holds a folder for each fold and for the last training, with its log (metrics.csv) and the state to
    resume from (last.ckpt), and the folds' figures (cross-validation.json).

    Raises:
        EmopipeError: a setting is unknown or out of range, or there is no run with these settings to resume.
        DataError: the data set is missing, or lacks the actors that are needed.
    """
    chosen = settings(config, Settings)
    if chosen.network not in NETWORKS:
        raise EmopipeError(f"network: {chosen.network!r} is unknown; the networks are {', '.join(NETWORKS)}")
    if chosen.shortest > chosen.longest:
        raise EmopipeError(f"shortest: {chosen.shortest} is more than longest ({chosen.longest})")
    run = runs / "speech"
    _keep_settings(run / "settings.json", chosen, resume)

    # Lightning's advice about data loader workers and logging intervals does not fit features held in memory.
    warnings.filterwarnings("ignore", module="lightning.*")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    keep_freed_memory()
    torch.set_num_threads(chosen.threads)
    training = Training(chosen, data, run, resume)
    watched = chosen.validation_actors
    missing = [actor for actor in watched if actor not in training.corpus.actors]
    if missing or not training.others(watched):
        raise DataError(
            f"validation_actors: {_list(watched)}, but {data} has actors {_list(training.corpus.actors)}; "
            "choose some of them, and leave others to train on"
        )
    temperature, found = training.cross_validate() if chosen.cross_validate else (None, {})
    actors = training.others(watched)
    network = training.fit("final", actors, watched)
    heard = hear(network, training.clips(watched), training.spec)
    if temperature is None:
        temperature = metrics.fit_temperature(heard.window_logits, heard.window_targets)
    validation = figures(heard, temperature)
    print(f"validation actors {_list(watched)} · {_line(validation)}", flush=True)
    card = checkpoint.Card(
        task="speech",
        network=chosen.network,
        options=options(chosen),
        labels=list(SPEECH),
        features=msgspec.structs.asdict(training.spec),
        temperature=temperature,
        config=msgspec.structs.asdict(chosen) | {"trained_on": actors},
        seed=chosen.seed,
        data_sha256=training.corpus.sha256,
        command=shlex.join(["emopipe", *sys.argv[1:]]),
        metrics=found | {f"validation_{name}": value for name, value in validation.items()},
        prior=class_shares([clip.name.label for clip in training.clips(actors)], SPEECH),
        selective=selective(softmax(heard.window_logits.numpy(), temperature), heard.window_targets.numpy()),
    )
    checkpoint.save(out, network.state_dict(), card)


def evaluate(data: Path, weights: Path | None = None, split: str = "unseen") -> dict[str, float]:
    """Figures of a checkpoint (by default the committed one): see `hearing.figures`.

    `split` is `unseen` (the actors in `data` that it was not trained on) or `all`.

    Raises:
        DataError: the data set is missing, or has no actor that it was not trained on.
    """
    if split not in ("unseen", "all"):
        raise EmopipeError(f"split: {split!r} is unknown; expected unseen or all")
    _, card = checkpoint.load(weights or checkpoint.WEIGHTS / "speech.safetensors", "speech")
    model = SpeechModel.load(weights)
    clips = ravdess.read(data, model.spec)[1.0].clips
    seen = card.config["trained_on"] if split == "unseen" else []
    chosen = [clip for clip in clips if clip.name.actor not in seen]
    if not chosen:
        raise DataError(
            f"{data}: every actor in it was trained on; add others, or evaluate `all` (too good to be true)"
        )
    return figures(hear(model.network, chosen, model.spec), model.temperature)


def _keep_settings(path: Path, chosen: Settings, resume: bool) -> None:
    """Note the settings of a run; a run is resumed with the settings it was started with."""
    if resume:
        if not path.is_file():
            raise EmopipeError(f"{path}: no run to resume; start one without --resume")
        if msgspec.json.decode(path.read_bytes(), type=Settings) != chosen:
            raise EmopipeError(f"{path}: the run was started with these other settings; use them, or start a new one")
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        for state in path.parent.glob("*/last.ckpt"):
            state.unlink()
        path.write_bytes(msgspec.json.format(msgspec.json.encode(chosen)))


def _one_of_each_sex(actors: Sequence[int]) -> list[int]:
    firsts = [next((actor for actor in actors if actor % 2 == odd), None) for odd in (0, 1)]
    return [actor for actor in firsts if actor is not None]


def _list(actors: Sequence[int]) -> str:
    return ", ".join(map(str, actors))


def _line(found: dict[str, float]) -> str:
    shown = ("uar", "accuracy", "nll", "ece", "window_uar", "window_nll", "window_ece")
    return " · ".join(f"{name} {found[name]:.3f}" for name in shown if name in found)
