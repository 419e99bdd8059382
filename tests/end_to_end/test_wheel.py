"""The built wheel in an environment of its own, used from a folder with modules of the user's own by our rooms' names.

emopipe comes from the wheel alone; what it needs is taken from the environment of these tests, to save 5 GB. There is
no repository and no uv in sight, and, where the test may arrange it, no network.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.media import every, make
from tests.support.paths import ROOT
from tests.support.voices import silence, voice

pytestmark = [pytest.mark.slow("builds a wheel, and runs it in processes"), pytest.mark.timeout(600)]

# `make setup` puts a uv beside the environment when the machine has none.
UV = shutil.which("uv", path=f"{os.environ['PATH']}{os.pathsep}{Path(sys.prefix).parent / '.uv' / 'bin'}") or "uv"
OFFLINE = ["unshare", "--net"]
if os.geteuid() != 0 or subprocess.run([*OFFLINE, "true"], capture_output=True, check=False).returncode != 0:
    OFFLINE = []  # root of a container may not either

USERS = "raise RuntimeError('a module of the user was imported for one of ours')"
STAGE = '''
from typing import ClassVar

from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Port
from emopipe.pipeline.stage import Stage
from emopipe.stages.types import VideoFrame


class Counter(Stage):
    """Counts frames."""

    name = "counter"
    inputs: ClassVar[dict[str, Port]] = {"video": Port(VideoFrame, "frames")}

    async def process(self, port: str, message: Message) -> None:
        print("frame", message.pts, flush=True)
'''
GRAPH = """
[pipeline]
mode = "replay"
[stages.capture]
use = "file-capture"
uri = "clip.mp4"
[stages.counter]
use = "stages:Counter"
inputs.video = "capture.video"
"""
SCRIPT = """
from emopipe import EmotionPredictor

with EmotionPredictor(device="cpu") as predictor:
    prediction = predictor.predict_from_file(image_path="face.png", audio_path="clip.mp4")
