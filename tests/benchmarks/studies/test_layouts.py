"""The study of layouts: each grouping plays on as many cores as are asked for."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks.studies import layouts


@pytest.mark.slow("plays graphs with all models")
@pytest.mark.skipif(sys.platform != "linux", reason="cores are chosen as Linux does")
def test_a_row_for_each_grouping(shared_media: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cores = os.sched_getaffinity(0)
    clip = shared_media / "crema-d" / "1001_DFA_HAP_XX.flv"
    chosen = ["capture+faces, all others", "one process"]
    assert layouts.main([str(clip), "--seconds", "1", "--cores", "1", "--only", *chosen]) == 0
    assert os.sched_getaffinity(0) == cores
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if line.startswith(("| capt", "| one"))]
    assert [(row[1].strip(), int(row[2])) for row in rows] == [(chosen[0], 2), (chosen[1], 1)]
    assert all(float(figure) > 0 for row in rows for figure in row[3:6])


@pytest.mark.skipif(sys.platform != "linux", reason="cores are chosen as Linux does")
def test_what_cannot_be_played_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], shared_media: Path
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1})
    clip = str(shared_media / "crema-d" / "1001_DFA_HAP_XX.flv")
    assert layouts.main([clip, "--cores", "2", "3"]) == 2
    assert capsys.readouterr().err == "layouts: --cores 3: there are 2 here\n"
    assert layouts.main(["gone.mp4"]) == 2
    assert "gone.mp4: no such file" in capsys.readouterr().err
