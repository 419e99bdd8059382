"""The voice classifier in training: its moving average, its loss and its schedule."""

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchmetrics.classification import MulticlassRecall

from emopipe.models.labels import SPEECH
from emopipe.models.speech.features import MfccSpec, window_features
from emopipe.models.speech.networks import NETWORKS, SpeechNetwork
from emopipe.training.speech.batches import SpeechBatches, mask_features
from emopipe.training.speech.clips import Clip
from emopipe.training.speech.scoring import score_rows
from emopipe.training.speech.settings import Settings, network_options


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
        self.network = NETWORKS[config.network](**network_options(config))
        self.network.standardise(self.batches.speech_features())
        ema = get_ema_multi_avg_fn(config.ema_decay)  # type: ignore[no-untyped-call]
        self.average = AveragedModel(self.network, multi_avg_fn=ema, use_buffers=True).eval().requires_grad_(False)
        self.recall = MulticlassRecall(len(SPEECH), average="macro")

    def train_dataloader(self) -> SpeechBatches:
        return self.batches

    def val_dataloader(self) -> list[int]:
        # All of the validation speakers at once (see `validation_step`), or nobody.
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
        rows = [clip.rows(MfccSpec) for clip in self.validation]
        scored = score_rows(self.result(), [clip.name for clip in self.validation], rows, self.spec)
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
