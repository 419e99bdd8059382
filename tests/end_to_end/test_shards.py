"""Recordings with real models in several shards: every file has the bytes that it has in one."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = [pytest.mark.slow("real models, three times"), pytest.mark.timeout(300)]

OUTPUTS = ("results.jsonl", "results.csv", "{stream}.srt")


def replayed(folder: Path, recordings: list[Path], shards: int) -> dict[str, bytes]:
    """The files of a replay, by name."""
    folder.mkdir()
    command = [sys.executable, "-m", "emopipe", "replay", *map(str, recordings), "--set", f"pipeline.shards={shards}"]
    for output in OUTPUTS:
        command += ["--out", str(folder / output)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith(".manifest.json")}


def test_every_file_has_the_bytes_that_it_has_in_one_shard(shared_media: Path, tmp_path: Path) -> None:
    recordings = sorted((shared_media / "crema-d").glob("*.flv"))
    found = {shards: replayed(tmp_path / str(shards), recordings, shards) for shards in (1, 2, 4)}
    assert len(found[1]) == 2 + len(recordings)
    assert found[1]["results.jsonl"].count(b"\n") > 100
    assert found[2] == found[1]
    assert found[4] == found[1]
