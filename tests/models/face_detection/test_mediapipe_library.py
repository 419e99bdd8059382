"""MediaPipe on a machine that lacks what it is linked against: one sentence that names the remedy."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from mediapipe.tasks.python import vision

from emopipe.models.face_detection.detection import FaceDetector
from emopipe.models.geometry.landmarker import FaceLandmarker
from emopipe.pipeline.errors import ModelError


@pytest.mark.parametrize(
    ("make", "network"), [(FaceDetector, vision.FaceDetector), (FaceLandmarker, vision.FaceLandmarker)]
)
def test_a_library_that_is_found_missing_when_a_network_is_made(
    make: Callable[[], Any], network: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def create(options: object) -> None:
        raise OSError("libEGL.so.1: cannot open shared object file")

    monkeypatch.setattr(network, "create_from_options", create)
    with pytest.raises(
        ModelError, match=r"cannot be loaded: libEGL.so.1: .*; on Debian and Ubuntu: apt install .*libegl1"
    ):
        make()


def test_what_draws_is_loaded_once_somebody_draws() -> None:
    script = """
import inspect, sys
from emopipe.models.face_detection.detection import FaceDetector
FaceDetector().close()
import torch
inspect.stack()  # asks all modules for their files
assert "mediapipe" in sys.modules
assert "matplotlib" not in sys.modules
from mediapipe.tasks.python import vision
assert not hasattr(vision.drawing_utils, "__path__")
assert "matplotlib" not in sys.modules
vision.drawing_styles.get_default_face_mesh_tesselation_style()
assert "matplotlib" in sys.modules
assert not hasattr(vision.drawing_utils, "nothing_of_that_name")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
