"""emopipe record, and the replay of what it has recorded."""

from pathlib import Path

import pytest

from emopipe.__main__ import main
from emopipe.graphs.manifest import read_manifest
from emopipe.models.face_detection.detection import FaceDetector
from emopipe.pipeline.clock import MS
from emopipe.stages.messages.document import DocumentCodec
from emopipe.stages.messages.reader import MessageRecording
from emopipe.stages.mp4.writer import Mp4Writer
from emopipe.stages.types import VideoFrame
from tests.support.emotion_messages import frame
from tests.support.faces import colours, face_film, within
from tests.support.paths import ROOT
from tests.support.recordings import everything, write_field, write_recording

GRAPH = """
[stages.numbers]
use = "tests.support.toy_stages:Numbers"
count = 20

[stages.double]
use = "tests.support.toy_stages:Double"
inputs.numbers = "numbers.numbers"

[stages.write]
use = "tests.support.toy_stages:Write"
inputs.numbers = "double.numbers"
path = "{folder}/lines.txt"
"""

HIDDEN = """
[stages.capture]
use = "file-capture"
uri = "{film}"

[stages.hidden]
use = "face-privacy"
inputs.video = "capture.video"
privacy = "{privacy}"

[stages.film]
use = "record"
inputs.video = "hidden.video"
path = "{folder}/hidden.mp4"
"""


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "graph.toml"
    path.write_text(GRAPH.format(folder=tmp_path))
    return path


def record(*arguments: object) -> int:
    return main(["record", *map(str, arguments)])


def channels(path: Path) -> dict[str, int]:
    """How many messages each channel of a recording has."""
    recording = MessageRecording(str(path))
    found = dict.fromkeys(recording.channels, 0)
    for each in recording.messages():
        found[each.channel] += 1
    recording.close()
    return found


def test_every_output_is_recorded_and_the_graph_does_what_it_does(
    graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "field.mcap"
    assert record(graph, "--out", out, "--one-process") == 0
    told = capsys.readouterr()
    # of each: 20 numbers, the end of the stream, the end of all; `double` says its watermark, too
    found = channels(out)
    assert found["numbers.numbers"] == 22
    assert found.keys() == {"numbers.numbers", "double.numbers"}
    assert told.out == f"{out}: {sum(found.values())} messages on 2 channels\n"
    assert "emopipe: recording numbers.numbers, double.numbers\n" in told.err
    assert (tmp_path / "lines.txt").read_text().count("\n") == 21
    manifest = read_manifest(out)
    assert manifest is not None
    assert manifest.stage == "recording"


def test_one_output_may_be_named(graph: Path, tmp_path: Path) -> None:
    out = tmp_path / "field.mcap"
    assert record(graph, "--output", "double.numbers", "--out", out, "--set", "stages.numbers.count=5") == 0
    assert list(channels(out)) == ["double.numbers"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            ["--output", "doble.numbers"],
            '--output doble.numbers: GRAPH has no such output; did you mean "double.numbers"?',
        ),
        (["--set", "stages.numbers.count=-1"], "GRAPH: stages.numbers.count: -1 is not at least 0"),
    ],
)
def test_what_cannot_be_recorded_is_said_and_nothing_overwritten(
    graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    out = tmp_path / "field.mcap"
    out.write_text("precious")
    assert record(graph, "--out", out, *arguments) == 2
    assert capsys.readouterr().err == f"emopipe: {problem.replace('GRAPH', str(graph))}\n"
    assert out.read_text() == "precious"


def test_the_file_may_not_be_one_that_the_graph_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tape = write_recording(tmp_path / "field.mcap", {"look.scores": everything()})
    before = tape.read_bytes()
    graph = tmp_path / "graph.toml"
    graph.write_text(f'''
[stages.tape]
use = "messages"
path = "{tape}"
types = {{ "look.scores" = "tests.support.recordings:Sample" }}

[stages.keep]
use = "mcap"
path = "{tmp_path}/other.mcap"
inputs.scores = "tape.look.scores"
''')
    assert record(graph, "--out", tape) == 2
    assert "stages.recording: would overwrite" in (told := capsys.readouterr().err)
    assert told.endswith("which stages.tape reads; choose another path\n")
    assert tape.read_bytes() == before


def test_a_graph_that_has_nothing_but_pictures_needs_a_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = tmp_path / "graph.toml"
    graph.write_text(f'''
[stages.capture]
use = "test-pattern"

[stages.film]
use = "record"
inputs.video = "capture.video"
path = "{tmp_path}/film.mp4"
''')
    assert record(graph, "--out", tmp_path / "field.mcap") == 2
    assert "all its outputs hold pictures or sound; name what to record with --output" in capsys.readouterr().err


@pytest.fixture
def field(tmp_path: Path) -> Path:
    return write_field(tmp_path / "field.mcap")


def replay(*arguments: object) -> int:
    return main(["replay", *map(str, arguments), "--graph", str(ROOT / "pipeline.toml")])


def test_a_recording_is_replayed_through_what_comes_after_it(
    field: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.jsonl"
    assert replay(field, "--out", out) == 0
    assert out.read_text().count('"source":"face"') == 100
    told = capsys.readouterr()
    assert "face 0" in told.out
    manifest = read_manifest(out)
    assert manifest is not None
    assert [Path(file.path) for file in manifest.run.recordings] == [field]


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda content: content[:-9], "FIELD: breaks off in the middle"),
        (lambda content: b"MCAP" + content, "FIELD: not an MCAP file"),
        (lambda content: content.replace(b"\x01\0\0\x001", b"\x01\0\0\x007"), 'FIELD: recording format version "7"'),
    ],
)
def test_what_cannot_be_replayed_is_said_and_nothing_overwritten(
    field: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: object, problem: str
) -> None:
    out = tmp_path / "results.jsonl"
    out.write_text("precious")
    field.write_bytes(damage(field.read_bytes()))  # type: ignore[operator]
    assert replay(field, "--out", out) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"emopipe: {problem.replace('FIELD', str(field))}")
    assert told.count("\n") == 1
    assert out.read_text() == "precious"


