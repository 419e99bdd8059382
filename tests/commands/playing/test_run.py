"""emopipe run: a live run that is asked to end comes to its end, and accounts for everything."""

import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.processes import running, wait_for, wait_until_gone, workers_of
from tests.support.traces import assert_well_formed, read_trace, slices, track_names

pytestmark = pytest.mark.slow("starts whole runs, and waits for their end")

TOY = """
[pipeline]
mode = "{mode}"
[stages.count]
use = "tests.support.toy_stages:Numbers"
count = 0
pause = 0.001
streams = 2
process = "source"
[stages.double]
use = "tests.support.toy_stages:Double"
inputs.numbers = "count.numbers"
at = {at}
how = "{how}"
hangs = "{path}.hangs"
[stages.write]
use = "tests.support.toy_stages:Write"
inputs.numbers = "double.numbers"
path = "{path}"
process = "source"
"""

FRAGILE = """
[pipeline]
mode = "replay"
[stages.recordings]
use = "tests.support.restart_stages:Recordings"
[stages.pass]
use = "tests.support.restart_stages:Fragile"
inputs.numbers = "recordings.numbers"
at = 50
[stages.first]
use = "tests.support.restart_stages:Lines"
inputs.numbers = "pass.numbers"
path = "{path}"
[stages.second]
use = "tests.support.restart_stages:Lines"
inputs.numbers = "pass.numbers"
path = "{path}.2"
[stages.third]
use = "tests.support.restart_stages:Lines"
inputs.numbers = "pass.numbers"
path = "{path}.3"
"""


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def toy(tmp_path: Path) -> Callable[..., Path]:
    def make(mode: str = "live", at: int = -1, how: str = "hang") -> Path:
        path = tmp_path / "toy.toml"
        path.write_text(TOY.format(mode=mode, path=tmp_path / "out.txt", at=at, how=how))
        return path

    return make


def test_ctrl_c_in_live_mode_lets_everything_come_to_its_end(toy: Callable[..., Path], tmp_path: Path) -> None:
    out, figures = tmp_path / "out.txt", tmp_path / "figures.json"
    with running(toy(), "--json", figures) as process:
        wait_for(lambda: len(lines(out)) > 20, process, "nothing came")
        workers = workers_of(process.pid)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        assert wait_until_gone(workers, 1.0) == []
    assert process.returncode == 0, errors
    assert "emopipe: ending; once more stops at once" in errors
    assert lines(out)[-1] == "closed"
    stages = json.loads(figures.read_text())["stages"]
    sent, passed = (
        stages["count"]["links"]["numbers>double.numbers"],
        stages["double"]["links"]["numbers>write.numbers"],
    )
    assert sent["sent"] == sent["received"] + sum(sent["dropped"].values())
    assert passed["received"] == sent["received"] == len(lines(out)) - 1 == stages["write"]["counters"]["lines"]
    assert {stream: counts["received"] for stream, counts in passed["streams"].items()} == {
        stream: sum(line.startswith(f"{stream} ") for line in lines(out)) for stream in ("s0", "s1")
    }
    assert "waited, ms" in errors  # the table of latencies


