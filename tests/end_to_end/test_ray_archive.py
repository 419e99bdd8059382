"""An archive on a Ray cluster of two hosts: the same bytes, whoever is stopped or killed, and nobody left."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.hosts import can_isolate
from tests.support.archives import Archive
from tests.support.ray_nodes import played, short_folder

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow("starts a Ray cluster and whole processes"), pytest.mark.timeout(600)]

RECORDINGS = 10
SLOWER = ("--set", "stages.scripted.pause=0.1")  # so that there is time to stop it


@pytest.fixture(scope="module")
def archive() -> Iterator[Archive]:
    with short_folder() as folder:
        archive = Archive(folder)
        archive.record(*(f"{number}.mkv" for number in range(RECORDINGS)), "raises.mkv", pictures=10)
        (archive.recordings / "torn.mkv").write_text("no recording")
        yield archive


@pytest.fixture(scope="module")
def local(archive: Archive) -> dict[str, bytes]:
    """What the archive is without a cluster."""
    assert archive.run(*SLOWER, "--jobs", 2) == 1
    contents = archive.contents()
    shutil.rmtree(archive.out)
    return contents


@pytest.fixture(scope="module")
def found(archive: Archive, local: dict[str, bytes]) -> dict[str, Any]:
    """What became of the archive on two hosts."""
    if not can_isolate():
        pytest.skip("needs network namespaces: run as root, or allow users to make them")
    return played("ray_archive", archive.graph.parent, *archive.arguments(*SLOWER))


def test_it_is_the_same_to_the_byte_on_two_hosts_stopped_once_and_one_of_them_killed(
    found: dict[str, Any], archive: Archive, local: dict[str, bytes]
) -> None:
    assert found["gone on with"]["code"] == 1, found
    assert archive.contents() == local
    assert len(local) == RECORDINGS + len(["archive.json", "manifest.jsonl"])


def test_ctrl_c_says_how_to_go_on(found: dict[str, Any]) -> None:
    assert found["stopped"]["code"] == 130, found
    assert "emopipe: the same command goes on from here\n" in found["stopped"]["said"]
    assert 1 <= found["over when stopped"] < RECORDINGS + 2


@pytest.mark.usefixtures("found")
def test_what_is_over_is_not_played_again(archive: Archive) -> None:
    done = [name for name, each in archive.journal() if each["outcome"] == "done"]
    assert sorted(done) == sorted(f"{number}.mkv" for number in range(RECORDINGS))


def test_nobody_is_left_who_plays(found: dict[str, Any]) -> None:
    assert found["left"] == []
