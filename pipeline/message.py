"""What travels on a link: a header with its payload, and each array as a frame of its own.

On the wire a message is a multipart ZeroMQ message: the first part is the header in MessagePack, a map
with the field names of `Message`; an array inside the payload is replaced there by
`{"frame": n, "dtype": "|u1", "shape": [h, w]}`, and part `n` of the multipart message holds its bytes in C order
(`dtype` is NumPy's type string). Any MessagePack reader can read it; docs/wire-format.md says all of it. Between
processes of one host a large array may stay in its sender's memory (`emopipe.pipeline.memory`): then the map has
`offset`, where it lies there, instead of `frame`.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Literal, TypedDict, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

WIRE_VERSION = 1
MAX_HEADER_BYTES = 1 << 22
MAX_PARTS = 4096  # of a message: the header, and the arrays of a crowd's faces
MAX_STREAM_CHARS = 4096  # a recording's path may become a name
MAX_STAGE_CHARS = 128
MAX_HOPS = 256
MAX_DIMENSIONS = 8
FOREVER = 2**63 - 1  # the watermark of a stream that has ended

Kind = Literal["data", "gap", "watermark", "eos"]
Buffer = bytes | memoryview
_Ns = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Items = Annotated[int, msgspec.Meta(ge=0, le=2**40)]


class Payload(msgspec.Struct, kw_only=True):
    """Base of the payload types. A type is declared once: the struct is its schema and its validation.

    `raw` says that it holds pictures or sound of people, which are kept only where somebody asks for it; `large` that
    one takes about a megabyte, so that it had better stay within a process (`layout = "auto"`).
    """

    raw: ClassVar[bool] = False
    large: ClassVar[bool] = False


class Hop(msgspec.Struct, array_like=True, frozen=True):
    """One stage on a message's way: when it took the message, and when it sent its own on (monotonic ns).

    A live source took it when it was seen, or had been heard.
    """

    stage: Annotated[str, msgspec.Meta(max_length=MAX_STAGE_CHARS)]
    received: _Ns
    sent: _Ns


class Message(msgspec.Struct, kw_only=True):
    """One message on one output.

    Attributes:
        kind: `data` carries a payload · `gap` says that nothing was there from `pts` for `duration` (silence) ·
            `watermark` only moves the watermark · `eos` ends the stream, or with `stream == ""` the whole output.
        stream: which source the message came from, so that many streams share a stage.
        seq: counts data and gaps up from 0, per output and stream.
        pts: ns of running time of the thing observed; a result keeps the pts of what it was derived from.
        duration: ns.
        watermark: nothing that follows on this output and stream has a smaller pts.
        epoch: counts restarts and time jumps; a stage forgets a stream's state when it changes.
        trace: the hops so far, so that latency needs no probe.
        type: the payload's type name.
        version: of the wire format.
    """

    kind: Kind
    stream: Annotated[str, msgspec.Meta(max_length=MAX_STREAM_CHARS)]
    seq: _Count = 0
    pts: _Ns = 0
    duration: _Ns = 0
    watermark: _Ns = 0
    epoch: _Count = 0
    trace: Annotated[list[Hop], msgspec.Meta(max_length=MAX_HOPS)] = []
    type: str = ""
    payload: Any = None
    version: int = WIRE_VERSION


class Placement(TypedDict, total=False):
    """The place of a result: the header fields that a stage may set when it emits.

    `stream`, `pts`, `duration`, epoch and trace are those of `cause` where not given. `watermark` is the stage's own
    (`Stage.watermark`) where not given; a stage that emits several results for one message gives each its own pts as
    watermark, so that the next may follow. `seen` is for sources: the moment (monotonic ns) of a picture, or the end of
    sound; where not given, when it is sent.
    """

    cause: Message
    stream: str
    pts: int
    duration: int
    watermark: int
    seen: int


class WireError(ValueError):
    """Bytes that are not a message of this version and type."""


_Shape = Annotated[list[_Items], msgspec.Meta(max_length=MAX_DIMENSIONS)]


class _ArrayRef(msgspec.Struct):
    frame: Annotated[int, msgspec.Meta(ge=1, lt=MAX_PARTS)]
    dtype: str
    shape: _Shape


class _SlotRef(msgspec.Struct):
    offset: _Count
    dtype: str
    shape: _Shape


class _Header(Message, kw_only=True):
    payload: msgspec.Raw = msgspec.Raw()


class Codec:
    """Encodes and decodes the messages of one link, whose payload is of one type. Not for concurrent use.

    Args:
        place: keeps an array where the receiver can see it, and gives its offset there; None where it is to be sent.
        view: the array that lies at an offset there, by type and shape, read-only; ValueError where there is none.
    """

    def __init__(
        self,
        payload_type: type[Payload],
        *,
        place: Callable[[NDArray[Any]], int | None] | None = None,
        view: Callable[[int, str, list[int]], NDArray[Any]] | None = None,
    ) -> None:
        self._place = place
        self._view = view
        self._name = payload_type.__name__
        self._frames: list[Any] = []
        self._encoder = msgspec.msgpack.Encoder(enc_hook=self._store)
        self._header = msgspec.msgpack.Decoder(_Header)
        self._payload = msgspec.msgpack.Decoder(payload_type, dec_hook=self._restore)

    def encode(self, message: Message) -> list[Buffer]:
        """The parts of the multipart message; the arrays' bytes are views, not copies."""
        self._frames = []
        header = self._encoder.encode(message)
        return [header, *self._frames]

    def decode(self, parts: Sequence[Buffer]) -> Message:
        """The message that `parts` hold; its arrays are read-only views of them.

        Raises:
            WireError: the parts are not a message of this version and payload type.
        """
        self._frames = list(parts)
        try:
            if len(parts) > MAX_PARTS or (parts and len(parts[0]) > MAX_HEADER_BYTES):
                most = f"{MAX_PARTS} parts with a header of {MAX_HEADER_BYTES} bytes"
                raise WireError(
                    f"a message of {len(parts)} parts, the first of {len(parts[0])} bytes: more than {most}"
                )
            header = self._header.decode(parts[0])
            if header.version != WIRE_VERSION:
                raise WireError(f"wire format version {header.version}, but this side speaks {WIRE_VERSION}")
            if header.type not in ("", self._name):
                raise WireError(f"a message of type {header.type!r}, but {self._name!r} was expected")
            payload = self._payload.decode(header.payload) if header.type else None
        except WireError:
            raise
        except (msgspec.MsgspecError, ValueError, TypeError, IndexError, RecursionError) as error:
            raise WireError(f"not a message of type {self._name!r}: {error}") from None
        finally:
            self._frames = []
        return Message(
            kind=header.kind,
            stream=header.stream,
            seq=header.seq,
            pts=header.pts,
            duration=header.duration,
            watermark=header.watermark,
            epoch=header.epoch,
            trace=header.trace,
            type=header.type,
            payload=payload,
        )

    def _store(self, value: object) -> _ArrayRef | _SlotRef:
        if not isinstance(value, np.ndarray):
            raise TypeError(f"a payload cannot hold a {type(value).__name__}")
        if self._place is not None and (offset := self._place(value)) is not None:
            return _SlotRef(offset, value.dtype.str, list(value.shape))
        array = np.ascontiguousarray(value)
        self._frames.append(array.reshape(-1).view(np.uint8).data)
        return _ArrayRef(len(self._frames), array.dtype.str, list(value.shape))

    def _restore(self, wanted: Any, value: object) -> Any:
        ref: _ArrayRef | _SlotRef
        if self._view is not None and isinstance(value, dict) and "offset" in value:
            ref = msgspec.convert(value, _SlotRef)
        else:
            ref = msgspec.convert(value, _ArrayRef)
        dtype = np.dtype(get_args(get_args(wanted)[1])[0])
        if ref.dtype != dtype.str:  # as text: NumPy would make a type of any text there is
            raise ValueError(f"array of {ref.dtype[:20]}, expected {dtype.str}")
        if isinstance(ref, _SlotRef):
            assert self._view is not None
            return self._view(ref.offset, ref.dtype, ref.shape)
        if ref.frame >= len(self._frames):
            raise ValueError(f"frame {ref.frame} of {len(self._frames)}")
        array = np.frombuffer(self._frames[ref.frame], dtype).reshape(ref.shape)
        array.flags.writeable = False
        return array
