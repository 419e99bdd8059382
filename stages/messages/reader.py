"""A recording of messages that is read: an MCAP file of ours, believed in nothing that it does not show."""

import os
import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, Footer, Header, Message, Metadata, Schema, Statistics

from emopipe.pipeline.errors import MediaError
from emopipe.pipeline.message import WIRE_VERSION
from emopipe.pipeline.text import one_line, show
from emopipe.stages.messages.document import MESSAGE_ENCODING, RECORDING_VERSION
from emopipe.stages.messages.writer import PROFILE

MAGIC = b"\x89MCAP0\r\n"
MAX_RECORD_BYTES = 256 << 20  # a chunk, unpacked or not: 1 MiB, and the message that does not fit into that
MAX_CHANNELS = 1000

_FRAME = struct.Struct("<BQ")  # a record's opcode, and its length
_INDEX = struct.Struct("<HI")  # of a chunk's messages: their channel, and the length of what follows
_FOOTER_BYTES = _FRAME.size + 20
_MALFORMED = (McapError, struct.error, ValueError, OverflowError, zstandard.ZstdError)


class RecordedChannel(NamedTuple):
    """What an output sent: the name of its payload type, and the JSON schema of its documents."""

    type: str
    schema: bytes


class RecordedMessage(NamedTuple):
    """A document (`emopipe.stages.messages.document`) of one channel, and when it passed (ns of Unix time)."""

    channel: str
    log_time: int
    data: bytes


class _Truncated(Exception):
    """The file ends in the middle of a record."""


