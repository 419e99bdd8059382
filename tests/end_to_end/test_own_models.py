"""The walk of docs/own-models.md: a model with labels of its own, from a graph without a line of code to a table."""

import re
from pathlib import Path

import pytest

import emopipe
from emopipe.models.labels import FACE
from tests.support.onnx_models import onnx_model
from tests.support.paths import ROOT
from tests.support.verbs import verb

LABELS = ["bored", "engaged", "confused"]
FILM = 'use = "test-pattern"\nduration = 4.0\nrealtime = false'


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The graph of the documentation, with the embedded film in the place of the clip, and a model for it."""
    monkeypatch.chdir(tmp_path)
    (text,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "own-models.md").read_text(), re.DOTALL)
    path = tmp_path / "own.toml"
    path.write_text(text.replace('use = "file-capture"\nuri = "clip.mp4"', FILM))
    onnx_model(tmp_path / "attention.onnx", labels=LABELS, weights=[[3.0, -3.0, 0.0]], metadata=False)
    return path


def test_the_graph_is_right(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verb("check", str(graph)) == 0
    assert "ok: 5 stages" in capsys.readouterr().out


@pytest.mark.slow("runs a graph with the face detector")
def test_its_labels_come_out_in_the_table(graph: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert verb("run", str(graph)) == 0
    frame = emopipe.read("results.csv")
    seen = frame[frame.face.notna()]
    assert len(seen) > 10
    assert set(seen.emotion) <= set(LABELS)
    assert seen[LABELS].sum(axis=1).tolist() == pytest.approx([1.0] * len(seen), abs=1e-5)
    assert seen[list(FACE)].isna().all(axis=None)
    assert "another maker's model" in " ".join(capfd.readouterr().err.split())
