"""The one way in which every network here is trained: Lightning, with what a long run on a real machine needs.

A run is a folder: `last.ckpt` (the state after each epoch, to resume from), `metrics.csv` (a row an epoch), events for
TensorBoard, and with early stopping `best.ckpt`. What a module must keep to, so that a resumed run and one on several
GPUs give what an uninterrupted one would have:

- it logs `train_loss` once an epoch, and in validation whatever is to be monitored;
- what is random in an epoch is seeded by the epoch's number, in `on_train_epoch_start`, and its loader draws nothing
  before its first batch is asked for: Lightning makes the first epoch's iterator before that hook;
- each rank trains on its own share of every batch (`emopipe.training.facial.batches`), and validates on everything;
- parameters without a gradient, such as a moving average's, have `requires_grad` off.
"""

import errno
import io
import logging
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning_utilities.core.rank_zero import rank_zero_only

from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.files import replacing
from emopipe.training.trainer.epoch_log import EpochLog
from emopipe.training.trainer.memory import keep_freed_memory
from emopipe.training.trainer.out_of_memory import LastBatch, largest_batch, out_of_memory
from emopipe.training.trainer.settings import Precision

Devices = int | Literal["auto"]
DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

log = logging.getLogger(__name__)


def fit(
    module: pl.LightningModule,
    run: Path,
    *,
    epochs: int,
    resume: bool,
    threads: int,
    monitor: str,
    mode: Literal["min", "max"] = "min",
    precision: Precision = "32-true",
    devices: Devices = 1,
    patience: int | None = None,
    validate_every: int = 1,
    gradient_clip: float | None = None,
) -> None:
    """Train `module` for `epochs`, or until `monitor` has not improved for `patience` validations.

    Without `patience` the weights are those of the last epoch; with it, of the best validation, the earliest if equal.

    Args:
        module: as this file's docstring demands; it holds the result.
        run: folder of the run. A fresh start keeps an earlier run's state there as `previous.ckpt`.
        epochs: passes over the training data.
        resume: go on from `last.ckpt`.
        threads: CPU threads of torch.
        monitor: name of a figure that validation logs.
        mode: whether less or more of it is better.
        precision: mixed ones need a GPU; without one training is in 32 bits, and that is said.
        devices: GPUs (without a GPU: processes) that share each batch; "auto" takes every GPU there is.
        patience: validations without improvement after which training stops.
        validate_every: epochs between validations.
        gradient_clip: largest norm of the gradient.

    Raises:
        EmopipeError: nothing to resume, no such devices, not enough memory (with the batch size that fits), disk full.
        KeyboardInterrupt: on Ctrl-C; the state of the last whole epoch is saved.
    """
    last, best = run / "last.ckpt", run / "best.ckpt"
    if resume and not last.is_file():
        raise EmopipeError(f"{last}: no run to resume; start one without --resume")
    if precision != "32-true" and not torch.cuda.is_available():
        log.warning("precision: %s needs a GPU (a CPU only emulates it, much slower); training in 32-true", precision)
        precision = "32-true"
    keep_freed_memory()
    torch.set_num_threads(threads)
    batch = LastBatch()
    callbacks: list[Callback] = [
        batch,
        ModelCheckpoint(run, filename="last", enable_version_counter=False, save_on_train_epoch_end=True),
    ]
    if patience is not None:
        callbacks += [
            ResumableEarlyStopping(monitor, patience=patience, mode=mode, check_on_train_epoch_end=False),
            ModelCheckpoint(
                run,
                filename="best",
                monitor=monitor,
                mode=mode,
                enable_version_counter=False,
                save_on_train_epoch_end=False,
            ),
        ]
    terminal = sys.stdout.isatty()
    if terminal:
        callbacks.append(TQDMProgressBar(refresh_rate=5))
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    interrupt = signal.getsignal(signal.SIGINT)
    with warnings.catch_warnings():
        # Lightning's advice about data loader workers and logging intervals does not fit data held in memory.
        warnings.filterwarnings("ignore", module="lightning.*")
        try:
            if not resume:
                _archive_previous(run)
            trainer = pl.Trainer(
                max_epochs=epochs,
                accelerator="auto",
                devices=devices,
                precision=precision,
                gradient_clip_val=gradient_clip,
                check_val_every_n_epoch=min(validate_every, epochs),
                logger=[TensorBoardLogger(run, name="", version="", default_hp_metric=False), EpochLog(run, epochs)],
                callbacks=callbacks,
                plugins=[AtomicCheckpoints()],
                enable_progress_bar=terminal,
                enable_model_summary=False,
                num_sanity_val_steps=0,
            )
        except MisconfigurationException as error:
            raise EmopipeError(f"devices: {devices} cannot be used: {str(error).strip()}") from None
        shortage = ""
        try:
            trainer.fit(module, ckpt_path=last if resume else None, weights_only=True)
        except SystemExit:  # Lightning's answer to Ctrl-C; it also turns off any further one
            if not trainer.interrupted:
                raise
            signal.signal(signal.SIGINT, interrupt)
            if is_leader():
                state = f"go on after the last whole one with --resume ({last})" if last.is_file() else "nothing saved"
                epoch = trainer.current_epoch + 1
                print(f"interrupted in epoch {epoch}/{epochs}: {state}", file=sys.stderr, flush=True)
            raise KeyboardInterrupt from None
        except OSError as error:
            if error.errno not in DISK_FULL_ERRNOS:
                raise
            state = f"{last} is whole: make room, then go on with --resume" if last.is_file() else "make room"
            raise EmopipeError(f"{run}: the disk is full ({error.strerror}); {state}") from None
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            shortage = str(error).strip().partition("\n")[0] or type(error).__name__
    if shortage:  # out here, where the error's traceback no longer holds on to the activations
        raise EmopipeError(f"not enough memory: {_memory_advice(module, batch.batch, trainer)} ({shortage})")
    if patience is not None and best.is_file():
        state = torch.load(best, map_location=module.device, weights_only=True)
        module.load_state_dict(state["state_dict"])


