import csv
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor, nn

from emopipe.pipeline.errors import EmopipeError
from emopipe.training.trainer.fit import AtomicCheckpoints, fit
from tests.support.paths import ROOT

pytestmark = pytest.mark.slow("trains")


class Points:
    """64 points, in batches of `size`, in another order each time."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.points = torch.randn(64, 2, generator=torch.Generator().manual_seed(7))

    def __len__(self) -> int:
        return 64 // self.size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for index in torch.randperm(64).split(self.size):
            points = self.points[index]
            yield points, (points.sum(1) > 0).long()


class Toy(pl.LightningModule):
    """A classifier of points with a batch norm, dropout and momentum: everything a resumed run must restore."""

    def __init__(self, rate: float = 0.1, wide: int = 8) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rate = rate
        self.network = nn.Sequential(
            nn.Linear(2, wide), nn.BatchNorm1d(wide), nn.ReLU(), nn.Dropout(0.2), nn.Linear(wide, 2)
        )

    def train_dataloader(self) -> Points:
        return Points(16)

    def val_dataloader(self) -> Points:
        return Points(64)

    def on_train_epoch_start(self) -> None:
        torch.manual_seed(self.current_epoch)

    def training_step(self, batch: tuple[Tensor, Tensor], _index: int) -> Tensor:
        points, targets = batch
        loss = nn.functional.cross_entropy(self.network(points), targets)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _index: int) -> None:
        points, targets = batch
        self.log("nll", nn.functional.cross_entropy(self.network(points), targets))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.network.parameters(), lr=self.rate, momentum=0.9)
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)}


@pytest.fixture(autouse=True)
def _threads() -> Any:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def run_toy(module: pl.LightningModule, run: Path, **changes: Any) -> None:
    fit(module, run, **{"epochs": 4, "resume": False, "threads": 1, "monitor": "nll", **changes})


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def same(first: nn.Module, second: nn.Module) -> bool:
    one, other = first.state_dict(), second.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class PulledPlug(Exception):
    pass


class Stops(Toy):
    """Is killed as its third epoch starts."""

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        if self.current_epoch == 2:
            raise PulledPlug


def test_logs_an_epoch_a_row_a_line_and_for_tensorboard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_toy(Toy(), tmp_path, validate_every=2)
    logged = rows(tmp_path)
    assert [row["epoch"] for row in logged] == ["1", "2", "3", "4"]
    assert [row["nll"] != "" for row in logged] == [False, True, False, True]
    assert float(logged[3]["train_loss"]) < float(logged[0]["train_loss"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[1].startswith("epoch 2/4 · train_loss ")
    assert " · nll " in lines[1]
    assert list(tmp_path.glob("events.out.tfevents.*"))


def test_a_resumed_run_gives_the_same_bits(tmp_path: Path) -> None:
    whole = Toy()
    run_toy(whole, tmp_path / "whole")
    with pytest.raises(PulledPlug):
        run_toy(Stops(), tmp_path / "cut")
    assert len(rows(tmp_path / "cut")) == 2
    resumed = Toy()
    run_toy(resumed, tmp_path / "cut", resume=True)
    assert same(resumed, whole)
    columns = ("epoch", "train_loss", "nll")
    of_both = [[[row[name] for name in columns] for row in rows(tmp_path / name)] for name in ("whole", "cut")]
    assert of_both[0] == of_both[1]


def test_nothing_to_resume_is_said(tmp_path: Path) -> None:
    with pytest.raises(EmopipeError, match=r"last\.ckpt: no run to resume; start one without --resume"):
        run_toy(Toy(), tmp_path, resume=True)


def test_a_new_run_keeps_the_state_of_the_one_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run_toy(Toy(), tmp_path, epochs=1)
    before = (tmp_path / "last.ckpt").read_bytes()
    with caplog.at_level(logging.WARNING):
        run_toy(Toy(), tmp_path, epochs=2)
    assert (tmp_path / "previous.ckpt").read_bytes() == before
    assert "a new run starts here; the state of the last one is now previous.ckpt" in caplog.text
    assert len(rows(tmp_path)) == 2
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 1


class Scripted(Toy):
    """Validates to a given figure each epoch."""

    figures = (0.9, 0.5, 0.5, 0.6, 0.1)

    def validation_step(self, _batch: Any, _index: int) -> None:
        self.log("nll", self.figures[self.current_epoch])


class Spied(Scripted):
    def on_validation_end(self) -> None:
        self.__dict__.setdefault("states", []).append({k: v.clone() for k, v in self.state_dict().items()})


def test_early_stopping_takes_the_weights_of_the_best_validation(tmp_path: Path) -> None:
    module = Spied()
    run_toy(module, tmp_path, epochs=5, patience=2)
    assert len(rows(tmp_path)) == 4, "two validations without a better one"
    best = module.states[1]
    assert all(torch.equal(tensor, best[name]) for name, tensor in module.state_dict().items())
    assert not torch.equal(best["network.0.weight"], module.states[3]["network.0.weight"])

    again = Scripted()
    run_toy(again, tmp_path, epochs=5, patience=2, resume=True)
    assert len(rows(tmp_path)) == 4, "a run that had stopped trains no further"
    assert same(again, module)


def test_mixed_precision_without_a_gpu_falls_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    plain, mixed = Toy(), Toy()
    run_toy(plain, tmp_path / "plain", epochs=1)
    with caplog.at_level(logging.WARNING):
        run_toy(mixed, tmp_path / "mixed", epochs=1, precision="bf16-mixed")
    assert "precision: bf16-mixed needs a GPU" in caplog.text
    assert same(plain, mixed)


class Hungry(Toy):
    """Asks for more memory than any machine has, unless a batch is small."""

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        torch.empty(10 ** len(batch[0]))
        return super().training_step(batch, index)


def test_the_batch_size_that_fits_is_said(tmp_path: Path) -> None:
    module = Hungry()
    with pytest.raises(
        EmopipeError, match=r"not enough memory: batch_size = 8 was tried and fits; set it in the config"
    ):
        run_toy(module, tmp_path)
    assert all(parameter.grad is None for parameter in module.parameters())


class Starving(Toy):
    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        raise MemoryError


def test_where_nothing_fits_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(EmopipeError, match=r"not even 2 examples fit; train a smaller network.*\(MemoryError\)"):
        run_toy(Starving(), tmp_path)


class Broken(Toy):
    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        raise RuntimeError("shapes do not match")


def test_other_errors_are_left_alone(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="shapes do not match"):
        run_toy(Broken(), tmp_path)


PROGRAM = """
import resource, signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and passes that on
from emopipe.pipeline.errors import EmopipeError
from tests.training.trainer.test_fit import Toy, run_toy

