"""`emopipe bench`: each verb, very short but with all models, says what it promises; bad input is one sentence."""

import argparse
import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from benchmarks import conditions
from benchmarks.procfs import PROC
from benchmarks.verbs import VERBS, batching, startup
from emopipe.__main__ import main
from tests.support.media import every, make

SLOW = pytest.mark.slow("plays graphs with all models")


@pytest.fixture
def clip(shared_media: Path) -> Path:
    """Two seconds of somebody who speaks."""
    return shared_media / "crema-d" / "1001_DFA_HAP_XX.flv"


def bench(tmp_path: Path, verb: str, *arguments: object) -> dict[str, Any]:
    """The figures of one measurement; its picture is one."""
    outputs = ["--json", tmp_path / "out.json", "--svg", tmp_path / "out.svg"]
    assert main(["bench", verb, *map(str, [*arguments, *outputs])]) == 0
    assert ET.parse(tmp_path / "out.svg").getroot().tag.endswith("}svg")
    found: dict[str, Any] = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert found["bench"] == verb
    assert {"machine", "versions", "load", "date", "warnings", "wrong"} <= found.keys()
    return found


def positive(found: dict[str, Any], *names: str) -> bool:
    return all(found[name] > 0 for name in names)


@SLOW
def test_replay(clip: Path, tmp_path: Path) -> None:
    found = bench(tmp_path, "replay", clip, "--seconds", 1, "--rounds", 1)
    assert positive(found, "pipeline_over_limit", "auto_over_limit", "auto_cpu_over_bare", "limit_per_s")
    assert found["same_results"]
    assert len(found["processes"]["pipeline"]) == 7
    assert len(found["processes"]["auto"]) <= 2
    assert found["stage_cpu_ms"].keys() == set(found["processes"]["pipeline"])
    low_and_high = found["spread"]["pipeline_over_limit"]
    assert low_and_high == [found["pipeline_over_limit"]] * 3


@SLOW
def test_latency(clip: Path, tmp_path: Path) -> None:
    found = bench(tmp_path, "latency", clip, "--seconds", 1, "--rounds", 1, "--layout", "auto")
    assert found["p50_over_kernels"] == pytest.approx(found["p50_ms"] / found["kernels_ms"])
    assert found["p99_over_p50"] == pytest.approx(found["p99_ms"] / found["p50_ms"])
    assert found["results"] > 40
    assert {row["stage"] for row in found["hops_ms"]} >= {"faces", "facial", "fusion"}


@SLOW
def test_live(clip: Path, tmp_path: Path) -> None:
    size = ("--size", "480x360")
    found = bench(tmp_path, "live", clip, "--streams", 1, 2, "--seconds", 1, "--rounds", 1, "--layout", "auto", *size)
    assert found["streams"].keys() == {"1", "2"}
    for number, streams in found["streams"].items():
        assert positive(streams, "results_per_s", "p95_ms", "oldest_ms")
        assert streams["dropped"] >= 0
        assert streams["unaccounted"] == 0
        assert streams["streams"] == int(number)
        assert sum(found["process_cpu_ms"][number].values()) > streams["cpu_ms_a_result"]
    assert found["cpu_growth"] > 0
    assert 0 < found["speaking"]["share"] <= 1


@SLOW
def test_startup(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "WARM_UP_ROUNDS", 0)
    found = bench(tmp_path, "startup", clip, "--rounds", 1, "--layout", "auto")
    assert positive(found, "first_result_s", "live_ready_s")


@SLOW
def test_memory(clip: Path, tmp_path: Path) -> None:
    if not (PROC / "self" / "smaps_rollup").exists():
        pytest.skip("this system does not say what processes share")
    found = bench(tmp_path, "memory", clip, "--seconds", 1, "--rounds", 1, "--layout", "auto")
    assert {"emopipe", "capture"} <= found["processes"].keys()
    assert found["pss_mb"] == pytest.approx(sum(each["pss"] for each in found["processes"].values()))
    assert found["rss_mb"] > found["pss_mb"] > 100


@SLOW
@pytest.mark.skipif(sys.platform != "linux", reason="the clocks of threads are Linux's")
def test_flame(clip: Path, tmp_path: Path) -> None:
    found = bench(tmp_path, "flame", clip, "--seconds", 5)
    assert found["stage_cpu_ms"].keys() >= {"capture", "faces", "facial", "fusion"}
    assert found["cpu_ms"] == pytest.approx(sum(found["stage_cpu_ms"].values()))
    for kernel in ("onnxruntime", "MediaPipe"):
        assert any(kernel in row["what"] for row in found["kernels"])
    assert "<title>capture: " in (tmp_path / "out.svg").read_text(encoding="utf-8")


@SLOW
def test_batching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "BATCH_SIZES", (8,))
    short = ("--faces", 128, "--rounds", 1, "--streams", 2, "--seconds", 0.5)
    found = bench(tmp_path, "batching", *short, "--backend", "torch")
    assert found["backend"] == "torch"
    assert found["stage_over_bare_8"] == pytest.approx(found["stage_8_per_s"] / found["bare_8_per_s"])
    assert positive(found, "stage_8_per_s", "live_p95_ms")
    assert found["live_streams"] == 2