print(len(prediction.faces), prediction.voice is not None, len(prediction.fused))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # As the README has it, by way of a source distribution.
    subprocess.run([UV, "build", "--quiet", "--out-dir", str(folder), str(ROOT)], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel, and behind it all that is installed here but emopipe."""
    folder = tmp_path_factory.mktemp("environment")
    python = folder / "bin" / "python"
    subprocess.run([UV, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(folder)], check=True)
    subprocess.run([UV, "pip", "install", "--quiet", "--no-deps", "--python", str(python), str(wheel)], check=True)
    (own,) = (folder / "lib").glob("python*/site-packages")
    # A line in a .pth file is a folder to look in; the .pth files in it, as that of an editable emopipe, are not read.
    (own / "behind.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's folder: a recording, a picture, a stage, and modules that happen to be called as our rooms are."""
    folder = tmp_path_factory.mktemp("user")
    face: NDArray[np.uint8] = pytest.importorskip("skimage.data").astronaut()[:320, :480]
    sound = np.concatenate([silence(0.3), voice(1.4), silence(0.6)]).astype(np.float64)
    make(folder / "clip.mp4", pictures=every(8, 2.2), draw=lambda _: face, sound=sound)
    make(folder / "face.png", pictures=[0.0], draw=lambda _: face, video="png", pix_fmt="rgb24")
    for name in ("models", "training", "pipeline", "configs"):
        (folder / f"{name}.py").write_text(USERS)
    (folder / "stages.py").write_text(STAGE)
    (folder / "script.py").write_text(SCRIPT)
    (folder / "mine.toml").write_text(GRAPH)
    return folder


@pytest.fixture(scope="module")
def run(environment: Path, users: Path) -> "Run":
    return Run(environment, users)


class Run:
    """Runs programs of the environment in the user's folder."""

    def __init__(self, environment: Path, folder: Path) -> None:
        self._bin = environment / "bin"
        self._folder = folder

    def __call__(self, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        plain = {"PATH": f"{self._bin}:/usr/bin:/bin", "HOME": str(self._folder), "COLUMNS": "120"}
        command = [*OFFLINE, str(self._bin / program), *arguments]
        return subprocess.run(command, cwd=self._folder, env=plain, capture_output=True, text=True, check=False)


def test_the_wheel_holds_all_that_is_needed_and_one_name(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {"emopipe", wheel.name.partition("-py3")[0] + ".dist-info"}
    needed = (
        "pipeline.toml",
        "configs/webcam.toml",
        "models/weights/facial.safetensors",
        "models/weights/speech.safetensors",
        "models/weights/fusion.safetensors",
        "models/third_party/face_detection_short_range.tflite",
        "models/third_party/face_landmarker.task",
        "models/third_party/LICENSE.mediapipe",
        "stages/web/assets/index.html",
    )
    assert {f"emopipe/{name}" for name in needed} <= set(names)
    assert not [name for name in names if name.startswith(("emopipe/tests", "emopipe/benchmarks"))]


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--version"], "emopipe "),
        (["run", "webcam", "--help"], "usage: emopipe run"),
        (["check", "webcam"], ": ok: "),
        (["check", "webrtc"], ": ok: "),
        (["check", "configs/many-files.toml"], ": ok: "),
        (["inspect"], "face-detection"),
    ],
)
def test_graphs_are_found_by_name_from_any_folder(run: Run, arguments: list[str], shown: str) -> None:
    done = run("emopipe", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert shown in done.stdout


def test_a_recording_is_replayed(run: Run) -> None:
    done = run("emopipe", "replay", "clip.mp4")
    assert done.returncode == 0, done.stderr
    assert "clip" in done.stdout
    assert "face" in done.stdout
    assert "18 frames: 18 with a face, 0 without" in done.stderr


def test_the_predictor_is_imported_beside_modules_of_the_users_own(run: Run, environment: Path) -> None:
    done = run("python", "script.py")
    assert (done.returncode, done.stdout) == (0, "1 True 1\n"), done.stderr
    place = run("python", "-c", "import emopipe; print(emopipe.__file__)").stdout
    assert Path(place).is_relative_to(environment)


@pytest.mark.parametrize("verb", ["check", "run"])
def test_a_stage_of_the_users_own_is_found_by_its_modules_name(run: Run, verb: str) -> None:
    done = run("emopipe", verb, "mine.toml")
    assert done.returncode == 0, done.stderr + done.stdout
    assert verb == "check" or done.stdout.count("frame ") == 18


def test_a_stage_of_the_users_own_is_found_where_the_graph_is_one_of_ours(run: Run) -> None:
    arguments = ["--set", "stages.capture.use=file-capture", "--set", "stages.capture.uri=clip.mp4"]
    counter = ["stages.console.use=stages:Counter", 'stages.console.inputs={"video" = "capture.video"}']
    done = run("emopipe", "run", *arguments, *(word for setting in counter for word in ("--set", setting)))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("frame ") == 18


@pytest.fixture
def without(environment: Path, tmp_path: Path) -> Iterator["Without"]:
    taken = Without(environment, tmp_path)
    yield taken
    taken.put_back()


class Without:
    """Takes files of the installed package away for a time."""

    def __init__(self, environment: Path, aside: Path) -> None:
        (self._package,) = environment.glob("lib/python*/site-packages/emopipe")
        self._aside = aside
        self._moved: list[tuple[Path, Path]] = []

    def __call__(self, name: str) -> None:
        place = self._package / name
        self._moved.append((place, self._aside / place.name))
        shutil.move(*self._moved[-1])

    def put_back(self) -> None:
        for place, aside in self._moved:
            shutil.move(aside, place)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("models/third_party/face_detection_short_range.tflite", ["replay", "clip.mp4"], "install emopipe again"),
        ("models/weights/facial.safetensors", ["replay", "clip.mp4"], "restore it"),
        ("pipeline.toml", ["run"], "install emopipe again"),
        ("configs", ["run", "webcam"], "install emopipe again"),
        ("stages/web/assets/index.html", ["check", "page"], "install emopipe again"),
    ],
)
def test_a_package_without_its_data_says_so_once(
    run: Run, without: Without, name: str, arguments: list[str], message: str
) -> None:
    without(name)
    done = run("emopipe", *arguments)
    assert done.returncode == 2
    said = done.stderr + done.stdout
    assert said.count(message) == 1, said
    assert "Traceback" not in said
