"""The file of recorded messages: whole, broken off at any byte, with any bit flipped, of others, of other versions."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer

from emopipe.pipeline.errors import EmopipeError, MediaError
from emopipe.pipeline.message import Message
from emopipe.pipeline.testing import data, watermark
from emopipe.stages.messages.document import DocumentCodec
from emopipe.stages.messages.reader import MessageRecording
from emopipe.stages.messages.writer import RecordingWriter
from tests.support.recordings import Sample, everything, sample, write_recording


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_recording(tmp_path / "tape.mcap", {"look.scores": everything(), "hear.scores": everything("mic")})


def played(path: Path, partial: bool = False) -> list[tuple[str, Message]]:
    """All messages of a file, decoded, in order."""
    recording = MessageRecording(str(path), partial)
    try:
        recording.verify()
        codec = DocumentCodec(Sample)
        return [(each.channel, codec.decode(each.data)) for each in recording.messages()]
    finally:
        recording.close()


def problem(path: Path, partial: bool = False) -> str:
    with pytest.raises(MediaError) as caught:
        played(path, partial)
    text = str(caught.value)
    assert "\n" not in text
    return text.removeprefix(f"{path}: ")


def test_a_recording_holds_every_message_in_order(path: Path) -> None:
    got = played(path)
    assert [channel for channel, _ in got] == ["look.scores"] * 6 + ["hear.scores"] * 6
    assert [(m.kind, m.stream, m.pts, m.duration, m.watermark, m.epoch) for _, m in got] == [
        (m.kind, m.stream, m.pts, m.duration, m.watermark, m.epoch) for m in [*everything(), *everything("mic")]
    ]
    first = got[0][1].payload
    assert (first.value, first.heard.tolist(), first.note) == (1.0, [1.0, 1.0, 1.0], "")
    recording = MessageRecording(str(path))
    assert {name: channel.type for name, channel in recording.channels.items()} == {
        "look.scores": "Sample",
        "hear.scores": "Sample",
    }
    assert (recording.complete, recording.duration) == (True, 11_000_000)
    recording.close()


def test_the_library_of_mcap_lists_its_channels_types_and_times(path: Path) -> None:
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        assert reader.get_header().profile == "emopipe"
        seen = list(reader.iter_messages())
        times = [(channel.topic, m.log_time % 10**9, m.publish_time, m.sequence) for _, channel, m in seen]
        assert {channel.message_encoding for _, channel, _ in seen} == {"msgpack"}
        assert {(schema.name, schema.encoding) for schema, _, _ in seen if schema} == {("Sample", "jsonschema")}
    assert times[:6] == [("look.scores", n * 1_000_000, pts, n) for n, pts in enumerate([0, 10, 10, 10, 3, 3])]


def test_a_recording_without_messages_has_its_channels_all_the_same(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "tape.mcap", {"look.scores": []})
    recording = MessageRecording(str(path))
    assert list(recording.channels) == ["look.scores"]
    recording.close()
    assert played(path) == []


def test_a_file_that_breaks_off_is_refused_unless_its_part_will_do(tmp_path: Path) -> None:
    path = tmp_path / "tape.mcap"
    writer = RecordingWriter(str(path), {"look.scores": Sample})
    for second in range(1, 4):
        writer.write("look.scores", data(sample(second), pts=second), second * 10**9)
    killed = path.with_name("killed.mcap")
    killed.write_bytes(path.read_bytes())  # as it lies on the disk while its writer is at work
    writer.close()
    assert problem(killed).startswith("breaks off in the middle, as where a run was killed")
    assert [m.payload.value for _, m in played(killed, partial=True)] == [1.0, 2.0, 3.0]
    assert [m.payload.value for _, m in played(path)] == [1.0, 2.0, 3.0]  # a writer that is closed completes it


def test_cut_at_any_byte_it_is_refused_or_its_whole_chunks_are_played(path: Path) -> None:
    whole = path.read_bytes()
    everything_played = len(played(path))
    found: list[int | str] = []
    for size in [*range(300), *range(300, len(whole), 13)]:
        path.write_bytes(whole[:size])
        assert problem(path)
        try:
            found.append(len(played(path, partial=True)))
        except MediaError as error:
            found.append(str(error).removeprefix(f"{path}: ").partition(";")[0])
    assert list(dict.fromkeys(found)) == [
        "not an MCAP file",
        "breaks off in its first record",
        0,
        everything_played,
    ]  # as it grows


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_flipped_bit_changes_no_message_unnoticed(path: Path, tmp_path: Path, draw: st.DataObject) -> None:
    content = bytearray(path.read_bytes())
    before = [(channel, m.pts, m.kind, m.epoch) for channel, m in played(path)]
    at = draw.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << draw.draw(st.integers(0, 7))
    broken = tmp_path / "broken.mcap"
    broken.write_bytes(content)
    try:
        got = played(broken)
    except MediaError:
        return
    assert [(channel, m.pts, m.kind, m.epoch) for channel, m in got] == before


def test_a_record_of_another_kind_is_damage(path: Path, tmp_path: Path) -> None:
    content = path.read_bytes()
    before = [(channel, m.pts, m.kind, m.epoch) for channel, m in played(path)]
    broken = tmp_path / "broken.mcap"
    at = 8
    while at < len(content) - 8:
        for bit in range(8):
            broken.write_bytes(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :])
            with suppress(MediaError):
                assert [(channel, m.pts, m.kind, m.epoch) for channel, m in played(broken)] == before
        at += 9 + int.from_bytes(content[at + 1 : at + 9], "little")


@pytest.mark.slow("many examples")
@pytest.mark.parametrize("size", [4, 8])
def test_a_length_beyond_all_measure_is_damage(path: Path, tmp_path: Path, size: int) -> None:
    content = path.read_bytes()
    before = played(path)
    broken = tmp_path / "broken.mcap"
    for at in range(len(content) - size):
        broken.write_bytes(content[:at] + b"\xff" * size + content[at + size :])
        with suppress(MediaError):
            assert len(played(broken)) == len(before)  # it was nothing that matters


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.booleans(), st.booleans())
def test_junk_is_refused_in_one_sentence(tmp_path: Path, junk: bytes, head: bool, partial: bool) -> None:
    path = tmp_path / "junk.mcap"
    path.write_bytes((b"\x89MCAP0\r\n" if head else b"") + junk)
    assert problem(path, partial)


def write_foreign(path: Path, profile: str = "emopipe", metadata: dict[str, str] | None = None) -> Path:
    with path.open("wb") as file:
        writer = Writer(file, compression=CompressionType.NONE)
        writer.start(profile=profile)
        if metadata is not None:
            writer.add_metadata("emopipe", metadata)
        writer.finish()
    return path


def test_files_of_others_and_of_other_versions_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "other.mcap"
    assert problem(path).startswith("no such file; expected a recording of messages")
    assert problem(tmp_path).startswith("a folder")
    path.write_text("{}")
    assert problem(path).startswith("not an MCAP file; expected a recording of messages")
    path.write_bytes(b"\x89MCAP1\r\n")
    assert problem(path) == "MCAP of another version than 0, which alone is known"
    assert problem(write_foreign(path, "ros2")).startswith("MCAP that emopipe has not written")
    assert problem(write_foreign(path)).startswith('recording format version "", but this emopipe reads version 1')
    newer = {"recording": "2", "wire": "1", "emopipe": "9.1"}
    assert problem(write_foreign(path, metadata=newer)) == (
        'recording format version "2", but this emopipe reads version 1; play it with emopipe 9.1, which has written it'
    )
    assert problem(write_foreign(path, metadata=newer | {"recording": "1", "wire": "7"})).startswith(
        'wire format version "7", but'
    )


def bomb(path: Path, said: int, data: bytes, compression: str = "zstd") -> Path:
    """A recording whose one chunk says that it unpacks to `said` bytes."""
    from mcap.data_stream import RecordBuilder
    from mcap.records import Chunk

    write_foreign(path, metadata={"recording": "1", "wire": "1"})
    builder = RecordBuilder()
    Chunk(compression, data, 0, 0, 0, said).write(builder)
    whole = path.read_bytes()
    end = whole.index(b"\x0f\x04\0\0\0\0\0\0\0")  # DataEnd
    shifted = whole[:end] + builder.end()
    path.write_bytes(shifted)
    return path


def test_a_chunk_that_unpacks_to_more_than_any_is_never_unpacked(tmp_path: Path) -> None:
    import zstandard

    packed = zstandard.compress(bytes(300 << 20))
    assert len(packed) < 100_000
    path = bomb(tmp_path / "bomb.mcap", len(packed), packed)
    assert f"a chunk of {300 << 20} bytes" in problem(path, partial=True)
    assert 'packed with "lz4", but only zstd' in problem(bomb(path, 3, b"abc", "lz4"), partial=True)


def test_an_old_file_is_kept_until_the_first_message(path: Path) -> None:
    before = path.read_bytes()
    writer = RecordingWriter(str(path), {"look.scores": Sample})
    assert path.read_bytes() == before
    writer.close()
    assert path.read_bytes() == before
    writer = RecordingWriter(str(path), {"look.scores": Sample})
    writer.write("look.scores", watermark(1), 0)
    writer.close()
    assert [m.kind for _, m in played(path)] == ["watermark"]


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(EmopipeError, match="is a directory"):
        RecordingWriter(str(tmp_path), {})
    os.mkfifo(tmp_path / "pipe")
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(EmopipeError, match="no regular file"):
            RecordingWriter(str(tmp_path / "pipe"), {})
    finally:
        os.close(reading)


FULL_DISK = """
import resource, signal, sys
import numpy as np
from emopipe.pipeline.errors import StageFailed
from emopipe.pipeline.testing import data
from emopipe.stages.messages.writer import RecordingWriter
from tests.support.recordings import Sample, sample

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
writer = RecordingWriter(sys.argv[1], {"look.scores": Sample})
noise = np.random.default_rng(0)
try:
    for second in range(100):
        heard = noise.random(100, np.float32)
        writer.write("look.scores", data(Sample(value=second, heard=heard), pts=second), second * 10**9)
except StageFailed as error:
    print(error)
writer.close()
"""


def test_a_full_disk_ends_it_and_what_was_written_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "tape.mcap"
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == (
        f"{path} cannot be written any more: File too large; what was written before can be read with "
        "`partial = true`; free some space, or choose another path\n"
    )
    assert done.stderr == ""
    values = [m.payload.value for _, m in played(path, partial=True)]
    assert len(values) > 3
    assert values == [float(n) for n in range(len(values))]
