"""The flame graph: time is counted where it is used, and shown by the names that one knows."""

import json
import sys
import threading
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks.flame.drawing import flame_graph
from benchmarks.flame.sampler import IMPORTS, Sampler
from benchmarks.flame.tree import is_start, kernels, path, read

LOOP = "emopipe.pipeline.runtime.host:StageHost._handle"
DETECT = "emopipe.models.face_detection.detection:FaceDetector.detect"


def compute(milliseconds: int) -> None:
    """Use so much CPU time in this thread."""
    end = time.thread_time_ns() + milliseconds * 1_000_000
    while time.thread_time_ns() < end:
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="the clocks of threads are Linux's")
def test_what_computes_is_counted_and_what_waits_is_not(tmp_path: Path) -> None:
    over, ready = threading.Event(), threading.Event()

    def wait() -> None:
        ready.set()
        over.wait()

    waiting = threading.Thread(target=wait)
    waiting.start()
    ready.wait()
    sampler = Sampler(str(tmp_path))
    sampler.look()  # what was before does not count
    sampler.stacks.clear()
    asked, computed = threading.Event(), threading.Event()

    def work() -> None:
        compute(50)
        computed.set()
        asked.wait()

    working = threading.Thread(target=work)
    working.start()
    computed.wait()
    sampler.look()
    asked.set()
    over.set()
    working.join()
    waiting.join()
    counted = dict.fromkeys(("work", "wait"), 0)
    for stack, ns in sampler.stacks.items():
        for name in counted:
            counted[name] += ns * any(call.endswith(f"<locals>.{name}") for call in stack)
    assert counted["work"] >= 50_000_000
    assert counted["wait"] < 5_000_000


def test_stacks_are_shown_by_our_functions_and_the_library_that_these_call() -> None:
    outer = ["__main__:<module>", "asyncio.runners:run"]
    assert path([*outer, LOOP, "asyncio.tasks:wait", DETECT, "()session.run"]) == [
        ("StageHost._handle", "pipeline"),
        ("FaceDetector.detect", "stage"),
        ("session.run()", "kernel"),
    ]
    assert path([*outer, DETECT, "mediapipe.tasks:detect", "ctypes:call", "()f"])[-1] == ("mediapipe", "kernel")
    assert path([*outer, LOOP, "zmq.sugar:Socket.send", "()send"])[-1] == ("ZeroMQ", "pipeline")
    assert path([*outer, "selectors:EpollSelector.select", "()poll"]) == [("event loop", "pipeline")]
    assert path(["drishti"]) == [("MediaPipe's threads", "kernel")]


def test_imports_and_loading_are_of_the_start() -> None:
    assert is_start([IMPORTS])
    assert is_start(["threading:run", "emopipe.stages.inference:Inference.open", "onnxruntime:Session"])
    assert not is_start([LOOP, DETECT])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The samples of two processes."""
    samples = {
        "1": (["/x/worker.py", "ipc://a", "stacks", "faces"], [[LOOP, DETECT, "()run", 6], [LOOP, 4], [IMPORTS, 9]]),
        "2": (["emopipe"], [["selectors:select", 2]]),
    }
    for name, (arguments, stacks) in samples.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"arguments": arguments, "stacks": stacks}))
    return tmp_path


def test_all_processes_are_one_tree(folder: Path) -> None:
    root, start = read(folder, "all")
    assert (root.ns, start) == (12, 9)
    assert [(each.name, each.ns) for each in root.sorted()] == [("faces", 10), ("supervisor", 2)]
    (handle,) = root.sorted()[0].sorted()
    assert (handle.name, handle.ns) == ("StageHost._handle", 10)
    assert [(each.name, each.ns) for each in handle.sorted()] == [("run()", 6)], "what only calls on is passed over"
    assert list(kernels(root)) == [("faces", "StageHost._handle → run()", 6)]


def test_the_picture_is_as_wide_as_the_time(folder: Path) -> None:
    root, _ = read(folder, "all <processes>")
    svg = ET.fromstring(flame_graph("Where & why", root, 1.0, "ns", "2 cores"))
    boxes = {group[0].text: float(group[1].get("width", "0")) for group in svg.iterfind("{*}g")}
    assert boxes.keys() == {
        "all <processes>: 12.00 ns",
        "faces: 10.00 ns",
        "supervisor: 2.00 ns",
        "StageHost._handle: 10.00 ns",
        "run(): 6.00 ns",
        "event loop: 2.00 ns",
    }
    assert boxes["faces: 10.00 ns"] == pytest.approx(5 * boxes["supervisor: 2.00 ns"], rel=0.02)
    assert "faces: 10.00 ns; supervisor: 2.00 ns" in "".join(svg.itertext())
