"""`emopipe check`: one line for a good graph, all problems and exit code 2 for another."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.graphs import GOOD
from tests.support.media import every, make
from tests.support.paths import ROOT
from tests.support.verbs import verb

HEAVY = ("torch", "torchaudio", "torchvision", "mediapipe", "cv2", "skimage", "lightning", "sklearn", "scipy")


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The good graph, as the default one of the current folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "pipeline.toml"
    path.write_text(GOOD)
    return path


def test_a_good_graph_is_counted(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verb("check") == 0
    assert capsys.readouterr().out == "pipeline.toml: ok: 5 stages, 5 links, 4 processes\n"


def test_another_graph_is_named_on_the_command_line(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph.rename("street.toml")
    assert verb("check", "street.toml", "--set", "stages.fusion.process=fusion") == 0
    assert capsys.readouterr().out == "street.toml: ok: 5 stages, 5 links, 5 processes\n"


def test_the_processes_that_were_chosen_are_named(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verb("check", "--set", "pipeline.layout=auto") == 0
    first, second, *processes = capsys.readouterr().out.splitlines()
    assert first.startswith("pipeline.toml: ok: 5 stages, 5 links, ")
    assert second.startswith("layout for ")
    assert all(" % of the work" in line for line in processes)


def test_all_problems_are_printed_line_by_line(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = verb("check", "--set", "stages.faces.min_confidence=1.5", "--set", "stages.capture.fps=fast")
    assert code == 2
    assert capsys.readouterr().out.splitlines() == [
        'pipeline.toml: stages.capture.fps: expected a number of hertz, got "fast"',
        "pipeline.toml: stages.faces.min_confidence: 1.5 is not between 0 and 1",
    ]


OWN = """
[stages.capture]
use = "test-pattern"
[stages.own]
use = "own_module:Own"
inputs.video = "capture.{output}"
[stages.out]
use = "console"
inputs.emotions = "own.emotions"
"""


def test_without_imports_no_code_beside_the_graph_runs(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("own_module.py").write_text("open('ran', 'w').close()\n")
    graph.write_text(OWN.format(output="video"))
    assert verb("check", "--no-import") == 0
    assert capsys.readouterr().out == 'pipeline.toml: ok; not looked into: own ("own_module:Own")\n'
    graph.write_text(OWN.format(output="vidoe"))
    assert verb("check", "--no-import") == 2
    assert 'has no output "vidoe"; did you mean "video"?' in capsys.readouterr().out
    assert not Path("ran").exists()
    assert verb("check") == 2
    assert 'module "own_module" has no class "Own"' in capsys.readouterr().out
    assert Path("ran").exists()


def test_a_missing_graph_is_a_problem_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verb("check", str(tmp_path / "none.toml")) == 2
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'none.toml'}: no such file, and no graph of emopipe's; ")


@pytest.mark.slow("whole processes")
def test_checking_inspecting_and_drawing_load_nothing_heavy() -> None:
    """Importing torch takes seconds: only processes that infer may do it."""
    program = f"""
import sys
from tests.support.verbs import verb
codes = [
    verb("check", "pipeline.toml"), verb("inspect"), verb("inspect", "--markdown"), verb("inspect", "face-detection"),
    verb("graph", "pipeline.toml", "--format", "svg"), verb("check", "--set", "stages.capture.use=file-capture"),
]
print(codes, [name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[0, 0, 0, 0, 0, 2] []"


def test_the_default_graph_is_right(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    assert verb("check") == 0
    assert capsys.readouterr().out == "pipeline.toml: ok: 7 stages, 7 links, 7 processes\n"


def test_the_default_graph_takes_a_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    make(tmp_path / "clip.mp4", pictures=every(10, 0.5))
    use = ("--set", "stages.capture.use=file-capture", "--set")
    assert verb("check", *use, f"stages.capture.uri={tmp_path / 'clip.mp4'}") == 0
    capsys.readouterr()
    assert verb("check", *use, "stages.capture.uri=no-such-clip.mp4") == 2
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("pipeline.toml: stages.capture.uri: ")
    assert "no-such-clip.mp4" in line


def test_a_graph_that_comes_with_emopipe_is_checked_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert verb("check", "webrtc") == 0
    assert capsys.readouterr().out.endswith("configs/webrtc.toml: ok: 8 stages, 8 links, 5 processes\n")