class Fills(Toy):
    def on_train_epoch_start(self):
        super().on_train_epoch_start()
        if self.current_epoch == 2:  # no file may grow past 64 KB: writing one ends as on a full disk
            resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, resource.RLIM_INFINITY))

class Slow(Toy):
    def on_train_epoch_start(self):
        super().on_train_epoch_start()
        if self.current_epoch == 2:
            print("ready", flush=True)
            time.sleep(60)

folder = Path(sys.argv[1])
try:
    run_toy(Fills(wide=8192), folder / "full")
except EmopipeError as error:
    print(error, file=sys.stderr)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
try:
    run_toy(Slow(), folder / "interrupted")
except KeyboardInterrupt:
    sys.exit(130 if signal.getsignal(signal.SIGINT) is signal.default_int_handler else 1)
"""


@pytest.fixture(scope="module")
def ended_badly(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A process that met a full disk and then Ctrl-C, both in the third epoch: its runs, and what it said."""
    folder = tmp_path_factory.mktemp("runs")
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line == "ready\n":
            break
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    return folder, errors


def test_a_full_disk_leaves_the_last_state_whole(ended_badly: tuple[Path, str], tmp_path: Path) -> None:
    folder, errors = ended_badly
    assert "the disk is full (File too large); " in errors
    assert "last.ckpt is whole: make room, then go on with --resume" in errors
    assert not list((folder / "full").glob("*.partial"))
    assert torch.load(folder / "full" / "last.ckpt", weights_only=True)["epoch"] == 1
    whole, resumed = Toy(wide=8192), Toy(wide=8192)
    run_toy(resumed, folder / "full", resume=True)
    run_toy(whole, tmp_path)
    assert same(whole, resumed)


def test_ctrl_c_leaves_a_run_that_can_be_resumed(ended_badly: tuple[Path, str], tmp_path: Path) -> None:
    folder, errors = ended_badly
    assert "interrupted in epoch 3/4: go on after the last whole one with --resume" in errors
    resumed, whole = Toy(), Toy()
    run_toy(resumed, folder / "interrupted", resume=True)
    run_toy(whole, tmp_path)
    assert same(resumed, whole)


def test_a_failed_save_keeps_the_file_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpoints().save_checkpoint({"epoch": 1}, path)

    def crash(*_: object) -> None:
        raise OSError("crash")

    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(OSError, match="crash"):
        AtomicCheckpoints().save_checkpoint({"epoch": 2}, path)
    assert torch.load(path, weights_only=True) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]
