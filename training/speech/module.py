"""The voice classifier in training: its settings, its moving average, its loss and its schedule."""

import inspect
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import lightning.pytorch as pl
import msgspec
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchmetrics.classification import MulticlassRecall

from emopipe.models.labels import SPEECH
from emopipe.models.speech.features import MfccSpec, window_features
from emopipe.models.speech.networks import NETWORKS, SINGLE_NETWORKS, SpeechNetwork
from emopipe.pipeline.errors import EmopipeError
from emopipe.training.speech.batches import Augmentation, SpeechBatches, mask_features
from emopipe.training.speech.ravdess import Clip
from emopipe.training.speech.scoring import score_clips
from emopipe.training.trainer.fit import Precision

Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]

NETWORK_OPTIONS = ("channels", "blocks", "hidden", "embedding", "dropout")
"""Settings that are constructor arguments of networks, of those that have them."""


class Settings(Augmentation, kw_only=True, forbid_unknown_fields=True):
    """Defaults and ranges; configs/training/speech.toml says what each means."""

    network: str = "ensemble"
    members: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ("cnn", "lstm")
    channels: Count = 128
    blocks: Count = 3
    hidden: Count = 64
    embedding: Count = 64
    dropout: Share = 0.05
    seed: Annotated[int, msgspec.Meta(ge=0)] = 1
    seeds: Count = 1
    epochs: Count = 80
    cycles: Count = 2
    patience: Annotated[int, msgspec.Meta(ge=0)] = 0
    batch_size: Annotated[int, msgspec.Meta(ge=2)] = 32
    learning_rate: Positive = 6e-3
    warmup: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.15
    weight_decay: Annotated[float, msgspec.Meta(ge=0)] = 1e-2
    label_smoothing: Share = 0.1
    ema_decay: Share = 0.99
    cross_validate: bool = True
    validation_actors: tuple[int, ...] = ()
    precision: Precision = "32-true"
    devices: Literal[1] | Literal["auto"] = 1
    threads: Count = 1


class Cycles(torch.optim.lr_scheduler.OneCycleLR):
    """One cycle (Smith & Topin 2018, arXiv:1708.07120) after the other, each starting where the last one ended.

    A training that ended with its first cycle can so be carried on with a second one (warm restarts, Loshchilov &
    Hutter 2017, arXiv:1608.03983) to the very result that both together would have had.
    """

    def get_lr(self) -> list[float | Tensor]:
        step = self.last_epoch
        self.last_epoch = (step - 1) % self.total_steps + 1 if step else 0
        try:
            return super().get_lr()
        finally:
            self.last_epoch = step


class SpeechTraining(pl.LightningModule):
    """The network, its moving average (which is validated and saved), and how both are trained."""

    def __init__(
        self,
        config: Settings,
        spec: MfccSpec,
        train: Sequence[Sequence[Clip]],
        validation: Sequence[Clip] = (),
        seed: int = 1,
    ) -> None:
        super().__init__()
        self.config, self.spec, self.seed = config, spec, seed
        self.batches = SpeechBatches(train, config.batch_size, config, spec, seed)
        self.validation = validation
        self.network = NETWORKS[config.network](**options(config))
        self.network.standardise(self.batches.speech_features())
        ema = get_ema_multi_avg_fn(config.ema_decay)  # type: ignore[no-untyped-call]
        self.average = AveragedModel(self.network, multi_avg_fn=ema, use_buffers=True).eval().requires_grad_(False)
        self.recall = MulticlassRecall(len(SPEECH), average="macro")

    def train_dataloader(self) -> SpeechBatches:
        return self.batches

    def val_dataloader(self) -> list[int]:
        # All of the validation actors at once (see `validation_step`), or nobody.
        return [0] if self.validation else []

    def on_train_epoch_start(self) -> None:
        # Seeded by the epoch, a resumed run hears what the uninterrupted one would have.
        torch.manual_seed(self.seed * 100_003 + self.current_epoch)
        self.batches.epoch = self.current_epoch
        self.batches.rank, self.batches.world = self.global_rank, self.trainer.world_size
        self.average.eval()

    def training_step(self, batch: tuple[Tensor, Tensor], _index: int) -> Tensor:
        mfcc, targets = batch
        features = mask_features(window_features(mfcc, self.spec), self.network.mean, self.config)
        smoothing = self.config.label_smoothing
        losses = [
            F.cross_entropy(vote, targets, label_smoothing=smoothing) for vote in self.network.member_logits(features)
        ]
        loss = torch.stack(losses).sum()
        self.log("train_loss", loss / len(losses), on_step=False, on_epoch=True, prog_bar=True, batch_size=len(targets))
        return loss

    def on_train_batch_end(self, *_: Any) -> None:
        self.average.update_parameters(self.network)

    def validation_step(self, _batch: Any, _index: int) -> None:
        scored = score_clips(self.result(), self.validation, self.spec)
        uar = self.recall(scored.window_logits, scored.window_targets)
        nll = F.cross_entropy(scored.window_logits, scored.window_targets)
        self.log_dict({"window_uar": uar, "window_nll": nll}, prog_bar=True, batch_size=1)
        self.recall.reset()

    def configure_optimizers(self) -> Any:
        config = self.config
        optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        steps = int(self.trainer.estimated_stepping_batches) // config.cycles
        schedule = Cycles(optimizer, config.learning_rate, total_steps=max(1, steps), pct_start=config.warmup)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def result(self) -> SpeechNetwork:
        """The network that is validated and saved."""
        network = self.average.module
        if not isinstance(network, SpeechNetwork):
            raise TypeError(f"a {type(network).__name__} was averaged")
        return network.eval()


def options(config: Settings) -> dict[str, Any]:
    """The network's constructor arguments."""
    if config.network == "ensemble":
        return {"members": list(config.members), "options": {name: _single(name, config) for name in config.members}}
    return _single(config.network, config)


def _single(name: str, config: Settings) -> dict[str, Any]:
    chosen = msgspec.structs.asdict(config)
    taken = inspect.signature(SINGLE_NETWORKS[name].__init__).parameters
    return {option: chosen[option] for option in NETWORK_OPTIONS if option in taken}


def check(config: Settings) -> None:
    """Find what is wrong with settings that are each in range.

    Raises:
        EmopipeError: the network or a member is unknown, or two settings do not go together.
    """
    if config.network not in NETWORKS:
        raise EmopipeError(f"network: {config.network!r} is unknown; the networks are {', '.join(NETWORKS)}")
    for member in config.members:
        if member not in SINGLE_NETWORKS:
            raise EmopipeError(f"members: {member!r} is unknown; the members may be {', '.join(SINGLE_NETWORKS)}")
    if config.shortest > config.longest:
        raise EmopipeError(f"shortest: {config.shortest} is more than longest ({config.longest})")
    if config.epochs % config.cycles:
        raise EmopipeError(f"cycles: {config.epochs} epochs cannot be divided into {config.cycles} of the same length")
    if config.patience and not config.validation_actors:
        raise EmopipeError("patience: somebody has to be listened to who is not trained on; set validation_actors")
