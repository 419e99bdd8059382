"""A recording of messages that is written: an MCAP file (https://mcap.dev) that can be read however its writer ends."""

import contextlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

import msgspec
from mcap.writer import CompressionType, Writer

import emopipe
from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.errors import EmopipeError, StageFailed
from emopipe.pipeline.message import WIRE_VERSION, Message, Payload
from emopipe.stages.messages.document import (
    MESSAGE_ENCODING,
    RECORDING_VERSION,
    SCHEMA_ENCODING,
    DocumentCodec,
    schema,
)
from emopipe.stages.sinks.line_file import path_problem

PROFILE = "emopipe"
CHUNK_BYTES = 1 << 20
MAX_CHUNK_AGE_NS = SECOND  # what a run that is killed loses at most


class _Channel(msgspec.Struct):
    id: int
    codec: DocumentCodec
    count: int = 0
    newest: int = 0  # ns of running time


class RecordingWriter:
    """Writes messages into a new MCAP file, a channel for each output.

    What was written before the last chunk, at most `MAX_CHUNK_AGE_NS` ago by the messages' own times, survives a kill.
    An old file is emptied by the first message, not before: a run that fails at its start must not cost the recording
    of another.

    Args:
        path: of the file.
        channels: what each carries, by name.

    Raises:
        EmopipeError: the file cannot be opened.
    """

    def __init__(self, path: str, channels: Mapping[str, type[Payload]]) -> None:
        self._path = path
        self._types = channels
        self._channels: dict[str, _Channel] = {}
        self._writer: Writer | None = None
        self._flushed = 0  # log time of the last flush
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
            self._file = os.fdopen(descriptor, "wb")
        except OSError as error:
            raise EmopipeError(path_problem(path) or f"{path} cannot be written: {error.strerror}") from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            self._file.close()
            raise EmopipeError(f"{path} is no regular file, and a recording needs one; choose another path")

    def write(self, channel: str, message: Message, log_time: int) -> None:
        """Append one message that passed at `log_time` (ns of Unix time).

        Raises:
            StageFailed: it cannot be written; what the chunks before hold can be read.
        """
        try:
            if self._writer is None:
                self._flushed = log_time
            writer = self._begun()
            state = self._channels[channel]
            if message.kind in ("data", "gap"):
                state.newest = max(message.pts, 0)
            writer.add_message(
                state.id,
                log_time=log_time,
                data=state.codec.encode(message),
                publish_time=state.newest,
                sequence=state.count % (1 << 32),
            )
            state.count += 1
            if log_time - self._flushed >= MAX_CHUNK_AGE_NS:
                self._flushed = log_time
                writer.flush()
        except OSError as error:
            raise self._failed(error) from None

    def finish(self) -> None:
        """Write what is still to be written, and the index; nothing can be appended any more.

        Raises:
            StageFailed: it cannot be written.
        """
        try:
            self._begun().finish()
            self._file.close()
        except OSError as error:
            raise self._failed(error) from None

    def close(self) -> None:
        """Complete a file that was begun and not finished, as far as that goes."""
        if not self._file.closed:
            if self._writer is not None:
                with contextlib.suppress(StageFailed):  # and what kept it from being finished has been said
                    self.finish()
            with contextlib.suppress(OSError):
                self._file.close()

    def _begun(self) -> Writer:
        """The writer; the first time, of an emptied file."""
        if self._writer is None:
            self._file.truncate(0)
            self._writer = writer = Writer(self._file, chunk_size=CHUNK_BYTES, compression=CompressionType.ZSTD)
            writer.start(profile=PROFILE, library=f"emopipe {emopipe.__version__}")
            versions = {"recording": str(RECORDING_VERSION), "wire": str(WIRE_VERSION), "emopipe": emopipe.__version__}
            writer.add_metadata(PROFILE, versions)
            for name, payload in self._types.items():
                schema_id = writer.register_schema(payload.__name__, SCHEMA_ENCODING, schema(payload))
                self._channels[name] = _Channel(
                    writer.register_channel(name, MESSAGE_ENCODING, schema_id), DocumentCodec(payload)
                )
        return self._writer

    def _failed(self, error: OSError) -> StageFailed:
        with contextlib.suppress(OSError):
            self._file.close()
        remedy = "what was written before can be read with `partial = true`; free some space, or choose another path"
        return StageFailed(f"{Path(self._path)} cannot be written any more: {error.strerror}; {remedy}")
