"""The rows of metrics.csv, and that a resumed run goes on with them."""

import csv
from pathlib import Path

import pytest

from emopipe.training.trainer.epoch_log import EpochLog


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_row_an_epoch_with_what_its_validation_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = EpochLog(tmp_path, epochs=2)
    log.log_metrics({"epoch": 0, "train_loss": 1.5})
    log.log_metrics({"epoch": 1, "nll": 0.9})
    assert len(rows(tmp_path)) == 1  # an epoch is written with its loss, which comes last
    log.log_metrics({"epoch": 1, "train_loss": 1.25})
    first, second = rows(tmp_path)
    assert (first["epoch"], first["train_loss"], first["nll"]) == ("1", "1.5", "")
    assert (second["epoch"], second["train_loss"], second["nll"]) == ("2", "1.25", "0.9")
    assert "epoch 2/2 · train_loss 1.2500 · nll 0.9000" in capsys.readouterr().out


def test_a_resumed_run_keeps_the_rows_and_writes_an_epoch_again(tmp_path: Path) -> None:
    log = EpochLog(tmp_path, epochs=3)
    for epoch in (0, 1):
        log.log_metrics({"epoch": epoch, "train_loss": 2.0})
    EpochLog(tmp_path, epochs=3).log_metrics({"epoch": 1, "train_loss": 1.0})
    assert [(row["epoch"], row["train_loss"]) for row in rows(tmp_path)] == [("1", "2"), ("2", "1")]
