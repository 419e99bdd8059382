"""The formats of the lab from the command line: real recordings, all formats at once, each opened by its own reader."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from praatio import textgrid
from pympi import Elan

import emopipe
from tests.support.eaf import violations
from tests.support.paths import ROOT
from tests.support.processes import popen, wait_until_gone, workers_of

pytestmark = pytest.mark.slow("replays real recordings with all models")

OUTPUTS = ("results.jsonl", "results.parquet", "{stream}.eaf", "{stream}.TextGrid", "{stream}.srt", "{stream}.vtt")


@pytest.fixture(scope="module")
def clips(shared_media: Path) -> list[Path]:
    """Three seconds each of one person who speaks."""
    folder = shared_media / "ravdess" / "Actor_01"
    return sorted(folder.glob("01-01-*.mp4"))


def command(clips: list[Path], folder: Path, *more: str) -> list[str]:
    outs = [part for name in OUTPUTS for part in ("--out", str(folder / name))]
    # At their own pace, so that there is time enough to strike after the first.
    return [sys.executable, "-m", "emopipe", "replay", "--realtime", *map(str, clips), *outs, *more]


def lines(folder: Path, stream: str) -> list[dict[str, Any]]:
    found = map(json.loads, (folder / "results.jsonl").read_text().splitlines())
    return [line for line in found if line["stream"] == stream]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith(".manifest.json")}


@pytest.fixture(scope="module")
def folder(clips: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    subprocess.run(command(clips, folder), cwd=ROOT, check=True, capture_output=True, timeout=240)
    return folder


def test_every_format_has_the_times_of_the_jsonl(clips: list[Path], folder: Path) -> None:
    assert len(clips) == 3
    rows = pq.read_table(folder / "results.parquet").to_pylist()
    for clip in clips:
        stream = clip.stem
        results = lines(folder, stream)
        times = {line["pts"] for line in results} | {line["pts"] + line["duration"] for line in results}
        of_stream = [row for row in rows if row["stream"] == stream]
        assert [row["pts_ns"] for row in of_stream] == [line["pts"] for line in results for _ in line["faces"] or [0]]
        grid = textgrid.openTextgrid(str(folder / f"{stream}.TextGrid"), False, reportingMode="error")
        document = Elan.Eaf(str(folder / f"{stream}.eaf"))
        assert violations(folder / f"{stream}.eaf") == []
        assert document.get_linked_files()[0]["MEDIA_URL"] == clip.resolve().as_uri()
        assert set(grid.tierNames) == set(document.get_tier_names()) >= {"face 0 fused", "face 0", "voice"}
        for name in ("face 0 fused", "face 0"):
            entries = grid.getTier(name).entries
            in_ns = [(round(start * 1e9), round(end * 1e9), label) for start, end, label in entries]
            assert entries
            assert {time for *span, _ in in_ns for time in span} <= times
            in_ms = [((start + 500_000) // 10**6, (end + 500_000) // 10**6, label) for start, end, label in in_ns]
            assert sorted(document.get_annotation_data_for_tier(name)) == in_ms
        said = {face["emotion"] + "?" * face["uncertain"] for line in results for face in line["faces"]}
        assert {entry.label for entry in grid.getTier("face 0 fused").entries} == said


def test_each_file_has_a_manifest_and_parquet_holds_it_too(folder: Path) -> None:
    manifest = json.loads((folder / "results.parquet.manifest.json").read_text())
    said = json.loads(pq.read_schema(folder / "results.parquet").metadata[b"emopipe.run"])
    assert said == manifest["run"]
    assert manifest["complete"]
    assert len(manifest["run"]["recordings"]) == 3
    assert all(file["sha256"] for file in manifest["run"]["weights"] + manifest["run"]["recordings"])


def test_corrections_are_read_back(clips: list[Path], folder: Path, tmp_path: Path) -> None:
    """An annotator calls all of the second recording surprised."""
    stream = clips[1].stem
    document = Elan.Eaf(str(folder / f"{stream}.eaf"))
    spans = document.get_annotation_data_for_tier("face 0 fused")
    document.remove_all_annotations_from_tier("face 0 fused")
    document.add_annotation("face 0 fused", min(spans)[0], max(span[1] for span in spans), "surprise")
    corrected, figures = tmp_path / f"{stream}.eaf", tmp_path / "figures.json"
    document.to_file(str(corrected))
    assert violations(corrected) == []
    compare = [
        "compare",
        str(folder / "results.jsonl"),
        str(corrected),
        "--tier",
        "face 0 fused",
        "--json",
        str(figures),
    ]
    subprocess.run([sys.executable, "-m", "emopipe", *compare], cwd=ROOT, check=True, capture_output=True, timeout=60)
    (made,) = json.loads(figures.read_text())["tiers"]
    said = [(face["emotion"], line["duration"]) for line in lines(folder, stream) for face in line["faces"]]
    surprised = sum(duration for emotion, duration in said if emotion == "surprise") / sum(ns for _, ns in said)
    assert made["agreement"] == pytest.approx(surprised, abs=2e-3)
    frame = emopipe.read(folder / "results.parquet")
    in_frame = frame[(frame.stream == stream) & frame.face.notna()].emotion.eq("surprise").mean()
    assert in_frame == pytest.approx(surprised, abs=2e-2)


def test_a_run_that_was_killed_goes_on_to_the_same_bytes(clips: list[Path], folder: Path) -> None:
    undisturbed = files(folder)
    for path in folder.iterdir():
        path.unlink()
    first = folder / f"{clips[0].stem}.eaf"
    with popen(command(clips, folder), cwd=ROOT) as process:
        deadline = time.monotonic() + 120
        while not first.exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        workers = workers_of(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
    assert wait_until_gone(workers, 5.0) == []
    assert not (folder / "results.parquet").exists()
    again = subprocess.run(
        command(clips, folder, "--resume"), cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
    )
    assert again.returncode == 0, again.stderr
    assert files(folder) == undisturbed