class MessageRecording:
    """An MCAP file that `emopipe record` or the stage `mcap` has made.

    Args:
        path: of the file.
        partial: whether one that breaks off (its run was killed) will do.

    Raises:
        MediaError: there is none, it cannot be read, is none of ours, of another version, breaks off, or is damaged.
    """

    def __init__(self, path: str, partial: bool = False) -> None:
        self.path = path
        self.channels: dict[str, RecordedChannel] = {}
        self.duration = 0
        """From the first message to the last (ns); 0 where the file does not say it."""
        self._schemas: dict[int, Schema] = {}
        self._names: dict[int, str] = {}
        try:
            if not Path(path).is_file():
                raise MediaError(f"{path}: {'a folder' if Path(path).is_dir() else 'no such file'}; {_EXPECTED}")
            self._file = Path(path).open("rb")  # noqa: SIM115
        except (OSError, ValueError) as error:
            raise MediaError(f"{one_line(path)}: cannot be read: {getattr(error, 'strerror', error)}") from None
        try:
            self._size = os.fstat(self._file.fileno()).st_size
            self._begin = self._read_head()
            summary = self._summary_start()
            self.complete = summary is not None
            if summary is None and not partial:
                raise MediaError(
                    f"{path}: breaks off in the middle, as where a run was killed or a copy cut short; "
                    "what is there can be played with `partial = true`"
                )
            self._read_channels(summary)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        self._file.close()

    def verify(self) -> None:
        """Read all of it once, and see that every chunk has the checksum that it was written with.

        Raises:
            MediaError: it is damaged.
        """
        for _ in self._data_records():
            pass

    def messages(self) -> Iterator[RecordedMessage]:
        """All messages, in the order in which they came; of a file that breaks off those of its whole chunks.

        Raises:
            MediaError: the file is damaged.
        """
        for record in self._data_records():
            if not isinstance(record, Message):
                continue
            if record.channel_id not in self._names:
                raise MediaError(f"{self.path}: damaged: a message of a channel that it does not have")
            yield RecordedMessage(self._names[record.channel_id], record.log_time, record.data)

    # -- the file ------------------------------------------------------------------------------------------------

    def _read_head(self) -> int:
        """Make sure that it is one of ours, and say where its data begins."""
        magic = self._file.read(len(MAGIC))
        if magic != MAGIC:
            if len(magic) == len(MAGIC) and magic[:5] == MAGIC[:5]:
                raise MediaError(f"{self.path}: MCAP of another version than 0, which alone is known")
            raise MediaError(f"{self.path}: not an MCAP file; {_EXPECTED}")
        try:
            records = self._records(len(MAGIC))
            _, opcode, body = next(records)
            header = Header.read(_stream(body)) if opcode == Opcode.HEADER else None
            if header is None or header.profile != PROFILE:
                raise MediaError(f"{self.path}: MCAP that emopipe has not written; {_EXPECTED}")
            begin, opcode, body = next(records)
            metadata = Metadata.read(_stream(body)) if opcode == Opcode.METADATA else None
        except _Truncated:
            raise MediaError(f"{self.path}: breaks off in its first record; {_EXPECTED}") from None
        except _MALFORMED as error:
            raise self._damaged(len(MAGIC), error) from None
        versions = metadata.metadata if metadata is not None and metadata.name == PROFILE else {}
        for what, known in (("recording", RECORDING_VERSION), ("wire", WIRE_VERSION)):
            if versions.get(what) != str(known):
                by = f"emopipe {versions['emopipe']}" if "emopipe" in versions else "another emopipe"
                raise MediaError(
                    f"{self.path}: {what} format version {show(versions.get(what, ''))}, but this emopipe reads "
                    f"version {known}; play it with {one_line(by)}, which has written it"
                )
        return begin

    def _summary_start(self) -> int | None:
        """Where the summary begins; None if the file breaks off."""
        footer_at = self._size - len(MAGIC) - _FOOTER_BYTES
        if footer_at < len(MAGIC):
            return None
        self._file.seek(footer_at)
        end = self._file.read()
        opcode, length = _FRAME.unpack_from(end)
        if not end.endswith(MAGIC) or opcode != Opcode.FOOTER or length != _FOOTER_BYTES - _FRAME.size:
            return None
        start: int = Footer.read(_stream(end[_FRAME.size :])).summary_start
        if not len(MAGIC) < start < footer_at:
            raise MediaError(f"{self.path}: damaged: it has no summary where it says")
        return start

    def _read_channels(self, summary: int | None) -> None:
        """Take in the channels: from the summary, or of a file that has none from its first chunk."""
        try:
            for _, opcode, body in self._records(self._begin if summary is None else summary):
                if opcode == Opcode.STATISTICS:
                    statistics = Statistics.read(_stream(body))
                    self.duration = max(statistics.message_end_time - statistics.message_start_time, 0)
                elif opcode == Opcode.CHUNK:
                    for _ in self._unpacked(body):
                        pass
                    return
                elif opcode == Opcode.FOOTER:
                    return
                else:
                    self._parsed(opcode, body)
        except _Truncated:
            pass
        except _MALFORMED as error:
            raise self._damaged(summary or self._begin, error) from None

    def _data_records(self) -> Iterator[Schema | Channel | Message]:
        at = self._begin
        try:
            for at, opcode, body in self._records(self._begin):
                if opcode == Opcode.CHUNK:
                    yield from self._unpacked(body)
                elif opcode == Opcode.DATA_END:
                    return
                elif opcode == Opcode.MESSAGE_INDEX:
                    _check_index(body)
                elif at != self._begin:  # where the versions are; nothing else is outside a chunk, which has a checksum
                    raise ValueError(f"a record of kind {opcode}, which there is none of")
        except _Truncated:
            if self.complete:
                raise MediaError(f"{self.path}: damaged at byte {at}: its data has no end") from None
        except _MALFORMED as error:
            raise self._damaged(at, error) from None

    def _records(self, at: int) -> Iterator[tuple[int, int, bytes]]:
        """The records from a place on: where each begins, what it is, and its content."""
        while True:
            self._file.seek(at)
            head = self._file.read(_FRAME.size)
            if len(head) < _FRAME.size:
                raise _Truncated
            opcode, length = _FRAME.unpack(head)
            if length > self._size - at - _FRAME.size:
                raise _Truncated
            if length > MAX_RECORD_BYTES:
                raise ValueError(f"a record of {length} bytes")
            yield at, opcode, self._file.read(length)
            at += _FRAME.size + length

    def _unpacked(self, body: bytes) -> Iterator[Schema | Channel | Message]:
        """The records in a chunk."""
        chunk = Chunk.read(_stream(body))
        data = chunk.data
        if chunk.compression == "zstd":
            size = zstandard.get_frame_parameters(data).content_size
            if max(size, chunk.uncompressed_size) > MAX_RECORD_BYTES or size != chunk.uncompressed_size:
                raise ValueError(f"a chunk of {size} bytes, of which it says {chunk.uncompressed_size}")
            data = zstandard.decompress(data)
        elif chunk.compression:
            raise ValueError(f"a chunk packed with {show(chunk.compression)}, but only zstd is known")
        if zlib.crc32(data) != chunk.uncompressed_crc:
            raise ValueError("a chunk whose checksum is wrong")
        at = 0
        while at < len(data):
            opcode, length = _FRAME.unpack_from(data, at)
            at += _FRAME.size
            if length > len(data) - at:
                raise ValueError("a record that is longer than its chunk")
            if (record := self._parsed(opcode, data[at : at + length])) is not None:
                yield record
            at += length

    def _parsed(self, opcode: int, body: bytes) -> Schema | Channel | Message | None:
        """A record that matters, None for any other; schemas and channels are taken in."""
        match opcode:
            case Opcode.MESSAGE:
                message: Message = Message.read(_stream(body), len(body))
                return message
            case Opcode.SCHEMA:
                schema: Schema = Schema.read(_stream(body))
                self._schemas[schema.id] = schema
                return schema
            case Opcode.CHANNEL:
                channel: Channel = Channel.read(_stream(body))
                if channel.message_encoding != MESSAGE_ENCODING or channel.schema_id not in self._schemas:
                    raise ValueError(f"channel {show(channel.topic)} is not of emopipe's kind")
                schema = self._schemas[channel.schema_id]
                self._names[channel.id] = channel.topic
                self.channels[channel.topic] = RecordedChannel(schema.name, schema.data)
                if len(self.channels) > MAX_CHANNELS or len(self._schemas) > MAX_CHANNELS:
                    raise ValueError(f"more than {MAX_CHANNELS} channels")
                return channel
        return None

    def _damaged(self, at: int, error: Exception) -> MediaError:
        what = one_line(error) or type(error).__name__
        return MediaError(f"{self.path}: damaged at byte {at}: {what}; take another copy of it")


def _check_index(body: bytes) -> None:
    """Raises: ValueError: it is no index, which can be left out, but something else."""
    if len(body) < _INDEX.size or _INDEX.unpack_from(body)[1] != len(body) - _INDEX.size:
        raise ValueError("an index of another length than it says")


def _stream(body: bytes) -> ReadDataStream:
    return ReadDataStream(BytesIO(body))


_EXPECTED = "expected a recording of messages, made by `emopipe record` or the stage mcap"
