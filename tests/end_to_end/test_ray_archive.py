"""An archive on a Ray cluster of two hosts: the same bytes, whoever is stopped or killed, and nobody left."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.hosts import can_isolate
from emopipe.__main__ import main
from tests.support import archive_stages
from tests.support.media import every, make
from tests.support.ray_nodes import played

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow("starts a Ray cluster and whole processes"), pytest.mark.timeout(600)]

GRAPH = """
[pipeline]
name = "scripted"
mode = "replay"
[stages.capture]
use = "file-capture"
uri = "none.mp4"
[stages.scripted]
use = "scripted_on_ray:Scripted"
folder = "{folder}"
pause = 0.1
inputs.video = "capture.video"
[stages.console]
use = "console"
inputs.emotions = "scripted.emotions"
"""
RECORDINGS = 10


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with a short name: Ray's Unix sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        shutil.copy(archive_stages.__file__, folder / "scripted_on_ray.py")
        (folder / "graph.toml").write_text(GRAPH.format(folder=folder))
        (folder / "in").mkdir()
        for number in range(RECORDINGS):
            make(folder / f"in/{number}.mkv", pictures=every(25, 0.4))
        (folder / "in/raises.mkv").write_bytes((folder / "in/0.mkv").read_bytes())
        (folder / "in/torn.mkv").write_text("no recording")
        yield folder


@pytest.fixture(scope="module")
def local(folder: Path) -> dict[str, bytes]:
    """What the archive is without a cluster."""
    assert main([*arguments(folder, "local"), "--jobs", "2"]) == 1
    return contents(folder / "local")


@pytest.fixture(scope="module")
def found(folder: Path, local: dict[str, bytes]) -> dict[str, Any]:
    """What became of the archive on two hosts."""
    if not can_isolate():
        pytest.skip("needs network namespaces: run as root, or allow users to make them")
    return played("ray_archive", folder, *arguments(folder, "far"))


def arguments(folder: Path, out: str) -> list[str]:
    return ["archive", str(folder / "in"), "--out", str(folder / out), "--graph", str(folder / "graph.toml")]


def contents(out: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and ".archive" not in path.parts
    }


def test_it_is_the_same_to_the_byte_on_two_hosts_stopped_once_and_one_of_them_killed(
    found: dict[str, Any], folder: Path, local: dict[str, bytes]
) -> None:
    assert found["gone on with"]["code"] == 1, found
    assert contents(folder / "far") == local
    assert len(local) == RECORDINGS + len(["archive.json", "manifest.jsonl"])


def test_ctrl_c_says_how_to_go_on(found: dict[str, Any]) -> None:
    assert found["stopped"]["code"] == 130, found
    assert "emopipe: the same command goes on from here\n" in found["stopped"]["said"]
    assert 1 <= found["over when stopped"] < RECORDINGS + 2


def test_what_is_over_is_not_played_again(found: dict[str, Any], folder: Path) -> None:
    journal = (folder / "far/.archive/journal").read_text().splitlines()
    done = [each["recording"] for _, each in map(json.loads, journal) if each["outcome"] == "done"]
    assert sorted(done) == sorted(f"{number}.mkv" for number in range(RECORDINGS))


def test_nobody_is_left_who_plays(found: dict[str, Any]) -> None:
    assert found["left"] == []
