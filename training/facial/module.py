"""The face classifier in training: its moving average, its losses and its schedule."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import msgspec
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from emopipe.models import checkpoint
from emopipe.models.calibration import class_shares, selective, softmax
from emopipe.models.facial.base import MEAN, SIZE, STD, FaceNetwork, prepare
from emopipe.models.labels import FACE
from emopipe.pipeline.errors import EmopipeError
from emopipe.training.evaluation import metrics
from emopipe.training.facial import fer2013
from emopipe.training.facial.augment import augment
from emopipe.training.facial.averaging import calibrate_norms, moving_average
from emopipe.training.facial.batches import FaceBatches
from emopipe.training.facial.settings import CHANGEABLE_ON_RESUME, Settings
from emopipe.training.trainer.fit import is_leader


class FacialTraining(pl.LightningModule):
    """The network, its moving average (which is validated and saved), and how both are trained.

    Args:
        config: the settings.
        data: with Training and PublicTest.
        network: to be trained, in place.
        teachers: networks to learn from besides the labels.
        origin: what the card says of where the weights come from: the command, checksums.
        interim: where to write weights that can be used, after each validation; so a run cut short is not lost.
    """

    def __init__(
        self,
        config: Settings,
        data: fer2013.Fer2013,
        network: FaceNetwork,
        teachers: Sequence[FaceNetwork] = (),
        origin: dict[str, Any] | None = None,
        interim: Path | None = None,
    ) -> None:
        super().__init__()
        self.config, self.data, self.origin, self.interim = config, data, origin or {}, interim
        # Channels-last is up to 1.3 times as fast on CPU, and no slower on a GPU.
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = AveragedModel(self.network, multi_avg_fn=moving_average(config.ema_decay)).requires_grad_(False)
        self.teachers = [teacher.eval().requires_grad_(False) for teacher in teachers]  # a list: none of the state
        self.answers: list[tuple[Tensor, Tensor]] = []
        self.scores = MetricCollection(
            {
                "accuracy": MulticlassAccuracy(len(FACE), average="micro"),
                "macro_f1": MulticlassF1Score(len(FACE), average="macro"),
                "uar": MulticlassAccuracy(len(FACE), average="macro"),
            }
        )

    def train_dataloader(self) -> FaceBatches:
        config, trainer = self.config, self.trainer
        split = self.data.split("Training")
        self.batches = FaceBatches(
            split, config.batch_size, self.device, config.seed, trainer.global_rank, trainer.world_size
        )
        return self.batches

    def val_dataloader(self) -> FaceBatches:
        return FaceBatches(self.data.split("PublicTest"), 256, self.device)

    def on_fit_start(self) -> None:
        for teacher in self.teachers:
            teacher.to(self.device)

    def on_train_epoch_start(self) -> None:
        # Seeded by the epoch, a resumed run sees the images as the uninterrupted one would have.
        torch.manual_seed((self.config.seed * 100_003 + self.current_epoch) * 1009 + self.global_rank)
        self.batches.epoch = self.current_epoch
        self.average.eval()

    def training_step(self, batch: tuple[Tensor, Tensor], _index: int) -> Tensor:
        config = self.config
        images, targets = batch
        shares = F.one_hot(targets, len(FACE)).float()
        size = self._size()
        views = augment(prepare(images), config, SIZE if self.teachers else size)
        if config.mixup:
            views, shares = mixup(views, shares, config.mixup)
        seen = views if views.shape[-1] == size else F.interpolate(views, size, mode="bilinear", align_corners=False)
        logits = self.network(seen)
        loss = F.cross_entropy(logits, shares, label_smoothing=config.label_smoothing)
        if self.teachers:
            taught = [(teacher(views) / config.teacher_temperature).softmax(dim=1) for teacher in self.teachers]
            hint = distillation(logits, torch.stack(taught).mean(dim=0), config.teacher_temperature)
            loss = (1 - config.teacher_weight) * loss + config.teacher_weight * hint
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(targets))
        return loss

    def _size(self) -> int:
        """Images grow in equal shares of the epochs: what small ones teach costs less than half (Howard 2018)."""
        sizes = self.config.sizes
        return sizes[min(len(sizes) * self.current_epoch // self.config.epochs, len(sizes) - 1)]

    def on_train_batch_end(self, *_: Any) -> None:
        self.average.update_parameters(self.network)

    def on_validation_epoch_start(self) -> None:
        calibrate_norms(self.average, self.data.split("Training"))
        self.answers = []

    def validation_step(self, batch: tuple[Tensor, Tensor], _index: int) -> None:
        images, targets = batch
        logits = self.average(prepare(images)).float()
        self.answers.append((logits.cpu(), targets.cpu()))
        self.scores.update(logits, targets)
        self.log("nll", F.cross_entropy(logits, targets), batch_size=len(targets), prog_bar=True)

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.scores.compute(), prog_bar=True)
        self.scores.reset()
        if self.interim and is_leader():
            logits, targets = (torch.cat(each) for each in zip(*self.answers, strict=True))
            self.save(self.interim, logits, targets, self.current_epoch + 1)

    def save(self, path: Path, logits: Tensor, targets: Tensor, epochs: int) -> None:
        """Write the averaged weights; to `logits` [N, classes], of PublicTest, the temperature is fitted."""
        temperature = metrics.fit_temperature(logits, targets)
        config = msgspec.structs.asdict(self.config) | self.origin
        card = checkpoint.Card(
            task="facial",
            network=self.config.network,
            options={"dropout": self.config.dropout},
            labels=list(FACE),
            features={"size": SIZE, "mean": MEAN, "std": STD},
            temperature=temperature,
            command=config.pop("command", ""),
            config=config,
            seed=self.config.seed,
            data_sha256=self.data.sha256,
            metrics=metrics.summarise(logits, targets, FACE, temperature) | {"epochs": float(epochs)},
            prior=class_shares(self.data.split("Training").targets, FACE),
            selective=selective(softmax(logits.numpy(), temperature), targets.numpy()),
        )
        checkpoint.save(path, self.average.module.state_dict(), card)

    def on_save_checkpoint(self, state: dict[str, Any]) -> None:
        state["settings"] = msgspec.structs.asdict(self.config)

    def on_load_checkpoint(self, state: dict[str, Any]) -> None:
        now, then = msgspec.structs.asdict(self.config), state["settings"]
        for key in now:
            if key not in CHANGEABLE_ON_RESUME and now[key] != then.get(key):
                raise EmopipeError(f"{key}: {now[key]!r}, but the run to resume has {then.get(key)!r}; keep that")

    def configure_optimizers(self) -> Any:
        config = self.config
        weights = [p for p in self.network.parameters() if p.ndim > 1]
        others = [p for p in self.network.parameters() if p.ndim <= 1]
        groups = [{"params": weights, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
        optimizer: torch.optim.Optimizer
        if config.optimizer == "adamw":
            optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(config.momentum, 0.999))
        else:
            nesterov = config.momentum > 0
            optimizer = torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum, nesterov=nesterov)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = LambdaLR(optimizer, lambda step: one_cycle(step / steps, config.warmup))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def one_cycle(progress: float, warmup: float) -> float:
    """Factor of the peak learning rate: up along a cosine from 4 % to all, then down to nothing (Smith 2018).

    A function of the progress alone, so that a run can be resumed with another number of epochs.
    """
    if progress < warmup:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * progress / warmup)) / 2
    return (1 + math.cos(math.pi * min(1.0, (progress - warmup) / (1 - warmup)))) / 2


def mixup(images: Tensor, shares: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Blend each image [N, …] and its classes' shares [N, classes] with another's (Zhang et al. 2018).

    arXiv:1710.09412. `alpha`: of the Beta distribution of the blend, which is one for the batch; 1 is uniform, less
    blends less.
    """
    blend = float(torch.distributions.Beta(alpha, alpha).sample())
    other = torch.randperm(len(images)).to(images.device)
    return blend * images + (1 - blend) * images[other], blend * shares + (1 - blend) * shares[other]


def distillation(logits: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """The distance of logits [N, classes] from a teacher's probabilities at this temperature (Hinton et al. 2015).

    arXiv:1503.02531; times T², so that its gradient is as large as the labels'.
    """
    return F.kl_div((logits / temperature).log_softmax(dim=1), taught, reduction="batchmean") * temperature**2
