"""The whole product from its command line: real recordings through real processes, and what a user may do to them.

Recordings are those of ../shared/media where they are at hand; the fixtures say how they are made otherwise.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import pytest

from emopipe.graphs.manifest import SUFFIX, manifest_path
from emopipe.pipeline.telemetry.audit import audit
from tests.support.paths import ROOT
from tests.support.processes import popen, wait_until_gone, workers_of
from tests.support.replaying import replay

pytestmark = pytest.mark.slow("replays real recordings")

GRAPH = ROOT / "pipeline.toml"
SECOND = 1_000_000_000


def emopipe(*arguments: object, **more: Any) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "emopipe", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, cwd=ROOT, **more)


@contextmanager
def playing(clip: Path, out: Path, *overrides: str) -> Iterator["subprocess.Popen[str]"]:
    """A long replay in real time that has begun to give results; killed if the test does not end it."""
    overrides = ("pipeline.layout=stages", "stages.capture.loop=100", *overrides)
    settings = ["--realtime", *(part for each in overrides for part in ("--set", each))]
    command = [sys.executable, "-m", "emopipe", "replay", str(clip), "--out", str(out), *settings]
    with popen(command, cwd=ROOT) as process:
        try:
            deadline = time.monotonic() + 90
            while not (out.exists() and out.stat().st_size):
                assert time.monotonic() < deadline, "no results came"
                time.sleep(0.1)
            yield process
        finally:
            process.kill()


def results(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def decoded(path: Path) -> Counter[str]:
    """Frames and samples that plain PyAV decodes."""
    counts: Counter[str] = Counter()
    with av.open(str(path)) as container:
        streams = [*container.streams.video[:1], *container.streams.audio[:1]]
        for frame in container.decode(streams):
            if isinstance(frame, av.VideoFrame):
                counts["frames"] += 1
            else:
                counts["source-samples"] += frame.samples
    return counts


@pytest.fixture(scope="module")
def clip(shared_media: Path) -> Path:
    """Three seconds of one person who speaks."""
    return shared_media / "ravdess" / "Actor_01" / "01-01-08-01-01-02-01.mp4"


def recordings(media: Path) -> list[Path]:
    return sorted(path for path in media.rglob("*") if path.suffix in (".mp4", ".mov", ".flv"))


def test_every_frame_and_every_moment_of_sound_is_accounted_for(shared_media: Path, tmp_path: Path) -> None:
    files, out = recordings(shared_media), tmp_path / "results.jsonl"
    result = replay(files, out)
    expected: Counter[str] = sum(map(decoded, files), Counter())
    capture, windows = result.reports["capture"].counters, result.reports["windows"].counters
    sink = result.reports["out0"].counters
    # Everything that plain PyAV decodes was captured; every frame came out as a result with or without a face.
    assert {key: capture[key] for key in expected} == expected
    assert sink["frames_with_face"] + sink["frames_without_face"] == expected["frames"]
    by_stream = Counter(r["stream"] for r in results(out) if r["source"] == "face")
    assert by_stream == {file.stem: decoded(file)["frames"] for file in files}
    # Every sample was in a window's hop or in silence; every window of a voice reached the file, as a partner or alone,
    # but for those that ended just before the last frame.
    assert windows["samples"] == capture["samples"]
    seen = {(r["stream"], r["voice"]["start"], r["voice"]["end"]) for r in results(out) if r["voice"]}
    superseded = result.reports["fusion"].counters["windows_superseded"]
    assert len(seen) + superseded == windows["windows"] - result.reports["speech"].counters["unanswered"]
    assert superseded <= len(files)
    # Nothing was dropped anywhere.
    assert audit(result.reports) == []
    assert not any(counts.dropped for report in result.reports.values() for counts in report.links.values())
    assert result.warnings == []


def test_results_are_what_the_recordings_show(shared_media: Path, tmp_path: Path) -> None:
    faces = shared_media / "faces"
    files = [faces / "no_face.mp4", faces / "single_face.mp4", faces / "face_noface.mov"]
    out = tmp_path / "results.jsonl"
    replay(files, out)
    found = results(out)
    shown = {f.stem: [len(r["faces"]) for r in found if r["stream"] == f.stem and r["source"] == "face"] for f in files}
    assert sum(n > 0 for n in shown["no_face"]) < 0.05 * len(shown["no_face"])  # the detector sees one in a hand
    assert sum(n >= 1 for n in shown["single_face"]) > 0.9 * len(shown["single_face"])
    assert {0, 1} <= set(shown["face_noface"])
    for result in found:
        for face in result["faces"]:
            assert abs(sum(face["probabilities"].values()) - 1) < 1e-4
            assert face["confidence"] == max(face["probabilities"].values())
    times = [(r["stream"], r["pts"]) for r in found]
    assert times == sorted(times, key=lambda pair: ([f.stem for f in files].index(pair[0]), pair[1]))


@pytest.mark.parametrize(
    ("name", "arguments", "environment"),
    [
        ("one process", ["--one-process"], {}),
        ("the layout that suits the cores", ["--set", "pipeline.layout=auto"], {}),
        ("batches of one", ["--set", "stages.facial.batch_size=1", "--set", "stages.speech.batch_size=1"], {}),
        ("real time", ["--realtime"], {}),
        ("random stalls", [], {"EMOPIPE_STALL_MS": "25"}),
        ("random stalls in one process", ["--one-process"], {"EMOPIPE_STALL_MS": "10"}),
    ],
)
def test_a_replay_gives_the_same_bytes(
    name: str, arguments: list[str], environment: dict[str, str], clip: Path, reference: list[bytes], tmp_path: Path
) -> None:
    done = emopipe("replay", clip, *outs(tmp_path), *arguments, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    assert [path.read_bytes() for path in written(tmp_path)] == reference, name


@pytest.fixture(scope="module")
def reference(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Film, report and results with a process a stage, in batches of up to 16, as fast as possible."""
    folder = tmp_path_factory.mktemp("reference")
    done = emopipe("replay", clip, *outs(folder), "--set", "pipeline.layout=stages")
    assert done.returncode == 0, done.stderr
    assert "frames: " in done.stderr
    report, lines, film = written(folder)
    assert all(manifest_path(path).exists() for path in (report, lines, film))
    original, drawn = decoded(clip), decoded(film)
    assert drawn["frames"] == original["frames"]
    assert abs(drawn["source-samples"] - original["source-samples"]) <= 1024  # its own sound, but for priming
    assert b'alt="face 0 at ' in report.read_bytes()
    return [path.read_bytes() for path in (report, lines, film)]


