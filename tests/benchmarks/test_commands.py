"""A command that a benchmark runs: whatever it says, its end is seen, and each way of failing is one sentence."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import commands
from benchmarks.commands import Command
from emopipe.pipeline.errors import EmopipeError

MORE_THAN_A_PIPE_HOLDS = 1_000_000


def command(folder: Path, script: str) -> Command:
    """A script in the place of `emopipe`, which is looked for in the current folder first."""
    (folder / "emopipe.py").write_text(script)
    return Command("run", folder=folder, failure="clip.mp4: no result came of it")


def until_ended(running: Command) -> None:
    while not running.ended():
        pass


@pytest.mark.parametrize("wait", [Command.wait, until_ended])
def test_much_that_is_said_does_not_stop_it_and_its_last_line_is_its_complaint(
    wait: Callable[[Command], None], tmp_path: Path
) -> None:
    said = f'sys.stderr.write("much\\n" * {MORE_THAN_A_PIPE_HOLDS // 5} + "emopipe: nothing to play\\n")'
    with command(tmp_path, f"import sys\n{said}\nsys.exit(2)") as running:
        with pytest.raises(EmopipeError, match=re.escape("clip.mp4: no result came of it: nothing to play")):
            wait(running)


def test_an_end_without_a_word_is_said_by_its_code(tmp_path: Path) -> None:
    with command(tmp_path, "raise SystemExit(3)") as running:
        with pytest.raises(EmopipeError, match="no result came of it: it ended with 3"):
            running.wait()


def test_what_does_not_end_is_said_and_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "RUN_TIMEOUT_S", 0.1)
    with command(tmp_path, "import time\ntime.sleep(1000)") as running:
        with pytest.raises(EmopipeError, match=r"no result came of it: it still runs after 0\.1 s; "):
            running.wait()
        with pytest.raises(EmopipeError, match="still runs"):
            running.ended()
    assert not Path(f"/proc/{running.pid}").exists()


def test_what_has_come_to_its_end_is_no_error(tmp_path: Path) -> None:
    with command(tmp_path, "") as running:
        running.wait()
        assert running.ended()
