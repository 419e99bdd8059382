"""An archive of recordings whose names say what happens in them, for tests of the command."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from emopipe.__main__ import main
from tests.support import archive_stages
from tests.support.media import every, make

GRAPH = """
[pipeline]
name = "scripted"
mode = "replay"
[stages.capture]
use = "file-capture"
uri = "none.mp4"
[stages.scripted]
use = "{module}:Scripted"
folder = "{folder}"
inputs.video = "capture.video"
[stages.console]
use = "console"
inputs.emotions = "scripted.emotions"
"""


class Archive:
    """A folder of recordings, a graph that plays them (`archive_stages.Scripted`), and the command.

    Attributes:
        recordings: their folder.
        out: that of the archive.
        marks: that in which the stage takes down what has happened.
        graph: its file.
    """

    def __init__(self, folder: Path) -> None:
        self.recordings, self.out, self.marks = folder / "in", folder / "out", folder / "marks"
        for each in (self.recordings, self.marks):
            each.mkdir()
        module = re.sub(r"\W", "_", f"scripted_{folder.name}")  # of its own: this process imports each once
        shutil.copy(archive_stages.__file__, folder / f"{module}.py")
        self.graph = folder / "graph.toml"
        self.graph.write_text(GRAPH.format(module=module, folder=self.marks))

    def record(self, *names: str, pictures: int = 3) -> None:
        for name in names:
            path = self.recordings / name
            path.parent.mkdir(parents=True, exist_ok=True)
            make(path, pictures=every(25, pictures / 25))

    def arguments(self, *more: object) -> list[str]:
        given = ["archive", self.recordings, "--out", self.out, "--graph", self.graph, *more]
        return list(map(str, given))

    def run(self, *more: object) -> int:
        return main(self.arguments(*more))

    def manifest(self) -> dict[str, dict[str, Any]]:
        lines = map(json.loads, (self.out / "manifest.jsonl").read_text().splitlines())
        return {line["recording"]: line for line in lines}

    def journal(self) -> list[tuple[str, dict[str, Any]]]:
        """The recordings that are over and what became of them, in that order, also while the command runs."""
        path = self.out / ".archive/journal"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        return [tuple(json.loads(line)) for line in lines if line.endswith("\n")]

    def contents(self) -> dict[str, bytes]:
        """All that is not about how it came to be."""
        return {
            str(path.relative_to(self.out)): path.read_bytes()
            for path in self.out.rglob("*")
            if path.is_file() and ".archive" not in path.parts
        }