def test_a_second_ctrl_c_stops_what_does_not_come_to_its_end(toy: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "out.txt"
    with running(toy(at=10)) as process:
        wait_for(out.with_suffix(".txt.hangs").exists, process, "nothing hangs")
        workers = workers_of(process.pid)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None  # a stage hangs
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        assert wait_until_gone(workers, 1.0) == []
    assert process.returncode == 130, errors
    assert "interrupted" in errors


@pytest.fixture
def heeded() -> Iterator[None]:
    """SIGHUP is heeded, even where the tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize(
    ("number", "how"),
    [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "ended by SIGTERM"), (signal.SIGHUP, "ended by SIGHUP")],
)
def test_in_replay_mode_a_signal_stops_at_once(
    toy: Callable[..., Path], tmp_path: Path, number: signal.Signals, how: str
) -> None:
    out = tmp_path / "out.txt"
    with running(toy(mode="replay")) as process:
        wait_for(lambda: len(lines(out)) > 20, process, "nothing came")
        workers = workers_of(process.pid)
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
        assert wait_until_gone(workers, 1.0) == []
    assert process.returncode == 130
    assert errors == f"emopipe: {how}; the files written so far are whole\n"
    assert lines(out)[-1] == "closed"


def test_ctrl_c_gets_through_any_number_of_warnings(toy: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "out.txt"
    with running(toy(mode="replay", how="deluge")) as process:
        wait_for(lambda: len(lines(out)) > 50, process, "nothing came")  # and 50,000 warnings
        workers = workers_of(process.pid)
        stopped = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        assert wait_until_gone(workers, 2.0 - (time.monotonic() - stopped)) == []
    assert process.returncode == 130
    assert "more warnings came too fast to be shown" in errors
    assert len(errors.splitlines()) < 1000


@pytest.mark.parametrize("allowed", [7, 12, 16, 24, 39])
def test_too_few_open_files_are_told_in_one_sentence(toy: Callable[..., Path], allowed: int) -> None:
    command = f'ulimit -n {allowed}; exec "$0" -m emopipe run "$1"'
    done = subprocess.run(
        ["bash", "-c", command, sys.executable, str(toy())], capture_output=True, text=True, check=False
    )
    needs = f"a run in 2 processes needs 40 open files, but only {allowed} are allowed; see ulimit -n"
    assert (done.returncode, done.stderr) == (2, f"emopipe: {needs}\n")


def test_as_many_open_files_as_are_asked_for_are_enough_where_a_stage_dies(tmp_path: Path) -> None:
    out, graph = tmp_path / "lines.txt", tmp_path / "fragile.toml"
    graph.write_text(FRAGILE.format(path=out))
    needed = 'ulimit -n 52; exec "$0" -m emopipe run "$1"'  # for five processes
    done = subprocess.run(
        ["bash", "-c", needed, sys.executable, str(graph)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "begins anew" in done.stderr
    assert len(lines(out)) == 301


def test_in_live_mode_sigterm_lets_everything_come_to_its_end(toy: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "out.txt"
    with running(toy()) as process:
        wait_for(lambda: len(lines(out)) > 20, process, "nothing came")
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert lines(out)[-1] == "closed"


def test_what_was_told_to_outlive_its_terminal_does(toy: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "out.txt"
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does
    try:
        with running(toy(mode="replay")) as process:
            wait_for(lambda: len(lines(out)) > 20, process, "nothing came")
            process.send_signal(signal.SIGHUP)
            so_far = len(lines(out))
            wait_for(lambda: len(lines(out)) > so_far + 50, process, "it has stopped")
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert process.returncode == 130


DEMO = """
[pipeline]
name = "demo"
mode = "replay"
[stages.capture]
use = "test-pattern"
duration = 3.0
realtime = false
[stages.faces]
use = "face-detection"
inputs.video = "capture.video"
[stages.facial]
use = "facial-inference"
inputs.faces = "faces.faces"
[stages.fusion]
use = "fusion"
inputs.faces = "facial.emotions"
[stages.console]
use = "console"
inputs.emotions = "fusion.emotions"
"""


@pytest.mark.slow("whole processes that infer")
def test_a_replay_on_the_console_ends_with_who_expressed_what(tmp_path: Path) -> None:
    graph, figures = tmp_path / "demo.toml", tmp_path / "figures.json"
    graph.write_text(DEMO)
    with running(graph, "--json", figures, "--one-process") as process:
        shown, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    before, _, table = shown.partition("ended\n")
    assert "no face" in before
    assert "face 0" in table
    assert table.splitlines()[-1].startswith("test-pattern: Face 0 ")
    assert json.loads(figures.read_text())["stages"]["console"]


def test_a_trace_of_a_live_run_with_drops_is_what_its_links_have_counted(
    toy: Callable[..., Path], tmp_path: Path
) -> None:
    trace, out, figures = tmp_path / "trace.json", tmp_path / "out.txt", tmp_path / "figures.json"
    with running(toy(), "--trace", trace, "--json", figures, "--set", "stages.double.slow=0.01") as process:
        wait_for(lambda: len(lines(out)) > 20, process, "nothing came")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    events = read_trace(trace)
    assert_well_formed(events)
    taken = [event for event in slices(events) if event["name"] in ("s0", "s1") and "args" in event]
    names = track_names(events)
    by_stage = Counter(re.sub(r" \d+$", "", names[event["tid"]]) for event in taken)
    stages = json.loads(figures.read_text())["stages"]
    sent, passed = (
        stages["count"]["links"]["numbers>double.numbers"],
        stages["double"]["links"]["numbers>write.numbers"],
    )
    assert sent["dropped"]["oldest"] > 0
    assert by_stage == {
        "count sends": sent["sent"],
        "double takes": sent["received"],
        "double sends": passed["sent"],
        "write takes": passed["received"],
    }
    arrows = Counter(names[event["tid"]].split()[1] for event in events if event["ph"] == "f")
    assert arrows["takes"] == sent["received"] + passed["received"]
    assert arrows["sends"] == passed["sent"]


def test_a_trace_is_whole_however_the_run_was_killed(toy: Callable[..., Path], tmp_path: Path) -> None:
    trace = tmp_path / "trace.json"
    with running(toy(), "--trace", trace) as process:
        wait_for(lambda: trace.exists() and trace.stat().st_size > 100_000, process, "no trace is written")
        process.kill()
        process.wait()
    events = read_trace(trace)
    assert_well_formed(events)
    assert len(slices(events)) > 300
