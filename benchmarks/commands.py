"""`emopipe` in a process of its own, as a user starts it, for what only shows there."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).resolve().parents[1]
END_TIMEOUT_S = 30.0


def environment() -> dict[str, str]:
    """This process's, in which the checkout can be imported from any folder."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}


@contextmanager
def emopipe(
    *arguments: object, folder: Path, more: Mapping[str, str] = MappingProxyType({})
) -> Iterator["subprocess.Popen[str]"]:
    """Start a verb in a folder, with `more` in its environment; SIGTERM ends it, if it has not ended by then."""
    command = [sys.executable, "-m", "emopipe", *map(str, arguments)]
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment() | dict(more),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.communicate(timeout=END_TIMEOUT_S)
                except subprocess.TimeoutExpired:
                    process.kill()


def complaint(process: "subprocess.Popen[str]") -> str:
    """The last line that a process which has failed has said."""
    _, said = process.communicate(timeout=END_TIMEOUT_S)
    return said.strip().rpartition("\n")[2].removeprefix("emopipe: ") or f"it ended with {process.returncode}"
