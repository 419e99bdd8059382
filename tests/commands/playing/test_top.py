"""emopipe top: finds a run, here or with keys elsewhere, and shows it; and /metrics says the same of it."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from prometheus_client.parser import text_string_to_metric_families

from emopipe.__main__ import main
from emopipe.pipeline.access.folder import living_runs
from emopipe.pipeline.access.keys import write_pair
from tests.support.endpoints import free_endpoint
from tests.support.processes import running, wait_for

TOY = """
[pipeline]
mode = "live"
{pipeline}
[stages.count]
use = "tests.support.toy_stages:Numbers"
count = 0
pause = 0.002
streams = 2
[stages.write]
use = "tests.support.toy_stages:Write"
inputs.numbers = "double.numbers"
path = "{folder}/out.txt"
[stages.double]
use = "tests.support.toy_stages:Double"
inputs.numbers = "count.numbers"
slow = 0.01
"""


@pytest.fixture
def graph(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str = "toy", **pipeline: object) -> Path:
        path = tmp_path / f"{name}.toml"
        keys = "\n".join(f"{key} = {json.dumps(value)}" for key, value in pipeline.items())
        path.write_text(TOY.format(folder=tmp_path, pipeline=keys))
        return path

    return make


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No runs but those of the test: their folders lie in one of its own, whose path is short enough for sockets."""
    with TemporaryDirectory(prefix="t-", dir="/tmp") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setenv("COLUMNS", "140")
        monkeypatch.setattr("emopipe.pipeline.access.folder._places", lambda: [Path(folder)])
        yield


@pytest.fixture
def plays(tmp_path: Path) -> Callable[["subprocess.Popen[str]"], None]:
    def wait(process: "subprocess.Popen[str]") -> None:
        out = tmp_path / "out.txt"
        wait_for(lambda: out.exists() and len(out.read_text().splitlines()) > 20, process, "nothing came")

    return wait


@pytest.mark.usefixtures("here")
def test_without_a_run_there_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top"]) == 2
    said = "emopipe: no run of yours on this machine; start one with `emopipe run`, or give another's address\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("given", [[], ["--secret-key", "a"], ["--server-key", "b"]])
def test_another_machine_takes_keys(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "tcp://10.0.0.1:5570", *given]) == 2
    assert "takes --secret-key" in capsys.readouterr().err


