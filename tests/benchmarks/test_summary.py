"""The tables of docs/performance.md, made from what the verbs of `emopipe bench` wrote."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import summary

TAKEN = {
    "date": "2026-11-26T20:00:00Z",
    "machine": {"cores": 2, "architecture": "x86_64"},
    "versions": {"emopipe": "0.1.0"},
    "warnings": [],
}
STREAMS = dict.fromkeys(summary.LIVE, 1.0)


def told(folder: Path, monkeypatch: pytest.MonkeyPatch, **measured: dict[str, Any]) -> int:
    for verb, found in measured.items():
        (folder / f"{verb}.json").write_text(json.dumps({**TAKEN, **found}), encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["summary", str(folder)])
    return summary.main()


def test_figures_stand_beside_what_is_to_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    memory = {"pss_mb": 1343.2, "spread": {"pss_mb": [1343.2, 1300.0, 1400.0]}}
    live = {"cpu_growth": 0.5, "streams": {"1": STREAMS, "8": STREAMS}, "warnings": ["50 % of all cores were busy"]}
    assert told(tmp_path, monkeypatch, memory=memory, live=live) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2026-11-26, 2 cores, x86_64, emopipe 0.1.0"
    assert "**live: 50 % of all cores were busy**" in lines
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert ["memory of a replay, all processes (PSS)", "1343 MB", "1300 – 1400", "≤ 600 MB"] in rows
    assert ["CPU a result, most streams ÷ fewest", "0.5", "0.5 – 0.5", "≤ 0.75"] in rows
    assert [row[0] for row in rows if row[0] in ("1", "8")] == ["1", "8"]


def test_an_empty_folder_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(tmp_path, monkeypatch) == 2
    assert "no measurements there" in capsys.readouterr().err