def test_damage_inside_is_found_before_anything_is_overwritten(
    field: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.jsonl"
    out.write_text("precious")
    content = bytearray(field.read_bytes())
    content[content.index(b"zstd") + 500] ^= 1
    field.write_bytes(content)
    assert replay(field, "--out", out) == 2
    assert "field.mcap: damaged at byte" in capsys.readouterr().err
    assert out.read_text() == "precious"


def test_a_channel_of_another_type_than_the_input_wants(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faces = frame(0, {0: "happy"})
    field = write_recording(
        tmp_path / "field.mcap",
        {"facial.emotions": [faces], "speech.emotions": [faces]},
        dict.fromkeys(("facial.emotions", "speech.emotions"), type(faces.payload)),
    )
    assert replay(field, "--out", tmp_path / "results.jsonl") == 2
    told = capsys.readouterr().err
    assert "stages.fusion.inputs.speech: messages.speech.emotions sends FaceEmotions, but this input takes" in told


@pytest.mark.slow("runs the face detector and the face mesh")
@pytest.mark.parametrize("privacy", ["blur", "mesh"])
def test_pictures_that_are_recorded_hidden_hold_no_face(tmp_path: Path, privacy: str) -> None:
    """With `mesh`, one that is drawn: grey all over, as the face is not."""
    film = Mp4Writer(tmp_path / "film.mp4")
    for number, each in enumerate(face_film()):
        film.add_frame(each, number * 40 * MS, 40 * MS)
    film.finish()
    graph, out = tmp_path / "graph.toml", tmp_path / "field.mcap"
    graph.write_text(HIDDEN.format(film=film.path, privacy=privacy, folder=tmp_path))
    assert record(graph, "--output", "hidden.video", "--output", "capture.video", "--out", out, "--one-process") == 0
    shown: dict[str, list[VideoFrame]] = {"capture.video": [], "hidden.video": []}
    recording = MessageRecording(str(out))
    codec = DocumentCodec(VideoFrame)
    for recorded in recording.messages():
        if (message := codec.decode(recorded.data)).kind == "data":
            shown[recorded.channel].append(message.payload)
    recording.close()
    plain, hidden = shown["capture.video"], shown["hidden.video"]
    detector = FaceDetector()
    boxes = [[face.box for face in detector.detect(each.small, n * 40 * MS)] for n, each in enumerate(plain)]
    later = [detector.detect(each.small, (len(plain) + n) * 40 * MS) for n, each in enumerate(hidden)]
    detector.close()
    assert len(hidden) == len(plain) == 40
    assert sum(map(bool, boxes)) > 24
    if privacy == "blur":
        assert later == [[]] * len(hidden)
        return
    for before, after, found in zip(plain, hidden, boxes, strict=True):
        for box in found:
            assert colours(within(before.small, box)) > 20
            assert colours(within(after.small, box)) == 0
            assert within(after.small, box).std() > 20  # something is drawn
