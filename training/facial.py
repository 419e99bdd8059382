"""Training and evaluating the face classifier on FER2013."""

import csv
import logging
import math
import os
import shlex
import sys
import time
import warnings
from pathlib import Path
from typing import Annotated, Any

import lightning.pytorch as pl
import msgspec
import torch
import torch.nn.functional as F  # noqa: N812
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from models import checkpoint
from models.calibration import class_shares, selective, softmax
from models.facial import MEAN, NETWORKS, SIZE, STD, prepare
from models.labels import FACE
from models.loading import load_network
from pipeline.errors import EmopipeError
from training import fer2013, metrics
from training.augment import Augmentation, augment
from training.averaging import calibrate_norms, moving_average
from training.batches import Batches, predict
from training.evaluation import Answers, Evaluation, need_labels
from training.memory import keep_freed_memory
from training.settings import settings

Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class Settings(Augmentation, kw_only=True, forbid_unknown_fields=True):
    """Defaults and ranges; configs/training/facial.toml says what each means."""

    network: str = "custom"
    seed: Annotated[int, msgspec.Meta(ge=0)] = 1
    epochs: Count = 48
    batch_size: Annotated[int, msgspec.Meta(ge=2)] = 128
    learning_rate: Positive = 0.15
    warmup: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.2
    momentum: Share = 0.9
    weight_decay: Annotated[float, msgspec.Meta(ge=0)] = 5e-4
    label_smoothing: Share = 0.1
    ema_decay: Share = 0.995
    sizes: Annotated[tuple[Annotated[int, msgspec.Meta(ge=24, le=SIZE)], ...], msgspec.Meta(min_length=1)] = (
        32,
        40,
        48,
    )
    validate_every: Count = 4
    threads: Count = 2


def one_cycle(progress: float, warmup: float) -> float:
    """Factor of the peak learning rate: up along a cosine from 4 % to all, then down to nothing (Smith 2018).

    A function of the progress alone, so that a run can be resumed with another number of epochs.
    """
    if progress < warmup:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * progress / warmup)) / 2
    return (1 + math.cos(math.pi * min(1.0, (progress - warmup) / (1 - warmup)))) / 2