def written(folder: Path) -> list[Path]:
    """The results in a folder, without what says of what they are made."""
    return sorted(path for path in folder.iterdir() if not path.name.endswith(SUFFIX))


def outs(folder: Path) -> list[object]:
    """All that a replay can write."""
    return [part for suffix in ("mp4", "html", "jsonl") for part in ("--out", folder / f"out.{suffix}")]


def test_ctrl_c_ends_a_replay_at_once_and_its_results_are_readable(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    with playing(clip, out) as process:
        workers = workers_of(process.pid)
        assert len(workers) == 7
        interrupted = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
        assert wait_until_gone(workers, 2.0 - (time.monotonic() - interrupted)) == []
        assert process.returncode == 130
    assert len(results(out)) > 0


def test_a_killed_stage_that_is_not_restarted_ends_the_run_and_is_named(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    with playing(clip, out, "pipeline.supervision.restart=never") as process:
        workers = workers_of(process.pid)
        # Ours: on a shared machine there may be more processes of that name.
        (victim,) = (pid for pid in workers if b"facial" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"))
        os.kill(victim, signal.SIGKILL)
        _, errors = process.communicate(timeout=10)
        assert process.returncode == 1
        assert "stage facial: the process was killed by SIGKILL" in errors
        assert "Traceback" not in errors
        assert wait_until_gone(workers, 1.0) == []
    assert len(results(out)) > 0
