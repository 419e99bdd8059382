"""benchmarks.attack, in short: strangers on another host read nothing, put nothing in, and use nothing up."""

import json
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from benchmarks.attack.__main__ import wrong
from benchmarks.hosts import can_isolate
from tests.support.paths import ROOT


@pytest.mark.slow("starts a run with real models, and attacks it for half a minute")
@pytest.mark.skipif(not can_isolate(), reason="needs network namespaces: run as root, or allow users to make them")
def test_strangers_read_nothing_put_nothing_in_and_use_nothing_up(tmp_path: Path) -> None:
    figures = tmp_path / "attack.json"
    command = [sys.executable, "-m", "benchmarks.attack", "--connections", "300", "--seconds", "3"]
    done = subprocess.run([*command, "--json", str(figures)], cwd=ROOT, capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    found = json.loads(figures.read_text())
    assert found["wrong"] == []
    assert sum(phase.get("connected", 0) for phase in found["phases"]) > 1000
    for phase in found["phases"]:
        assert phase["results/s"] > found["undisturbed"]["results/s"] / 2  # they share its processors here
    assert found["after"]["files"] <= found["undisturbed"]["files"] + 10


FINE: dict[str, Any] = {
    "undisturbed": {"files": 100},
    "phases": [
        {"kind": "silent", "at": "links", "files": 600},
        {"kind": "silent", "at": "publish", "files": 300},
        {"kind": "silent", "at": "page", "files": 600},
    ],
    "exit code": 0,
    "worker exit code": 0,
    "said": "",
    "subscribed": 1,
}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"subscribed": 2}, "2 subscriptions came through instead of 1"),
        ({"exit code": 1, "said": "oh"}, "the run ended with 1: oh"),
        ({"worker exit code": 2}, "the worker on the other host ended with 2"),
        ({"phases": [{"kind": "noise", "at": "links", "files": 700}]}, "noise at links held 600 descriptors"),
        ({"phases": [{"kind": "keys", "at": "publish", "files": 100, "results read": 1}]}, "keys read results"),
        ({"phases": [{"kind": "noise", "at": "publish", "files": 400}]}, "noise at publish held 300 descriptors"),
        ({"phases": [{"kind": "noise", "at": "page", "files": 700}]}, "noise at page held 600 descriptors"),
    ],
)
def test_what_must_not_happen_would_be_said(change: dict[str, Any], problem: str) -> None:
    assert wrong(deepcopy(FINE)) == []
    ((said),) = wrong(FINE | change)
    assert said.startswith(problem)
