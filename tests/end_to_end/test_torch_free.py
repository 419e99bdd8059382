"""On a CPU nothing that infers imports torch, in any of its processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.slow("loads every model")

BLOCKER = """
import os, sys
with open(os.environ["TORCH_IMPORTS"], "a") as file:
    file.write(" ".join(sys.argv) + "\\n")
raise ImportError("torch is not to be imported")
"""


@pytest.fixture
def imports(tmp_path: Path) -> Path:
    """Where each import of torch leaves a line."""
    (tmp_path / "blocked" / "torch").mkdir(parents=True)
    (tmp_path / "blocked" / "torch" / "__init__.py").write_text(BLOCKER)
    return tmp_path / "imports.txt"


def run(imports: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """A Python, and what it starts, in which torch cannot be imported."""
    path = os.pathsep.join(filter(None, [str(imports.parent / "blocked"), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": path, "TORCH_IMPORTS": str(imports), "CUDA_VISIBLE_DEVICES": ""},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_an_import_would_be_seen(imports: Path) -> None:
    text = "import subprocess, sys; print(subprocess.run([sys.executable, '-c', 'import torch']).returncode)"
    done = run(imports, "-c", text)
    assert done.stdout == "1\n"
    assert "torch is not to be imported" in done.stderr
    assert imports.read_text() == "-c\n"


def test_a_replay_through_the_default_graph(imports: Path, shared_media: Path, tmp_path: Path) -> None:
    clip, out = shared_media / "ravdess" / "Actor_01" / "01-01-08-01-01-02-01.mp4", tmp_path / "results.jsonl"
    done = run(imports, "-m", "emopipe", "replay", clip, "--out", out, "--set", "stages.facial.device=cpu")
    assert done.returncode == 0, done.stderr
    results = out.read_text()
    assert '"faces":[{' in results
    assert '"voice":{' in results
    assert not imports.exists(), imports.read_text()


def test_a_prediction_of_a_film(imports: Path, shared_media: Path) -> None:
    clip = shared_media / "ravdess" / "Actor_01" / "01-01-08-01-01-02-01.mp4"
    done = run(imports, "-m", "emopipe", "predict", "--video", clip, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert not imports.exists(), imports.read_text()


def test_a_prediction_of_arrays(imports: Path) -> None:
    text = """
import sys
import numpy as np
from emopipe import EmotionPredictor

with EmotionPredictor(device="cpu") as predictor:
    grey = np.full((200, 200, 3), 128, np.uint8)
    predictor.predict_image(grey)
    predictor.predict_audio(np.random.default_rng(0).normal(0, 0.1, 32000).astype(np.float32), 16000)
    print("torch" in sys.modules)
"""
    done = run(imports, "-c", text)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
    assert not imports.exists(), imports.read_text()