class FacialTraining(pl.LightningModule):
    """The network, its moving average (which is validated and saved), and how both are trained."""

    def __init__(self, config: Settings, data: fer2013.Fer2013, command: str = "") -> None:
        super().__init__()
        self.config = config
        self.command = command
        self.data = data
        # Channels-last is 1.3 times as fast for depthwise convolutions on CPU, and no slower on a GPU.
        self.network = NETWORKS[config.network]()
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = AveragedModel(self.network, multi_avg_fn=moving_average(config.ema_decay))
        self.scores = MetricCollection(
            {
                "accuracy": MulticlassAccuracy(len(FACE), average="micro"),
                "macro_f1": MulticlassF1Score(len(FACE), average="macro"),
                "uar": MulticlassAccuracy(len(FACE), average="macro"),
            }
        )

    def train_dataloader(self) -> Batches:
        return Batches(self.data.split("train"), self.config.batch_size, self.device, shuffle=True)

    def val_dataloader(self) -> Batches:
        return Batches(self.data.split("validation"), 256, self.device, shuffle=False)

    def on_train_epoch_start(self) -> None:
        # Seeded by the epoch, a resumed run sees the images as the uninterrupted one would have.
        torch.manual_seed(self.config.seed * 100_003 + self.current_epoch)
        self.average.eval()

    def training_step(self, batch: tuple[Tensor, Tensor], _index: int) -> Tensor:
        images, targets = batch
        logits = self.network(augment(prepare(images), self.config, self._size()))
        loss = F.cross_entropy(logits, targets, label_smoothing=self.config.label_smoothing)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(targets))
        return loss

    def _size(self) -> int:
        """Images grow in equal shares of the epochs: what small ones teach costs less than half (Howard 2018)."""
        sizes = self.config.sizes
        return sizes[min(len(sizes) * self.current_epoch // self.config.epochs, len(sizes) - 1)]

    def on_save_checkpoint(self, state: dict[str, Any]) -> None:
        state["settings"] = msgspec.structs.asdict(self.config)

    def on_load_checkpoint(self, state: dict[str, Any]) -> None:
        now, then = msgspec.structs.asdict(self.config), state["settings"]
        for key in now.keys() - {"epochs", "threads", "validate_every"}:
            if now[key] != then.get(key):
                raise EmopipeError(f"{key}: {now[key]!r}, but the run to resume has {then.get(key)!r}; keep that")

    def on_train_batch_end(self, *_: Any) -> None:
        self.average.update_parameters(self.network)

    def on_validation_epoch_start(self) -> None:
        calibrate_norms(self.average, self.data.split("train"))

    def validation_step(self, batch: tuple[Tensor, Tensor], _index: int) -> None:
        images, targets = batch
        logits = self.average(prepare(images))
        self.scores.update(logits, targets)
        self.log("nll", F.cross_entropy(logits, targets), batch_size=len(targets), prog_bar=True)

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.scores.compute(), prog_bar=True)
        self.scores.reset()

    def configure_optimizers(self) -> Any:
        config = self.config
        weights = [p for p in self.network.parameters() if p.ndim > 1]
        others = [p for p in self.network.parameters() if p.ndim <= 1]
        optimizer = torch.optim.SGD(
            [{"params": weights, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=config.learning_rate,
            momentum=config.momentum,
            nesterov=config.momentum > 0,
        )
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = LambdaLR(optimizer, lambda step: one_cycle(step / steps, config.warmup))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Export(Callback):
    """After each epoch: its figures, as a line on the terminal and in the log, and weights that can be used."""

    figures = ("train_loss", "nll", "accuracy", "macro_f1", "uar")

    def __init__(self, run: Path, epochs: int, resume: bool) -> None:
        self.run, self.epochs, self.started = run, epochs, time.monotonic()
        if not resume:
            run.mkdir(parents=True, exist_ok=True)
            self._log("w", ["epoch", *self.figures, "minutes"])

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if not isinstance(module, FacialTraining):
            raise TypeError(f"Export saves a FacialTraining, not a {type(module).__name__}")
        epoch = trainer.current_epoch + 1
        if epoch % min(module.config.validate_every, self.epochs):
            return
        save(module, self.run / "facial.safetensors", epoch)
        values = [f"{float(trainer.callback_metrics[name]):.4f}" for name in self.figures]
        minutes = f"{(time.monotonic() - self.started) / 60:.1f}"
        self._log("a", [str(epoch), *values, minutes])
        shown = " · ".join(f"{name} {value}" for name, value in zip(self.figures, values, strict=True))
        print(f"epoch {epoch}/{self.epochs} · {shown} · {minutes} min", flush=True)

    def _log(self, mode: str, row: list[str]) -> None:
        with (self.run / "metrics.csv").open(mode, newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(row)


def save(module: FacialTraining, path: Path, epochs: int) -> None:
    """Write the averaged weights, with the temperature fitted on the validation split."""
    network = module.average.module
    network.eval()
    split = module.data.split("validation")
    logits, targets = predict(network, split), torch.from_numpy(split.targets)
    temperature = metrics.fit_temperature(logits, targets)
    card = checkpoint.Card(
        task="facial",
        network=module.config.network,
        options={},
        labels=list(FACE),
        features={"size": SIZE, "mean": MEAN, "std": STD},
        temperature=temperature,
        config=msgspec.structs.asdict(module.config),
        seed=module.config.seed,
        data_sha256=module.data.sha256,
        command=module.command,
        metrics=metrics.summarise(logits, targets, FACE, temperature) | {"epochs": float(epochs)},
        prior=class_shares(module.data.split("train").targets, FACE),
        selective=selective(softmax(logits.numpy(), temperature), split.targets),
    )
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    checkpoint.save(path, state, card)


def train(config: dict[str, Any], data: Path, out: Path, resume: bool = False, runs: Path = Path("runs")) -> None:
    """Train on the Training images, watch PublicTest, write the averaged weights of the last epoch to `out`.

    `runs`/facial/ holds the log (metrics.csv), the state to resume from (last.ckpt) and, after each epoch,
    weights that can be used (facial.safetensors), so that a run cut short is not lost.

    Raises:
        EmopipeError: a setting is unknown or out of range, or there is nothing to resume.
        DataError: the data set is missing or not laid out as FER2013.
    """
    chosen = settings(config, Settings)
    if chosen.network not in NETWORKS:
        raise EmopipeError(f"network: {chosen.network!r} is unknown; the networks are {', '.join(NETWORKS)}")
    run = runs / "facial"
    last = run / "last.ckpt"
    if resume and not last.is_file():
        raise EmopipeError(f"{last}: no run to resume; start one without --resume")
    dataset = fer2013.load(data)
    for name in ("train", "validation"):
        dataset.split(name)

    # Lightning's advice about data loader workers and logging intervals does not fit images held in memory.
    warnings.filterwarnings("ignore", module="lightning.*")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    keep_freed_memory()
    torch.set_num_threads(chosen.threads)
    pl.seed_everything(chosen.seed, verbose=False)
    # Where the data lay on this machine is nobody's business: its name and digest say which it was.
    arguments = [data.name if argument == str(data) else argument for argument in sys.argv[1:]]
    module = FacialTraining(chosen, dataset, shlex.join(["emopipe", *arguments]))
    terminal = sys.stdout.isatty()
    trainer = pl.Trainer(
        max_epochs=chosen.epochs,
        accelerator="auto",
        devices=1,
        check_val_every_n_epoch=min(chosen.validate_every, chosen.epochs),
        logger=False,
        callbacks=[
            ModelCheckpoint(run, filename="last", enable_version_counter=False, save_on_train_epoch_end=True),
            Export(run, chosen.epochs, resume),
            *([TQDMProgressBar(refresh_rate=5)] if terminal else []),
        ],
        enable_progress_bar=terminal,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, ckpt_path=last if resume else None, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt
    calibrate_norms(module.average, dataset.split("train"))  # not done yet if there was nothing left to train
    save(module, out, trainer.current_epoch)


def evaluate(data: Path, weights: Path | None = None, split: str = "PublicTest") -> Evaluation:
    """A checkpoint's answers (by default the committed one's) on a split of FER2013.

    288 PrivateTest and 280 PublicTest images are byte-identical to a Training image. With the Training images
    at hand, `accuracy_without_duplicates` and `n_duplicates` say what they are worth.
    """
    network, card = load_network(weights, "facial", NETWORKS)
    need_labels(card.labels, FACE, weights)
    torch.set_num_threads(os.cpu_count() or 1)
    dataset = fer2013.load(data)
    chosen = dataset.split(fer2013.SPLITS[split])
    logits, targets = predict(network, chosen), torch.from_numpy(chosen.targets)
    figures: dict[str, float] = {}
    if "train" in dataset.splits and split != "Training":
        seen = {image.tobytes() for image in dataset.split("train").images}
        fresh = torch.tensor([image.tobytes() not in seen for image in chosen.images])
        figures["n_duplicates"] = float((~fresh).sum())
        figures["accuracy_without_duplicates"] = float((logits.argmax(1) == targets)[fresh].double().mean())
    notes = ["the model was trained on these images: this says nothing of others"] if split == "Training" else []
    return Evaluation({"images": Answers(logits, targets, FACE, card.temperature)}, figures, notes)
