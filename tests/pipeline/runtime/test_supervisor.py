"""runtime.supervisor and runtime.worker: real processes that start in order, drain, fail with a name, and go."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from emopipe.pipeline.errors import EmopipeError, StageFailed
from emopipe.pipeline.graph.load import Graph, graph_from_table
from emopipe.pipeline.port import LinkId
from emopipe.pipeline.runtime.result import RunResult, RunWarning
from emopipe.pipeline.runtime.supervisor import Supervisor
from emopipe.pipeline.telemetry.audit import audit
from tests.support.processes import workers_of
from tests.support.toy_stages import toy_graph

pytestmark = pytest.mark.slow("starts whole runs in processes of their own")

TOY = "tests.support.toy_stages:"


def run(graph: Graph) -> RunResult:
    """The result of a run that comes to its end, with every message on every link accounted for."""
    result = asyncio.run(Supervisor(graph).run())
    assert audit(result.reports) == []
    return result


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    yield
    assert workers_of(os.getpid()) == []


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.txt"


@pytest.mark.parametrize("together", [False, True])
def test_everything_arrives_in_order_and_is_counted(out: Path, together: bool) -> None:
    result = run(toy_graph(out, together=together, count={"count": 500, "ballast": 100_000}))
    assert out.read_text().splitlines() == [*(f"s0 {2 * n} 100000" for n in range(500)), "closed"]
    assert result.reports["write"].counters == {"lines": 500}
    for link in (LinkId("count", "numbers", "double", "numbers"), LinkId("double", "numbers", "write", "numbers")):
        counts = result.reports[link.sender].links[link]
        assert (counts.sent, counts.received, counts.dropped, counts.in_flight) == (500, 500, {}, 0)
    assert result.reports["write"].age.count == 500
    assert all(report.ended for report in result.reports.values())


def test_streams_stay_in_order_each(out: Path) -> None:
    run(toy_graph(out, count={"count": 90, "streams": 3}))
    lines = out.read_text().splitlines()[:-1]
    for stream in range(3):
        mine = [int(line.split()[1]) for line in lines if line.startswith(f"s{stream} ")]
        assert mine == [2 * n for n in range(90) if n % 3 == stream]


def test_a_slow_stage_holds_the_source_back_in_replay(out: Path) -> None:
    result = run(toy_graph(out, count={"count": 60}, double={"slow": 0.005}))
    assert result.reports["write"].counters == {"lines": 60}


def test_a_slow_stage_drops_the_oldest_in_live_mode_and_counts_it(out: Path) -> None:
    result = run(toy_graph(out, mode="live", count={"count": 300, "pause": 0.001}, double={"slow": 0.02}))
    counts = result.reports["count"].links[LinkId("count", "numbers", "double", "numbers")]
    values = [int(line.split()[1]) for line in out.read_text().splitlines()[:-1]]
    assert counts.sent == 300
    assert counts.dropped["oldest"] > 100
    assert counts.received == 300 - counts.dropped["oldest"] == len(values)
    assert values == sorted(set(values))
    assert values[-1] == 598  # the newest is never the one that goes


@pytest.mark.parametrize("together", [False, True])
def test_a_stage_that_raises_is_named_with_its_error(out: Path, together: bool) -> None:
    with pytest.raises(StageFailed, match=r"toy\.toml: stages\.double: ZeroDivisionError: doubling failed") as caught:
        run(toy_graph(out, together=together, double={"at": 50, "how": "raise"}))
    assert caught.value.exit_code == 1
    lines = out.read_text().splitlines()
    assert lines[-1] == "closed"  # what was done is kept, and closed properly
    assert lines[:-1] == [f"s0 {2 * n} 10" for n in range(len(lines) - 1)]


def test_an_error_the_user_can_mend_keeps_its_exit_code(out: Path) -> None:
    with pytest.raises(EmopipeError, match=r"stages\.double: this number is not yours") as caught:
        run(toy_graph(out, double={"at": 3, "how": "mend"}))
    assert caught.value.exit_code == 2


def test_nothing_plays_when_a_stage_cannot_be_set_up(out: Path) -> None:
    with pytest.raises(EmopipeError, match=r"stages\.double: nothing to double with; bring a two"):
        run(toy_graph(out, double={"how": "setup"}))
    assert not out.exists() or out.read_text() == "closed\n"


def test_a_killed_stage_is_named_with_its_signal(out: Path) -> None:
    with pytest.raises(StageFailed, match="stage double: the process was killed by SIGKILL"):
        run(toy_graph(out, double={"at": 10, "how": "kill"}))


def test_a_stage_that_exits_is_named_with_its_code(out: Path) -> None:
    with pytest.raises(StageFailed, match="stage double: the process exited with code 3"):
        run(toy_graph(out, double={"at": 10, "how": "exit"}))


def test_a_child_of_a_stage_neither_delays_the_end_nor_outlives_it(out: Path) -> None:
    with pytest.raises(StageFailed, match="stage double: the process was killed by SIGKILL"):
        run(toy_graph(out, double={"at": 10, "how": "child"}))
    listing = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "import time; time.sleep(3600)" not in [line.partition("-c ")[2] for line in listing.splitlines()]


def test_standard_error_of_any_length_and_shape_does_no_harm(out: Path) -> None:
    with pytest.raises(StageFailed, match=r"exited with code 3\n  x{2000}$"):
        run(toy_graph(out, double={"at": 10, "how": "noise"}))


def test_a_message_that_does_not_decode_ends_the_run(out: Path) -> None:
    with pytest.raises(StageFailed, match=r"stages\.double: .*sent write\.numbers not a message of .*<f8"):
        run(toy_graph(out, double={"at": 10, "how": "dtype"}))


def test_a_stage_that_cannot_close_is_an_error(out: Path) -> None:
    with pytest.raises(EmopipeError, match=r"stages\.double: the last page does not fit; make room"):
        run(toy_graph(out, double={"how": "close"}))


def test_a_stage_has_time_to_close_once_all_is_done(out: Path) -> None:
    result = run(toy_graph(out, double={"how": "slow-close"}))
    assert result.reports["write"].counters == {"lines": 100}


def test_a_run_that_closes_its_stages_already_need_not_be_stopped_to_end(out: Path) -> None:
    answers: list[bool] = []

    def updated(result: RunResult) -> None:
        if len(result.reports) == 3 and all(report.ended for report in result.reports.values()):
            answers.append(supervisor.drain())

    supervisor = Supervisor(toy_graph(out, double={"how": "slow-close"}), updated=updated)
    asyncio.run(supervisor.run())
    assert answers  # at the least when the two others have closed
    assert all(answers)


def test_a_server_that_runs_out_of_files_does_not_end_the_run(out: Path) -> None:
    result = run(toy_graph(out, double={"at": 7, "how": "crowd"}))
    assert {(w.stage, w.text) for w in result.warnings} == {
        ("double", "no connection can be taken for a moment: Too many open files")
    }
    assert result.reports["write"].counters == {"lines": 100}


def test_an_error_of_whoever_watches_ends_the_run(out: Path) -> None:
    def updated(result: RunResult) -> None:
        raise BrokenPipeError("the terminal is gone")

    with pytest.raises(BrokenPipeError, match="the terminal is gone"):
        asyncio.run(Supervisor(toy_graph(out), updated=updated).run())


def test_one_stream_from_two_stages_is_refused(out: Path) -> None:
    table: dict[str, Any] = {
        "a": {"use": f"{TOY}Numbers", "ballast": 0},
        "b": {"use": f"{TOY}Numbers", "ballast": 0},
        "write": {"use": f"{TOY}Write", "inputs": {"numbers": ["a.numbers", "b.numbers"]}, "path": str(out)},
    }
    with pytest.raises(EmopipeError, match="input 'numbers' gets the stream 's0' from two stages"):
        run(graph_from_table({"stages": table}, "toy.toml"))


def test_damage_is_reported_and_does_not_stop_the_run(out: Path) -> None:
    result = run(toy_graph(out, double={"at": 7, "how": "warn"}))
    assert [(w.stage, w.text, w.damage) for w in result.warnings] == [("double", "the number is scratched", True)]
    assert result.damaged
    assert result.reports["write"].counters == {"lines": 100}


def test_warnings_without_end_hold_up_nothing_and_are_all_counted(out: Path) -> None:
    told: list[RunWarning] = []
    supervisor = Supervisor(toy_graph(out, double={"at": 7, "how": "flood"}), warned=told.append)
    result = asyncio.run(supervisor.run())
    assert result.reports["write"].counters == {"lines": 100}
    assert sum(warning.count for warning in result.warnings) + result.forgotten == 50_000
    assert len(told) < 50
    assert told[0].text == "scratch 0"


def test_a_start_that_takes_too_long_names_the_stage(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emopipe.pipeline.runtime.processes.workers.START_TIMEOUT_S", 6.0)
    with pytest.raises(StageFailed, match=r"^toy\.toml: not ready within 6 s: double$"):
        run(toy_graph(out, double={"how": "hang-setup"}))


def test_a_stage_may_wait_for_others_as_long_as_it_says(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emopipe.pipeline.runtime.processes.workers.START_TIMEOUT_S", 1.0)
    patient = toy_graph(out, double={"how": "hang-setup"})
    monkeypatch.setattr(type(patient.stages["double"].settings), "waits", lambda self: 5.5)
    with pytest.raises(StageFailed, match=r"not ready within 6\.5 s"):
        run(patient)


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short folder for temporary files."""
    with TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


