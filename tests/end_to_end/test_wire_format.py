"""docs/wire-format.md says what the code does, and a reader in another language understands it."""

import json
import os
import re
import shutil
import subprocess
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ForwardRef, Union, get_args, get_origin, get_type_hints

import msgspec
import numpy as np
import pytest
import zmq

from emopipe.pipeline.clock import MS
from emopipe.pipeline.message import FOREVER, WIRE_VERSION, Codec, Hop, Kind, Message, Payload
from emopipe.pipeline.testing import gap, run_stage
from emopipe.stages.sinks.publish import Publish
from emopipe.stages.types import (
    AudioBlock,
    Emotions,
    FaceGeometry,
    Modality,
    PersonEmotion,
    VideoFrame,
    Voice,
    VoiceEmotion,
)
from tests.support.factories import make_emotions, result
from tests.support.paths import ROOT

pytestmark = pytest.mark.slow("installs Node's packages")

NODE = Path(__file__).parent / "node"
TEXT = (ROOT / "docs" / "wire-format.md").read_text()
RESULTS = (Emotions, PersonEmotion, Modality, Voice, VoiceEmotion, FaceGeometry)


# -- the document --------------------------------------------------------------------------------------------


def rows(heading: str, first: str = "field") -> list[list[str]]:
    """The cells of the table whose first column is called `first` under a heading, without code marks."""
    section = re.split(r"^#", TEXT.split(f"\n{heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    table = re.search(rf"^\| `?{first}`? \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", section, re.MULTILINE)
    assert table is not None, f"no such table under {heading}"
    cells = [re.split(r"(?<!\\)\|", line.strip("|")) for line in table[1].splitlines()]
    return [[cell.strip().replace("`", "") for cell in row] for row in cells]


def words(wanted: Any) -> str:
    """A type as the document names it."""
    simple = {str: "string", int: "integer", float: "float", bool: "boolean", Any: "map or nil", Kind: "string"}
    simple |= {msgspec.UnsetType: "absent"}
    if isinstance(wanted, ForwardRef):
        return wanted.__forward_arg__
    if wanted in simple:
        return simple[wanted]
    arguments = get_args(wanted)
    if get_origin(wanted) is list:
        return f"array of {words(arguments[0])}"
    if get_origin(wanted) is tuple:
        return f"array of {len(arguments)} {words(arguments[0])}"
    if get_origin(wanted) is dict:
        return f"map of {words(arguments[0])} to {words(arguments[1])}"
    if get_origin(wanted) in (Union, types.UnionType):
        return " or ".join(words(each) for each in arguments)
    return "nil" if wanted is type(None) else str(wanted.__name__)


def declared(struct: type) -> list[tuple[str, str]]:
    hints = get_type_hints(struct)
    return [(name, words(hints[name])) for name in struct.__struct_fields__]  # type: ignore[attr-defined]


def as_json(payload: Payload) -> Any:
    return json.loads(msgspec.json.encode(payload))


@pytest.mark.parametrize(
    ("heading", "struct"), [("## The header", Message), *((f"### `{s.__name__}`", s) for s in RESULTS)]
)
def test_each_table_names_the_fields_that_the_code_declares(heading: str, struct: type) -> None:
    assert [(name, kind) for name, kind, _ in rows(heading)] == declared(struct)


def test_every_type_of_a_result_has_its_table() -> None:
    def inside(wanted: Any) -> Iterator[type]:
        if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
            yield wanted
            for hint in get_type_hints(wanted).values():
                yield from inside(hint)
        for argument in get_args(wanted):
            yield from inside(argument)

    assert set(inside(Emotions)) == set(RESULTS)
    assert re.findall(r"^### `(\w+)`$", TEXT, re.MULTILINE) == [struct.__name__ for struct in RESULTS]


def test_kinds_version_endpoint_and_hops_are_those_of_the_code() -> None:
    assert [kind for kind, _ in rows("## The header", "kind")] == list(get_args(Kind))
    assert TEXT.startswith(f"# The wire format, version {WIRE_VERSION}\n")
    assert f"by default `{Publish.Settings().endpoint}`" in TEXT
    assert f"({Publish.Settings().hwm} by default" in TEXT
    assert [kind for _, kind, _ in rows("## Latency", "Hop")] == [kind for _, kind in declared(Hop)]


def test_the_example_of_a_header_is_a_message() -> None:
    example = json.loads(re.search(r"```json\n(.*?)```", TEXT, re.DOTALL)[1])  # type: ignore[index]
    message = Codec(Emotions).decode([msgspec.msgpack.encode(example)])
    assert sorted(example) == sorted(Message.__struct_fields__)
    assert as_json(message.payload) == example["payload"]
    for face in message.payload.faces:
        assert sum(face.probabilities.values()) == pytest.approx(1)
        assert sum(face.face.probabilities.values()) == pytest.approx(1)
        assert face.probabilities[face.emotion] == face.confidence == max(face.probabilities.values())


# -- a reader in another language ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def node() -> str:
    """The interpreter, with the reader's packages installed as locked."""
    program, installer = shutil.which("node"), shutil.which("npm")
    if program is None or installer is None:
        text = "needs node and npm, to prove that the wire format can be read without Python"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)
    lock, installed = NODE / "package-lock.json", NODE / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        command = [installer, "ci", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=NODE, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, done.stderr
    return program


def read_by_node(process: "subprocess.Popen[str]") -> list[dict[str, Any]]:
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return [json.loads(line) for line in told.splitlines()]


def test_the_lock_names_no_registry() -> None:
    lock = json.loads((NODE / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    assert all("resolved" not in package and "integrity" in package for package in packages.values())


def test_node_reads_what_publish_publishes(node: str, tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/emotions"
    with subprocess.Popen([node, "subscriber.mjs", endpoint], cwd=NODE, stdout=subprocess.PIPE, text=True) as process:
        stage = Publish(Publish.Settings(endpoint=endpoint, subscribers=1), label="results")
        sent = [
            result(12_480 * MS, {3: "happy"}, "sad", stream="cam", seq=0, duration=40 * MS),
            gap(12_500 * MS, 500 * MS, stream="cam"),
            result(12_520 * MS, None, "fear", stream="cam", seq=2, forced=True),
        ]
        run_stage(stage, [("emotions", message) for message in sent])
        first, silence, last, end, over = read_by_node(process)
    assert first["topic"] == "emotions/cam"
    assert (first["kind"], first["stream"], first["seq"]) == ("data", "cam", 0)
    assert (first["pts"], first["duration"], first["type"]) == (12_480 * MS, 40 * MS, "Emotions")
    assert first["version"] == WIRE_VERSION
    assert first["trace"][-1][0] == "results"
    assert first["payload"] == as_json(make_emotions({3: "happy"}, "sad"))
    assert (silence["kind"], silence["duration"], silence["payload"]) == ("gap", 500 * MS, None)
    assert last["payload"]["alone"]["emotion"] == "fear"
    assert last["payload"]["forced"] is True
    assert (end["kind"], end["stream"], end["seq"]) == ("eos", "cam", 3)
    assert float(end["watermark"]) == float(FOREVER)  # JavaScript's numbers are no more exact
    assert (over["topic"], over["kind"], over["stream"]) == ("emotions/", "eos", "")


def test_node_reads_arrays(node: str, tmp_path: Path) -> None:
    luma = np.arange(12, dtype=np.uint8).reshape(3, 4)
    small = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    samples = np.linspace(-1, 1, 5, dtype=np.float32)
    endpoint = f"ipc://{tmp_path}/arrays"
    context = zmq.Context()
    socket = context.socket(zmq.XPUB)
    socket.bind(endpoint)
    with subprocess.Popen(
        [node, "subscriber.mjs", endpoint, "arrays/"], cwd=NODE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert socket.poll(30_000)  # it has subscribed
        for payload in (VideoFrame(luma=luma, small=small, truth="nobody"), AudioBlock(samples=samples)):
            message = Message(kind="data", stream="cam", type=type(payload).__name__, payload=payload)
            socket.send_multipart([b"arrays/cam", *Codec(type(payload)).encode(message)])
        socket.send_multipart([b"arrays/", *Codec(AudioBlock).encode(Message(kind="eos", stream=""))])
        picture, sound, _ = read_by_node(process)
    socket.close(linger=0)
    context.term()
    assert picture["payload"] == {
        "luma": {"shape": [3, 4], "values": luma.ravel().tolist()},
        "small": {"shape": [2, 4, 3], "values": small.ravel().tolist()},
        "truth": "nobody",
    }
    assert sound["payload"] == {"samples": {"shape": [5], "values": samples.tolist()}, "truth": ""}
