"""One predictor in several threads, after a fork, and at the end of a program."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from emopipe import EmotionPredictor
from emopipe.predictor.options import torch_threads
from tests.support.voices import RATE, silence, voice

pytestmark = pytest.mark.slow("starts programs that load every model")

Image = NDArray[np.uint8]


@pytest.fixture(scope="module")
def shared_predictor() -> Iterator[EmotionPredictor]:
    with EmotionPredictor(device="cpu") as predictor:
        yield predictor


@pytest.fixture(scope="module")
def program(portrait: Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The beginning of a program: a predictor that has seen a face and heard a voice, and what it said of them."""
    folder = tmp_path_factory.mktemp("program")
    np.save(folder / "face.npy", portrait)
    np.save(folder / "voice.npy", np.concatenate([silence(0.3), voice(1.4), silence(0.6)]))
    (folder / "begin.py").write_text(
        "import numpy as np\n"
        "from emopipe import EmotionPredictor\n"
        "image, sound = np.load('face.npy'), np.load('voice.npy')\n"
        "predictor = EmotionPredictor(device='cpu', threads=2)\n"
        f"first = predictor.predict(image, sound, {RATE})\n"
        "assert first.faces and first.voice\n"
    )
    return folder


def run(folder: Path, text: str) -> "subprocess.CompletedProcess[str]":
    (folder / "program.py").write_text(f"from begin import *\n{text}")
    command = [sys.executable, "program.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def test_threads_get_what_one_alone_gets(shared_predictor: EmotionPredictor, portrait: Image) -> None:
    pictures = [portrait, np.ascontiguousarray(portrait[:, ::-1]), np.roll(portrait, 60, 1), np.zeros_like(portrait)]
    sounds = [np.concatenate([silence(0.3), voice(1.0, pitch), silence(0.6)]) for pitch in (110.0, 150.0, 190.0, 230.0)]
    alone = [shared_predictor.predict(*pair, RATE) for pair in zip(pictures, sounds, strict=True)]
    assert [len(each.faces or []) for each in alone] == [1, 1, 1, 0]
    with ThreadPoolExecutor(6) as threads:
        together = list(
            threads.map(lambda n: shared_predictor.predict(pictures[n % 4], sounds[n % 4], RATE), range(40))
        )
    assert together == alone * 10


def test_the_first_call_may_come_from_several_threads(portrait: Image) -> None:
    with EmotionPredictor(device="cpu") as fresh, ThreadPoolExecutor(4) as threads:
        first, *others = threads.map(fresh.predict_image, [portrait] * 4)
    assert first
    assert others == [first] * 3


def test_the_callers_number_of_threads_stays_as_it_was() -> None:
    before = torch.get_num_threads()

    def infer(count: int) -> int:
        with torch_threads(count):
            return torch.get_num_threads()

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(infer, [1, 3] * 40)) == [1, 3] * 40
    assert torch.get_num_threads() == before


def test_a_program_ends_without_a_word_of_the_detectors(program: Path) -> None:
    done = run(program, "print(len(first.faces))")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


def test_a_program_that_has_loaded_mediapipe_first_ends_so_too(program: Path) -> None:
    (program / "begin_with_mediapipe.py").write_text("import mediapipe\n" + (program / "begin.py").read_text())
    done = run(program, "from begin_with_mediapipe import *\nprint(len(first.faces))")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


def test_parent_and_child_of_a_fork_go_on_with_theirs(program: Path) -> None:
    text = f"""
import os
child = os.fork()
again = predictor.predict(image, sound, {RATE})
assert [(face.box, face.emotion) for face in again.faces] == [(face.box, face.emotion) for face in first.faces]
assert again.voice.emotion == first.voice.emotion
if not child:
    os._exit(0)
print(os.waitpid(child, 0)[1])
"""
    done = run(program, text)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


def test_a_fork_while_another_thread_infers_leaves_no_lock_behind(program: Path) -> None:
    text = """
import os, threading
busy = threading.Event()
def pictures():
    while not busy.is_set():
        yield image
worker = threading.Thread(target=predictor.predict_images, args=[pictures()], daemon=True)
worker.start()
child = os.fork()
if child == 0:
    os._exit(0 if len(predictor.predict_image(image)) == 1 else 1)
print(os.waitpid(child, 0)[1])
busy.set()
worker.join()
"""
    done = run(program, text)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")
