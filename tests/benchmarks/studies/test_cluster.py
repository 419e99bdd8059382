"""The studies of a cluster: what Ray costs is a difference, shards are rows, and no process of Ray's is left."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ray")

from benchmarks.procfs import PROC
from benchmarks.studies.cluster import cost, shards
from benchmarks.studies.cluster.cost import CLUSTER, NO_CLUSTER, compare
from emopipe.arguments import cluster


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short name: Ray's Unix sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as name:
        yield Path(name)


def processes_below(folder: Path) -> list[str]:
    """Those of clusters whose files are in a folder."""
    found = []
    for process in PROC.iterdir():
        try:
            if process.name.isdecimal() and f"RAY_TMPDIR={folder}/".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
        except OSError:  # it has ended, or is somebody else's
            continue
    return found


def row(cpu: float, p50: float, first: float) -> dict[str, float]:
    return {"CPU ms a frame": cpu, "p50 ms": p50, "first result s": first}


def test_a_cost_is_the_median_of_the_differences_within_rounds() -> None:
    rounds = [
        {NO_CLUSTER: row(10, 20, 3), CLUSTER: row(11, 25, 9)},
        {NO_CLUSTER: row(20, 30, 4), CLUSTER: row(21, 31, 8)},
        {NO_CLUSTER: row(10, 10, 3), CLUSTER: row(10, 12, 4)},
    ]
    assert compare(rounds) == pytest.approx({"CPU %": 5, "p50 ms": 2, "first result s": 4})


@pytest.mark.parametrize("study", [cost, shards])
def test_what_cannot_be_played_is_said(
    study: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert study.main(["gone.mp4"]) == 2  # type: ignore[attr-defined]
    assert "gone.mp4: no such file" in capsys.readouterr().err
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda name: None)
    assert study.main(["gone.mp4"]) == 2  # type: ignore[attr-defined]
    assert "Ray is not installed" in capsys.readouterr().err


@pytest.mark.slow("starts a Ray cluster and whole runs")
@pytest.mark.timeout(300)
def test_shards_are_rows_and_their_results_the_same(
    shared_media: Path, tmp_path: Path, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(short))
    clip = shared_media / "crema-d" / "1001_DFA_HAP_XX.flv"
    out = tmp_path / "shards.json"
    given = ["--seconds", "1", "--shards", "2", "--recordings", "2", "--layout", "auto", "--json", str(out)]
    assert shards.main([str(clip), *given]) == 0
    found = json.loads(out.read_text())
    assert [(row["shards"], row["on"]) for row in found["rows"]] == [(2, "this host"), (2, "Ray")]
    assert found["same"]
    here, there = found["runs"]
    assert here["frames"] == there["frames"] > 0
    assert all(row["frames/s"] > 0 and row["CPU ms a frame"] > 0 for row in found["rows"])
    assert (processes_below(short), list(short.glob("*"))) == ([], [])


@pytest.mark.slow("starts two Ray clusters and whole runs")
@pytest.mark.timeout(400)
def test_what_ray_costs(shared_media: Path, tmp_path: Path) -> None:
    out = tmp_path / "cost.json"
    clip = shared_media / "crema-d" / "1001_DFA_HAP_XX.flv"
    assert cost.main([str(clip), "--seconds", "1", "--rounds", "1", "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    (round_,) = found["rounds"]
    assert round_[NO_CLUSTER]["Ray's own CPU s"] == 0 < round_[CLUSTER]["Ray's own CPU s"]
    assert all(figure > 0 for figure in round_[CLUSTER].values())
    assert found["own_cluster_first_result_s"] > 0
    assert found["same"]
