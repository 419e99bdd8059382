"""`emopipe graph`: a picture on the terminal or in a file."""

from pathlib import Path

import pytest

from emopipe.pipeline.errors import EmopipeError, GraphError
from emopipe.pipeline.graph.drawing import mermaid, svg
from emopipe.pipeline.graph.load import load_graph
from tests.support.graphs import GOOD
from tests.support.paths import ROOT
from tests.support.verbs import verb


@pytest.fixture(autouse=True)
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pipeline.toml").write_text(GOOD)


def test_mermaid_goes_to_the_terminal_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert verb("graph") == 0
    assert capsys.readouterr().out == mermaid(load_graph("pipeline.toml"))


def test_the_name_of_the_file_says_the_format() -> None:
    assert verb("graph", "pipeline.toml", "--out", "picture.svg") == 0
    assert Path("picture.svg").read_text(encoding="utf-8") == svg(load_graph("pipeline.toml"))
    assert verb("graph", "--format", "mermaid", "--out", "other.svg", "--set", "pipeline.mode=replay") == 0
    assert Path("other.svg").read_text(encoding="utf-8").startswith("flowchart LR")
    assert "block" not in Path("other.svg").read_text(encoding="utf-8")


def test_a_wrong_graph_is_not_drawn() -> None:
    with pytest.raises(GraphError, match=r"stages\.faces\.retries"):
        verb("graph", "--set", "stages.faces.retries=-1")


def test_a_file_that_cannot_be_written_is_an_error_of_the_user() -> None:
    with pytest.raises(EmopipeError, match=r"--out no/such\.svg: the directory no does not exist; create it"):
        verb("graph", "--out", "no/such.svg")


def test_the_picture_of_the_default_graph_is_up_to_date(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = ROOT
    monkeypatch.chdir(root)
    verb("graph", "--format", "svg")
    picture = (root / "docs" / "pipeline.svg").read_text(encoding="utf-8")
    assert picture == capsys.readouterr().out, "make it anew: emopipe graph --out docs/pipeline.svg"