@pytest.mark.slow("starts a whole run, and watches it for seconds")
@pytest.mark.usefixtures("here")
def test_the_run_that_is_here_is_found_and_shown(
    graph: Callable[..., Path], plays: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    with running(graph()) as process:
        plays(process)
        assert main(["top", "--once"]) == 0
        text = capsys.readouterr().out
        assert re.search(rf"toy, live, playing 0:00:\d\d, process {process.pid}\n", text)
        assert re.search(r"^count\.numbers>double\.numbers +\d+\.\d +\d+\.\d .* \d+ oldest \(\d+\.\d/s\)$", text, re.M)
        assert main(["top", str(process.pid), "--once", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
    link = found["links"]["count.numbers>double.numbers"]
    assert link["dropped"]["oldest"] > 0
    assert link["unaccounted"] == 0
    assert sum(each["sent"] for each in link["streams"].values()) == link["sent"]
    assert 0 < link["received_per_s"] < link["sent_per_s"]
    assert found["processes"]["double"]["memory_mb"] > 10
    assert found["stages"]["write"]["age_ms"]["p50"] > 5


@pytest.mark.slow("starts two whole runs")
@pytest.mark.usefixtures("here")
def test_of_several_runs_one_is_chosen_by_its_process(
    graph: Callable[..., Path], plays: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    with running(graph("one")) as one, running(graph("two")) as two:
        plays(one)  # or the other: they write the same file
        wait_for(lambda: sum((folder / "status").exists() for folder in living_runs()) == 2, two, "it does not start")
        assert main(["top"]) == 2
        listed = capsys.readouterr().err
        assert listed.startswith("emopipe: several runs; choose one:\n")
        assert f"\n  emopipe top {one.pid}    one, " in listed
        assert f"\n  emopipe top {two.pid}    two, " in listed
        assert main(["top", "1"]) == 2
        assert capsys.readouterr().err.startswith("emopipe: no run has the process id 1; choose one:\n")
        assert main(["top", str(two.pid), "--once", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["graph"] == "two"


@pytest.mark.slow("starts a whole run, and waits for its end")
@pytest.mark.usefixtures("here")
def test_who_watches_sees_the_end_and_who_dies_watching_changes_nothing(
    graph: Callable[..., Path], plays: Callable[..., None]
) -> None:
    with running(graph()) as process:
        plays(process)
        command = [sys.executable, "-m", "emopipe", "top", str(process.pid), "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
            assert watching.stdout is not None
            first, second = (json.loads(watching.stdout.readline()) for _ in range(2))
            assert second["seconds"] > first["seconds"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
                assert other.stdout is not None
                other.stdout.readline()
                other.send_signal(signal.SIGSTOP)  # and never goes on
                process.send_signal(signal.SIGINT)
                _, errors = process.communicate(timeout=30)
                other.kill()
            rest, said = watching.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert all(json.loads(line)["links"] for line in rest.splitlines())
    assert said == "emopipe: nothing more is heard from toy; it has ended, or hangs\n"
    assert watching.returncode == 0


@pytest.mark.slow("starts a whole run, and watches it for seconds")
@pytest.mark.usefixtures("here")
def test_in_a_terminal_the_tables_are_drawn_anew_until_ctrl_c(
    graph: Callable[..., Path], plays: Callable[..., None]
) -> None:
    controller, terminal = os.openpty()
    with running(graph()) as process:
        plays(process)
        command = [sys.executable, "-m", "emopipe", "top", str(process.pid)]
        with subprocess.Popen(
            command, stdout=terminal, stderr=subprocess.PIPE, text=True, env=os.environ | {"TERM": "xterm"}
        ) as watching:
            os.close(terminal)
            seen = ""
            while seen.count("count.numbers>double.numbers") < 3:
                seen += os.read(controller, 65536).decode()
            watching.send_signal(signal.SIGINT)
            with contextlib.suppress(OSError):  # the other side has closed it
                while rest := os.read(controller, 65536).decode():
                    seen += rest
            _, errors = watching.communicate(timeout=30)
    os.close(controller)
    assert (watching.returncode, errors.strip()) == (0, "")
    assert seen.index("\x1b[?1049h") < seen.index("toy, live, playing") < seen.rindex("\x1b[?1049l")


@pytest.mark.slow("starts a whole run")
@pytest.mark.usefixtures("here")
def test_another_machine_watches_with_its_key_and_nobody_without(
    graph: Callable[..., Path],
    plays: Callable[..., None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, friend, stranger = (write_pair(tmp_path / "keys", name) for name in ("run", "friend", "stranger"))
    address = free_endpoint().replace("http://", "tcp://")
    with running(graph(status=address, secret_key=str(run.secret_file), allow=[friend.public])) as process:
        plays(process)
        watch = ["top", address, "--once", "--json", "--server-key", str(run.public_file), "--secret-key"]
        assert main([*watch, str(friend.secret_file)]) == 0, capsys.readouterr()
        assert json.loads(capsys.readouterr().out)["pid"] == process.pid
        monkeypatch.setattr("emopipe.commands.playing.top.TIMEOUT_S", 2.0)
        assert main([*watch, str(stranger.secret_file)]) == 2
        assert "is yours on its allow-list?" in capsys.readouterr().err


@pytest.mark.slow("starts a whole run")
def test_prometheus_reads_what_the_run_has_counted(graph: Callable[..., Path], plays: Callable[..., None]) -> None:
    address = free_endpoint().removeprefix("http://")
    with running(graph(metrics=address)) as process:
        plays(process)
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            text = answer.read().decode()
            assert answer.headers["Content-Type"].startswith("text/plain")
        with pytest.raises(urllib.error.HTTPError, match="403"):  # a foreign name that points here
            urllib.request.urlopen(
                urllib.request.Request(f"http://{address}/metrics", headers={"Host": "evil.example"})
            )
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    found = {
        s.name: s.value for f in text_string_to_metric_families(text) for s in f.samples if "write" in str(s.labels)
    }
    assert found["emopipe_link_messages_sent_total"] > 0
    assert process.returncode == 0


@pytest.mark.slow("starts two whole runs")
def test_an_address_in_use_is_said_before_anything_starts(graph: Callable[..., Path], tmp_path: Path) -> None:
    address = free_endpoint().removeprefix("http://")
    path = graph(metrics=address)
    with running(path) as first:
        wait_for((tmp_path / "out.txt").exists, first, "it does not start")
        with running(path) as second:
            _, errors = second.communicate(timeout=60)
    assert second.returncode == 2
    start = f"emopipe: {path}: pipeline.metrics: endpoint: {address} is in use; stop the program"
    assert errors.startswith(start)
    assert errors.count("\n") == 1