@pytest.mark.slow("five ways, each of processes of its own")
def test_transport(tmp_path: Path) -> None:
    found = bench(tmp_path, "transport", "--blocks", 20)
    ways = {
        way: [row for row in found["hops"] if row["way"] == way]
        for way in ("in-process", "shared memory", "ipc", "tcp")
    }
    for rows in ways.values():
        assert [row["size"] for row in rows] == ["1 KB", "crop", "VGA", "720p", "1080p"]
        assert all(positive(row, "p50_ms", "per_s") for row in rows)
    assert {row["way"] for row in found["hops"]} == {*ways, "pyzmq ipc", "pyzmq tcp"}


@pytest.fixture
def silent_film(tmp_path: Path) -> Path:
    return make(tmp_path / "nobody.mp4", pictures=every(25, 1.5))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["replay", "gone.mp4"], "emopipe: gone.mp4: no such file; expected a recording of somebody who speaks"),
        (["latency", "text.mp4"], "emopipe: text.mp4: cannot be read as a recording"),
        (["memory", "short.mp4"], "emopipe: short.mp4: it lasts 0.20 s by its header; expected 1 s or more"),
        (["peers", "short.mp4"], "emopipe: bench peers needs --python, the Python of an environment"),
        (["peers", "nobody.mp4", "--python", "./gone"], "emopipe: --python ./gone: cannot be run (No such file"),
        (["peers", "nobody.mp4", "--python", sys.executable], f"emopipe: --python {sys.executable}: fer does not run"),
        (["replay", "nobody.mp4", "--svg", "./nobody.mp4"], "emopipe: --svg nobody.mp4: would overwrite nobody.mp4"),
        (["startup", "nobody.mp4", "--json", "."], "emopipe: --json .: a folder; give the name of a file"),
    ],
)
def test_what_cannot_be_measured_is_said_in_a_sentence(
    arguments: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    silent_film: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(conditions, "LOOK_S", 0.01)
    Path("text.mp4").write_text("no recording")
    make(Path("short.mp4"), pictures=every(25, 0.2))
    assert main(["bench", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith(expected)
    assert said.count("\n") == 1


@pytest.mark.slow("loads all models")
def test_a_recording_of_nobody_is_no_measure(silent_film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "replay", str(silent_film)]) == 2
    assert "no face is found in it" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["live", "x.mp4", "--streams", "0"],
        ["replay", "x.mp4", "--rounds", "0"],
        ["replay", "x.mp4", "--seconds", "nan"],
    ],
)
def test_numbers_that_measure_nothing_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["bench", *arguments])
    assert left.value.code == 2
    assert f"argument {arguments[2]}: expected a number " in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], *([verb] for verb in VERBS)])
def test_help_says_what_is_measured(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["bench", *arguments, "--help"])
    assert left.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    assert told.startswith(" ".join(["usage: emopipe bench", *arguments]))
    assert all(verb in told for verb in VERBS) or arguments


def test_an_installed_emopipe_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import emopipe

    monkeypatch.setattr(emopipe, "__file__", str(tmp_path / "emopipe" / "__init__.py"))
    assert main(["bench", "replay", "clip.mp4"]) == 2
    assert "bench needs a checkout of emopipe's sources" in capsys.readouterr().err


def test_a_busy_machine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = conditions.Conditions()
    assert busy.warnings == [], "where nobody knows, nobody is blamed"
    busy.before, busy.others = 0.5, 0.02
    assert busy.warnings == ["50 % of all cores were busy before: repeat it on a quiet machine"]
    busy.before, busy.others = 0.01, 0.3
    assert busy.warnings == ["others used 30 % of all cores meanwhile: repeat it on a quiet machine"]


def test_what_others_used_is_what_we_did_not(monkeypatch: pytest.MonkeyPatch) -> None:
    used, own, now = iter([0.0, 0.1, 0.2, 8.2]), iter([0.0, 6.0]), iter([0.0, 4.0])
    monkeypatch.setattr(conditions, "_used", lambda: next(used))
    monkeypatch.setattr(conditions, "_own", lambda: next(own))
    monkeypatch.setattr(conditions.time, "monotonic", lambda: next(now))
    monkeypatch.setattr(conditions.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(conditions.os, "cpu_count", lambda: 2)
    with conditions.Conditions() as measured:
        pass
    assert measured.before == pytest.approx(0.1)
    assert measured.others == pytest.approx((8.0 - 6.0) / 4.0 / 2)


def test_arguments_are_parsed_by_the_verb_itself() -> None:
    from benchmarks.verbs import live

    parser = argparse.ArgumentParser()
    live.add_arguments(parser)
    given = parser.parse_args(["clip.mp4", "--streams", "4", "8", "--set", "stages.facial.batch_size=4"])
    assert (given.streams, given.overrides, given.layout) == ([4, 8], ["stages.facial.batch_size=4"], None)
