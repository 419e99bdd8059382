"""emopipe.pipeline: what an author of stages imports, and that importing it costs little."""

import subprocess
import sys

from emopipe import pipeline

HEAVY = ("aiohttp", "av", "cv2", "mediapipe", "torch", "zmq", "emopipe.stages", "emopipe.models")


def test_the_public_names_are_those_of_all_and_no_others() -> None:
    modules = {name for name in vars(pipeline) if f"emopipe.pipeline.{name}" in sys.modules}
    names = {name for name in vars(pipeline) if not name.startswith("_")} - modules
    assert names == set(pipeline.__all__)


def test_importing_it_loads_no_library_that_takes_long() -> None:
    script = "import sys, emopipe.pipeline; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not [name for name in loaded if f"{name}.".startswith(tuple(f"{each}." for each in HEAVY))]
