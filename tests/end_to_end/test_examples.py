"""The examples are run, as their users would."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from emopipe.pipeline.access.keys import write_pair
from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.graph.load import load_graph, make_importable
from emopipe.pipeline.graph.registry import resolve
from emopipe.pipeline.testing import run_stage
from emopipe.stages.sinks.publish import Publish
from tests.support.endpoints import free_endpoint
from tests.support.factories import result
from tests.support.paths import ROOT

pytestmark = pytest.mark.slow("runs the examples as programs")

EXAMPLES = ROOT / "examples"
# Half a second at a time: face 1 smiles from 0.5 s to 2 s and again from 3 s to 4 s, face 2 at 1 s only.
SMILES = [
    result(n * SECOND // 2, {1: "happy" if n in (1, 2, 3, 4, 6, 7, 8) else "sad", 2: "happy" if n == 2 else "fear"})
    for n in range(9)
]


@pytest.fixture
def beside_the_graph(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    make_importable([EXAMPLES])
    yield
    sys.modules.pop("my_stage", None)


def test_the_subscriber_is_short() -> None:
    assert len((EXAMPLES / "subscriber.py").read_text().splitlines()) <= 20


def test_the_subscriber_prints_what_publish_publishes(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/emotions"
    with subprocess.Popen(
        [sys.executable, str(EXAMPLES / "subscriber.py"), endpoint], stdout=subprocess.PIPE, text=True
    ) as process:
        results = [
            result(0, {1: "happy", 2: "sad"}, "angry", stream="cam"),
            result(1 * SECOND, stream="cam"),
            result(2 * SECOND, None, "fear", stream="cam"),
        ]
        stage = Publish(Publish.Settings(endpoint=endpoint, subscribers=1), label="results")
        run_stage(stage, [("emotions", message) for message in results])
        told, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert told.splitlines() == [
        "    0.00 s  cam  face 1 happy 0.70",
        "    0.00 s  cam  face 2 sad 0.70",
        "    2.00 s  cam  voice fear 0.70",
    ]


def test_the_remote_subscriber_prints_what_is_published_for_its_key(tmp_path: Path) -> None:
    desk, me = write_pair(tmp_path, "desk"), write_pair(tmp_path / "allowed", "me")
    endpoint = free_endpoint().replace("http", "tcp")
    command = [str(EXAMPLES / "remote_subscriber.py"), endpoint, str(desk.public_file), str(me.secret_file)]
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as process:
        keys = {"secret_key": str(desk.secret_file), "allow": str(tmp_path / "allowed")}
        stage = Publish(Publish.Settings(endpoint=endpoint, subscribers=1, **keys), label="results")
        run_stage(stage, [("emotions", result(0, {1: "happy"}, stream="cam"))])
        told, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert told == "    0.00 s  face 1 happy 0.70\n"


@pytest.mark.usefixtures("beside_the_graph")
def test_stages_of_ones_own_are_found_and_work(capsys: pytest.CaptureFixture[str]) -> None:
    meter, printer = resolve("my_stage:SmileMeter"), resolve("my_stage:SmilePrinter")
    measured = run_stage(meter(meter.Settings(threshold=0.6)), [("emotions", message) for message in SMILES])
    seconds = [payload.seconds for payload in measured.payloads("smiles")]
    assert seconds[1:4] == [{1: 0.0}, {1: 0.5, 2: 0.0}, {1: 1.0}]
    assert seconds[4:7] == [{1: 1.5}, {}, {1: 0.0}]
    run_stage(printer(), [("smiles", message) for message in measured.data("smiles")])
    assert capsys.readouterr().out.splitlines() == [
        "    1.50 s  test  face 1 has been smiling for 1 s",
        "    4.00 s  test  face 1 has been smiling for 1 s",
    ]


@pytest.mark.usefixtures("beside_the_graph")
def test_the_graph_of_ones_own_stages_is_right() -> None:
    graph = load_graph(EXAMPLES / "my_stage.toml")
    assert graph.stages["meter"].settings.threshold == 0.4
