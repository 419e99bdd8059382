import subprocess
import sys

import pytest
import torch
from torch import nn

from benchmarks.models import macs
from tests.support.paths import ROOT

pytestmark = pytest.mark.slow("measures every network")


def test_multiplications_are_counted() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.Flatten(), nn.Linear(8 * 16, 5))
    assert macs(network, torch.zeros(1, 3, 4, 4)) == 16 * 8 * 27 + 8 * 16 * 5


def test_prints_a_row_a_network() -> None:
    command = [sys.executable, "-m", "benchmarks.models", "--rounds", "1", "--only", "custom", "decision"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    machine, _, *table = done.stdout.splitlines()
    assert f"torch {torch.__version__}" in machine
    assert [row.split(" | ")[1] for row in table[2:]] == ["custom", "decision"]
    cells = table[2].strip("| ").split(" | ")
    assert cells[2] == "1.95 M"
    assert all(float(cell) > 0 for cell in cells[-2:])
