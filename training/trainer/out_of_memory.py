"""Running out of memory: recognising it, and finding the batch that would have fitted."""

import gc
import warnings
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor


class LastBatch(Callback):
    """Remembers the batch in work, to find out after a failure how much of it would have fitted."""

    batch: Any = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.batch = batch


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory, of the CPU or a GPU, ran out; torch has a class for GPUs only."""
    said = ("can't allocate memory", "not enough memory", "out of memory")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in str(error) for words in said)


def largest_batch(module: pl.LightningModule, batch: Any, trainer: pl.Trainer) -> int | None:
    """The most examples, of halves of halves of `batch`, with which a step forward and back fits; tried out.

    Every tensor of a batch has the examples along its first axis. None if not even two fit: batch norms need two.
    """
    sizes: list[int] = []
    apply_to_collection(batch, Tensor, lambda tensor: sizes.append(len(tensor)))
    size = max(sizes, default=0) // 2
    module.trainer = None  # so that `self.log` is mute
    try:
        while size >= 2:
            gc.collect()
            torch.cuda.empty_cache()
            if _fits(module, apply_to_collection(batch, Tensor, lambda tensor, size=size: tensor[:size]), trainer):
                return size
            size //= 2
    finally:
        module.trainer = trainer
    return None


def _fits(module: pl.LightningModule, batch: Any, trainer: pl.Trainer) -> bool:
    try:
        with warnings.catch_warnings(), trainer.precision_plugin.forward_context():
            warnings.simplefilter("ignore")  # Lightning remarks that nothing is logged
            loss = module.training_step(batch, 0)
        if not isinstance(loss, Tensor):
            raise TypeError(f"training_step of {type(module).__name__} gives {type(loss).__name__}, not a loss")
        loss.backward()  # type: ignore[no-untyped-call]
    except (MemoryError, RuntimeError) as error:
        if out_of_memory(error):
            return False
        raise
    finally:
        module.zero_grad(set_to_none=True)
    return True
