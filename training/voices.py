"""The voice classifier in training: its settings, its moving average, its loss and its schedule."""

from collections.abc import Sequence
from typing import Annotated, Any

import lightning.pytorch as pl
import msgspec
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchmetrics.classification import MulticlassRecall

from models.features import MfccSpec, window_features
from models.labels import SPEECH
from models.speech import NETWORKS
from training.crops import Augmentation, Crops, mask
from training.hearing import hear
from training.ravdess import Clip

Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class Settings(Augmentation, kw_only=True, forbid_unknown_fields=True):
    """Defaults and ranges; configs/training/speech.toml says what each means."""

    network: str = "lstm"
    channels: Count = 128
    hidden: Count = 64
    dropout: Share = 0.3
    seed: Annotated[int, msgspec.Meta(ge=0)] = 1
    epochs: Count = 80
    batch_size: Annotated[int, msgspec.Meta(ge=2)] = 32
    learning_rate: Positive = 2e-3
    warmup: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.15
    weight_decay: Annotated[float, msgspec.Meta(ge=0)] = 1e-2
    label_smoothing: Share = 0.1
    ema_decay: Share = 0.998
    cross_validate: bool = True
    validation_actors: Annotated[tuple[int, ...], msgspec.Meta(min_length=1)] = (3, 6)
    threads: Count = 1


class SpeechTraining(pl.LightningModule):
    """The network, its moving average (which is validated and saved), and how both are trained."""

    def __init__(self, config: Settings, spec: MfccSpec, train: Sequence[Sequence[Clip]], validation: Sequence[Clip]):
        super().__init__()
        self.config, self.spec = config, spec
        self.crops = Crops(train, config.batch_size, config, spec, config.seed)
        self.validation = validation
        self.network = NETWORKS[config.network](**options(config))
        self.network.standardise(self.crops.speech_features())
        ema = get_ema_multi_avg_fn(config.ema_decay)  # type: ignore[no-untyped-call]
        self.average = AveragedModel(self.network, multi_avg_fn=ema, use_buffers=True).eval()
        self.recall = MulticlassRecall(len(SPEECH), average="macro")

    def train_dataloader(self) -> Crops:
        return self.crops

    def val_dataloader(self) -> list[int]:
        return [0]  # all of the validation actors at once: see `validation_step`

    def on_train_epoch_start(self) -> None:
        # Seeded by the epoch, a resumed run hears what the uninterrupted one would have.
        torch.manual_seed(self.config.seed * 100_003 + self.current_epoch)
        self.crops.epoch = self.current_epoch
        self.average.eval()

    def training_step(self, batch: tuple[Tensor, Tensor], _index: int) -> Tensor:
        mfcc, targets = batch
        features = mask(window_features(mfcc, self.spec), self.network.mean, self.config)
        loss = F.cross_entropy(self.network(features), targets, label_smoothing=self.config.label_smoothing)
        self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(targets))
        return loss

    def on_train_batch_end(self, *_: Any) -> None:
        self.average.update_parameters(self.network)

    def validation_step(self, _batch: Any, _index: int) -> None:
        heard = hear(self.average.module, self.validation, self.spec)
        uar = self.recall(heard.window_logits, heard.window_targets)
        nll = F.cross_entropy(heard.window_logits, heard.window_targets)
        self.log_dict({"window_uar": uar, "window_nll": nll}, prog_bar=True, batch_size=1)
        self.recall.reset()

    def configure_optimizers(self) -> Any:
        config = self.config
        optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            config.learning_rate,
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=config.warmup,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def options(config: Settings) -> dict[str, Any]:
    """The network's constructor arguments."""
    return {"channels": config.channels, "hidden": config.hidden, "dropout": config.dropout}