def is_leader() -> bool:
    """Whether this is the process that prints and writes files: the only one, or the first of several."""
    return int(getattr(rank_zero_only, "rank", 0) or 0) == 0


class AtomicCheckpoints(TorchCheckpointIO):
    """Saves beside the last state and then renames, so that a full disk or a crash leaves that one whole.

    Lightning's own way makes its temporary file in /tmp, and moving from there is a copy, which may end half-way.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)  # into memory first: of a full disk, torch says only that writing failed
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write_bytes(buffer.getbuffer())


class ResumableEarlyStopping(EarlyStopping):
    """Early stopping that a resumed run does not forget: one that had stopped trains no further."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self.stopped_epoch > 0


def _archive_previous(run: Path) -> None:
    """Clear the logs of an earlier run; its state is kept, for whoever forgot --resume."""
    run.mkdir(parents=True, exist_ok=True)
    if not is_leader():
        return
    last, previous = run / "last.ckpt", run / "previous.ckpt"
    if last.is_file():
        last.replace(previous)
        log.warning("%s: a new run starts here; the state of the last one is now %s", run, previous.name)
    for old in (run / "best.ckpt", run / "metrics.csv", *run.glob("events.out.tfevents.*")):
        old.unlink(missing_ok=True)


def _memory_advice(module: pl.LightningModule, batch: Any, trainer: pl.Trainer) -> str:
    if batch is None:
        return "it ran out before the first batch; close other programs or use a machine with more"
    size = largest_batch(module, batch, trainer)
    if size is None:
        return "not even 2 examples fit; train a smaller network or use a machine with more"
    return f"batch_size = {size * trainer.world_size} was tried and fits; set it in the config"
