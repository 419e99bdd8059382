"""Pictures that stay in their sender's memory: the same bytes as copies, whoever dies, and nothing is left of them."""

import asyncio
import contextlib
import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from emopipe.pipeline.port import LinkId
from emopipe.pipeline.runtime.result import RunResult, RunWarning
from emopipe.pipeline.runtime.supervisor import Supervisor
from emopipe.pipeline.runtime.worker import COPY_VARIABLE
from tests.support.picture_stages import GATES, KEPT_PICTURES, expected_digests, picture_graph
from tests.support.processes import PATIENCE, nothing_left, popen, wait_for, wait_until_gone, workers_of

pytestmark = pytest.mark.slow("starts whole runs in processes of their own")


def right(folder: Path) -> bool:
    """Whether both files have every picture, bit by bit."""
    return all(
        (folder / name).read_text() == expected_digests(n) for name, n in {"late": KEPT_PICTURES, "soon": 0}.items()
    )


def processes(pid: int) -> dict[str, int]:
    return {Path(f"/proc/{each}/cmdline").read_bytes().split(b"\0")[-2].decode(): each for each in workers_of(pid)}


def users(pid: int) -> set[int]:
    """The processes that have the memory of process `pid` open or mapped."""
    found = set()
    name = f"/memfd:emopipe-{pid} "
    for process in Path("/proc").glob("[0-9]*"):
        try:
            opened = [str(file.readlink()) for file in (process / "fd").iterdir()]
            if name in (process / "maps").read_text() or any(file.startswith(name) for file in opened):
                found.add(int(process.name))
        except OSError:  # it has ended meanwhile
            continue
    return found


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    with nothing_left():
        yield


def delivered(result: RunResult) -> int:
    return result.reports["keep"].inlets[LinkId("pictures", "pictures", "keep", "pictures")].delivered


def run(folder: Path) -> RunResult:
    return asyncio.run(Supervisor(picture_graph(folder)).run())


def play(folder: Path, *victims: str) -> RunResult:
    """Play, and kill the `victims` while pictures that the receivers have mapped are on their way."""
    gates = [folder / f"gate{number}" for number in GATES]
    pictures: list[int] = []

    def updated(result: RunResult) -> None:
        if not gates[0].exists():
            pids = processes(os.getpid())
            if {"pictures", "keep", "soon"} <= pids.keys() and users(pids["pictures"]) == {
                pids[name] for name in ("pictures", "keep", "soon")
            }:
                pictures.append(pids["pictures"])
                gates[0].touch()
        elif not gates[1].exists() and "keep" in result.reports and delivered(result) == GATES[1]:
            pids = processes(os.getpid())
            for victim in victims:
                os.kill(pids[victim], signal.SIGKILL)
            gates[1].touch()

    result = asyncio.run(Supervisor(picture_graph(folder, str(folder / "gate")), updated=updated).run())
    assert all(gate.exists() for gate in gates)
    assert users(*pictures) == set()
    return result


def test_two_receivers_map_what_one_has_and_read_every_picture(tmp_path: Path) -> None:
    result = play(tmp_path)
    assert right(tmp_path)
    assert result.warnings == []


@pytest.mark.parametrize("victims", [("pictures",), ("keep",), ("pictures", "keep")])
def test_whoever_is_killed_no_memory_is_left_and_no_picture_is_wrong(tmp_path: Path, victims: tuple[str, ...]) -> None:
    result = play(tmp_path, *victims)
    assert sum(result.restart_counts.values()) == 1
    assert right(tmp_path)


def test_as_copies_they_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COPY_VARIABLE, "1")
    run(tmp_path)
    assert right(tmp_path)


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may have more than a megabyte, here and in the workers: a system without room for shared memory."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_files")
def test_where_no_memory_can_be_shared_that_is_said_and_they_are_copied(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert right(tmp_path)
    assert {(each.stage, each.text) for each in result.warnings} == {
        (stage, "pictures are copied from process to process, since no memory can be shared: File too large")
        for stage in ("pictures", "keep")
    }


def test_too_little_memory_is_said_before_anything_plays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, bool]] = []

    def warned(warning: RunWarning) -> None:
        told.append((warning.text, bool(supervisor.snapshot().reports)))

    monkeypatch.setattr("emopipe.pipeline.runtime.supervisor.free_memory_mb", lambda: 9.0)
    supervisor = Supervisor(picture_graph(tmp_path), warned=warned)
    asyncio.run(supervisor.run())
    ((text, played),) = told
    assert text.startswith("4 processes and this one need about 200 MB of memory, but 9 MB are free; ")
    assert not played
    assert right(tmp_path)


SCRIPT = """
import asyncio, sys
from pathlib import Path
from emopipe.pipeline.runtime.supervisor import Supervisor
from tests.support.picture_stages import picture_graph
asyncio.run(Supervisor(picture_graph(Path(sys.argv[1]), sys.argv[2])).run())
"""


def test_nothing_is_left_where_all_are_killed_the_supervisor_too(tmp_path: Path) -> None:
    def mapped() -> bool:
        pids.update(processes(run.pid))
        return "pictures" in pids and len(users(pids["pictures"])) == 3

    pids: dict[str, int] = {}
    with TemporaryDirectory(dir="/tmp") as temporary:  # the next run would remove the folder of one that was killed
        command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(tmp_path / "never")]
        with popen(command, env=os.environ | {"TMPDIR": temporary}) as run:
            wait_for(mapped, run, "the pictures' memory is not mapped")
            for pid in (run.pid, *pids.values()):
                with contextlib.suppress(ProcessLookupError):  # workers go with their supervisor
                    os.kill(pid, signal.SIGKILL)
        assert wait_until_gone(list(pids.values()), PATIENCE) == []
    assert users(pids["pictures"]) == set()
