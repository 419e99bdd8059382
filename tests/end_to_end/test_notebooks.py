"""The notebooks run from a fresh kernel, on the real data, and are committed without what they printed."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests.support.paths import ROOT

pytestmark = [pytest.mark.slow("runs whole notebooks"), pytest.mark.timeout(1800)]

TIMEOUT = 1500  # s a cell, on a slow machine that has other tests beside it
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


class ThisInterpreter(AsyncKernelManager):
    """Whatever kernels are installed on a machine, the notebooks run in the Python of these tests."""

    @property
    def kernel_spec(self) -> KernelSpec:
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name="the tests' Python", language="python")


def execute(path: Path, cells: int | None = None) -> list[Any]:
    """Run a notebook, or its first cells, and give its cells with their outputs."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = notebook.cells[:cells]
    where = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, kernel_manager_class=ThisInterpreter, timeout=TIMEOUT, resources=where).execute()
    return list(notebook.cells)


@pytest.fixture
def shared_data(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data sets: where `EMOPIPE_DATA` says, or beside the checkout."""
    folder = Path(os.environ.get("EMOPIPE_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "fer2013.zip").is_file():
        pytest.skip(f"the data sets are not there: {folder}; name their folder in EMOPIPE_DATA")
    monkeypatch.setenv("EMOPIPE_DATA", str(folder))
    return folder


def printed(cells: list[Any]) -> str:
    """What the cells printed, its columns one space apart."""
    # A kernel that is held up cuts what a cell prints anywhere, also within a line.
    text = "\n".join("".join(out.get("text", "") for out in cell.get("outputs", [])) for cell in cells)
    return "\n".join(" ".join(line.split()) for line in text.splitlines())


def pictures(cells: list[Any]) -> int:
    return sum("image/png" in out.get("data", {}) for cell in cells for out in cell.get("outputs", []))


@pytest.mark.usefixtures("shared_data")
def test_data() -> None:
    cells = execute(ROOT / "notebooks" / "data.ipynb")
    text = printed(cells)
    assert "Training 3,995 436 4,097 7,215 4,830 3,171 4,965" in text
    assert "PublicTest: 280 of 3,589 images are also in Training" in text
    assert "neutral 76 clips, 0 of them of strong intensity" in text
    assert pictures(cells) == 3


@pytest.mark.usefixtures("shared_data")
def test_training() -> None:
    cells = execute(ROOT / "notebooks" / "training.ipynb")
    text = printed(cells)
    assert "560 images" in text
    assert "These are 140 of its 3,589 images." in text
    assert pictures(cells) == 2


@pytest.mark.usefixtures("shared_data")
def test_errors() -> None:
    cells = execute(ROOT / "notebooks" / "errors.ipynb")
    text = printed(cells)
    assert "120 clips" in text
    assert "without 280 duplicates of Training" in text
    confidence = next(line for line in text.splitlines() if line.startswith("confidence "))
    assert "· -" in confidence, "it is less sure of what it gets wrong"
    assert pictures(cells) == 7, "two matrices, a diagram, the errors and three courses"


def test_where_the_data_is_missing_they_say_where_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOPIPE_DATA", str(tmp_path))
    with pytest.raises(CellExecutionError, match="Kaggle"):
        execute(ROOT / "notebooks" / "errors.ipynb", cells=2)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_without_outputs(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
    assert len(NOTEBOOKS) == 3
