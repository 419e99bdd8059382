"""Fusion in training: its network with torch's parameters, its loss and its schedule."""

from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from emopipe.models.calibration import Doubles
from emopipe.models.fusion.networks import FIXED_WEIGHTS, NETWORKS, FusionNetwork, Moment
from emopipe.training.fusion.batches import Batch, FusionBatches
from emopipe.training.fusion.settings import Settings, network_options


class FusionModule(nn.Module):
    """A network with its weights as torch's parameters: a `Moment` of tensors in, logits [N, 8] out."""

    def __init__(self, network: FusionNetwork, weights: dict[str, Doubles], dropout: float = 0.0) -> None:
        super().__init__()
        self.network, self.dropout = network, dropout
        self.weights = nn.ParameterDict(
            {
                name: nn.Parameter(torch.as_tensor(value, dtype=torch.float32), requires_grad=name not in FIXED_WEIGHTS)
                for name, value in weights.items()
            }
        )

    def forward(self, moment: Moment) -> Tensor:
        def drop(x: Tensor) -> Tensor:
            return F.dropout(x, self.dropout, self.training)

        logits: Tensor = self.network.logits(dict(self.weights.items()), moment, drop)
        return logits

    def arrays(self) -> dict[str, Doubles]:
        """The weights, for `emopipe.models.fusion.model.FusionModel` and for a checkpoint."""
        return {name: value.detach().cpu().double().numpy() for name, value in self.weights.items()}


class FusionTraining(pl.LightningModule):
    """The network, and how it is trained; a schedule of fixed length whose last weights are taken."""

    def __init__(self, config: Settings, train: tuple[Moment, Tensor], validation: tuple[Moment, Tensor]) -> None:
        super().__init__()
        self.config, self.validation = config, validation
        network = NETWORKS[config.network](**network_options(config))
        weights = network.initial(np.random.default_rng(config.seed))
        if "timbre_mean" in weights:
            sounds = train[0].timbre[train[0].timbre.abs().amax(1) > 0].double().numpy()
            if len(sounds):
                weights |= {"timbre_mean": sounds.mean(0), "timbre_scale": 1 / np.maximum(sounds.std(0), 1e-3)}
        self.module = FusionModule(network, weights, config.dropout)
        self.batches = FusionBatches(*train, config.batch_size, config, config.seed)

    def train_dataloader(self) -> FusionBatches:
        return self.batches

    def val_dataloader(self) -> list[int]:
        return [0]  # everything at once: see `validation_step`

    def on_train_epoch_start(self) -> None:
        # Seeded by the epoch, a resumed run draws what the uninterrupted one would have.
        torch.manual_seed(self.config.seed * 100_003 + self.current_epoch)
        self.batches.epoch = self.current_epoch

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        logits = self.module(batch.moment)
        loss = F.cross_entropy(logits, batch.truth, label_smoothing=self.config.label_smoothing)
        self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(logits))
        return loss

    def validation_step(self, _batch: Any, _index: int) -> None:
        moment, targets = Moment(*(part.to(self.device) for part in self.validation[0])), self.validation[1]
        logits = self.module(moment).cpu()
        figures = {"nll": F.cross_entropy(logits, targets), "accuracy": (logits.argmax(1) == targets).float().mean()}
        self.log_dict(figures, prog_bar=True, batch_size=1)

    def configure_optimizers(self) -> Any:
        config = self.config
        trained = [value for value in self.module.weights.values() if value.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=config.learning_rate, weight_decay=config.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            config.learning_rate,
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=config.warmup,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
