"""The log of each epoch, for people: a row in metrics.csv, and a line on the terminal."""

import csv
import time
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning_utilities.core.rank_zero import rank_zero_only

from emopipe.pipeline.files import replacing


class EpochLog(Logger):
    """Keeps `run`/metrics.csv: one row an epoch, empty where an epoch was not validated.

    A resumed run goes on with the rows that are there. Lightning logs an epoch's `train_loss` last: with it the row is
    written and printed.
    """

    def __init__(self, run: Path, epochs: int) -> None:
        super().__init__()
        self.path, self.epochs, self.started = run / "metrics.csv", epochs, time.monotonic()
        self.rows: dict[int, dict[str, str]] = {}
        self.validated: dict[str, str] = {}
        if self.path.is_file():
            with self.path.open(newline="", encoding="utf-8") as file:
                self.rows = {int(row["epoch"]): row for row in csv.DictReader(file)}

    @property
    def name(self) -> str:
        return "metrics"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Settings stand in the checkpoint."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add figures of an epoch, which Lightning counts from 0 and the file from 1."""
        figures = {name: f"{value:.6g}" for name, value in metrics.items() if name != "epoch"}
        if "train_loss" not in figures:
            self.validated = figures
            return
        epoch, minutes = int(metrics["epoch"]) + 1, (time.monotonic() - self.started) / 60
        figures |= self.validated
        self.validated = {}
        self.rows[epoch] = {"epoch": str(epoch), **figures, "minutes": f"{minutes:.2f}"}
        self._write()
        shown = " · ".join(f"{name} {float(value):.4f}" for name, value in figures.items())
        print(f"epoch {epoch}/{self.epochs} · {shown} · {minutes:.1f} min", flush=True)

    def _write(self) -> None:
        names = dict.fromkeys(name for row in self.rows.values() for name in row if name != "minutes")
        with replacing(self.path) as path, path.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, [*names, "minutes"], restval="")
            table.writeheader()
            table.writerows(self.rows[epoch] for epoch in sorted(self.rows))