def test_a_run_whose_folder_vanishes_while_it_loads_ends_and_says_so(out: Path, temporary: Path) -> None:
    async def drive() -> None:
        running = asyncio.create_task(Supervisor(toy_graph(out, double={"how": "hang-setup"})).run())
        while not (names := os.listdir(temporary)):  # noqa: PTH208
            await asyncio.sleep(0.01)
        shutil.rmtree(temporary / names[0])
        async with asyncio.timeout(20):
            await running

    with pytest.raises(StageFailed, match=r"toy\.toml: /tmp/.* has vanished while the stages were loading; set TMPDIR"):
        asyncio.run(drive())


def test_long_paths_and_names_open_no_port(out: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every socket of the run is a Unix socket in a folder of its user's alone, whatever has no room in its path."""
    deep = temporary / ("d" * 100)
    deep.mkdir()
    monkeypatch.setenv("TMPDIR", str(deep))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(temporary))
    name = "n" * 95
    table: dict[str, Any] = {
        "count": {"use": f"{TOY}Numbers", "count": 500, "pause": 0.002},
        name: {"use": f"{TOY}Double", "inputs": {"numbers": "count.numbers"}},
        "write": {"use": f"{TOY}Write", "inputs": {"numbers": f"{name}.numbers"}, "path": str(out)},
    }
    seen: list[set[int]] = []

    def updated(_: RunResult) -> None:
        (folder,) = [path for path in temporary.iterdir() if path != deep]
        assert folder.stat().st_mode & 0o777 == 0o700
        names = {path.name for path in folder.iterdir()}
        assert {name for name in names if not name.startswith("stacks-")} <= {
            "lock",
            "control",
            "state",
            "status",
            "tmp",
            "1-0",
            "2-0",
        }
        seen.append({len(listening(pid)) for pid in [os.getpid(), *workers_of(os.getpid())]})

    asyncio.run(Supervisor(graph_from_table({"stages": table}, "toy.toml"), updated=updated).run())
    assert seen
    assert set.union(*seen) == {0}
    assert list(deep.iterdir()) == []


def listening(pid: int) -> list[str]:
    """The TCP addresses on which a process listens; none where it has just ended."""
    try:
        own = {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()}
        rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in own]


def test_a_stage_that_watches_is_told_of_all_stages_and_time_is_the_same_everywhere(tmp_path: Path) -> None:
    files = [tmp_path / "one.txt", tmp_path / "other.txt"]
    table: dict[str, Any] = {
        "count": {"use": f"{TOY}Numbers", "count": 300, "pause": 0.01},
        "watch": {"use": f"{TOY}Watch", "inputs": {"numbers": "count.numbers"}, "path": str(files[0])},
        "other": {"use": f"{TOY}Watch", "inputs": {"numbers": "count.numbers"}, "path": str(files[1])},
    }
    run(graph_from_table({"stages": table}, "toy.toml"))
    heard = [[line.split() for line in file.read_text().splitlines()] for file in files]
    for lines in heard:
        assert lines[-1][3:] == ["count", "other", "watch"]
        assert int(lines[-1][1]) > 1_000_000_000  # ns since play
        assert 0 < int(lines[-1][2]) <= 300
    assert {line[0] for lines in heard for line in lines} == {heard[0][0][0]} != {"0"}
