"""A device or a network stream, opened, read and decoded in a thread of its own."""

import asyncio
import errno
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal, NamedTuple

import av
from av.container import InputContainer

from emopipe.pipeline.clock import MS, SECOND, SystemClock
from emopipe.pipeline.errors import MediaError
from emopipe.stages.media.container import limit_pixels, pixel_problem, too_large
from emopipe.stages.media.damage import FFmpegErrors, explain

Kind = Literal["video", "audio"]

MIN_AUDIO_NS = 20 * MS
"""Audio is gathered until there is so much (ns): some devices give a few ms at a time."""

EXIT_TIMEOUT_S = 1.0  # s: a thread that has not noticed by then that it is over is left to itself


class CapturedFrame(NamedTuple):
    """One decoded frame.

    Attributes:
        kind: of which track.
        frame: video or audio.
        time: its own, as the container says it (ns), if it does.
        duration: ns, 0 if unknown.
        arrived: when its packet came (monotonic ns).
    """

    kind: Kind
    frame: Any
    time: int | None
    duration: int
    arrived: int


class OpenError(MediaError):
    """An input that cannot be opened. `errno` says why where the system did, `reason` in FFmpeg's words."""

    def __init__(self, reason: str, number: int | None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.errno = number


class FFmpegReader:
    """One opened input. Its thread is a daemon: a driver that never returns from a call cannot hold anybody up.

    Args:
        address: a device's name, or a URL.
        format: FFmpeg's name of it; empty: found out by the address.
        options: FFmpeg's, for the format and the protocol.
        kinds: of the tracks to read; those that are not there are left out.
        on_frame: called in the thread with each frame.
        on_damage: called in the event loop for each packet that cannot be decoded.
        timeout: how long opening and each read may take, in s; devices do not heed it, so that `ended` watches.
    """

    def __init__(
        self,
        address: str,
        *,
        format: str,
        options: Mapping[str, str],
        kinds: Sequence[Kind],
        on_frame: Callable[[CapturedFrame], None],
        on_damage: Callable[[], None],
        timeout: float,
    ) -> None:
        self.kinds: list[Kind] = []
        self.size = (0, 0)
        self.finite = False
        """Whether it has an end of its own, as a file on a server has."""
        self.timeless = False
        """Whether the times it bears are made up: Motion JPEG has none, and FFmpeg counts 25 frames a second."""
        self._address = address
        self._format = format
        self._options = dict(options)
        self._kinds_wanted = kinds
        self._on_frame = on_frame
        self._on_damage = on_damage
        self._timeout = timeout
        self._stop = threading.Event()
        self._last_packet_s = time.monotonic()
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[OpenError | None] = self._loop.create_future()
        self._ended: asyncio.Future[str] = self._loop.create_future()
        self._thread = threading.Thread(target=self._work, name=f"read {format or 'network'}", daemon=True)

    async def open(self) -> None:
        """Open it, and begin to read.

        Raises:
            OpenError: it cannot be opened, has none of the tracks wanted, or did not answer in time.
        """
        self._thread.start()
        # FFmpeg has as long to connect and again to look what comes; a device's driver knows no limit but ours.
        await asyncio.wait([self._opened], timeout=2 * self._timeout + EXIT_TIMEOUT_S)
        if not self._opened.done():
            self._stop.set()
            raise OpenError(f"no answer within {self._timeout:g} s", errno.ETIMEDOUT)
        if (error := self._opened.result()) is not None:
            raise error

    async def ended(self) -> str:
        """Wait until it ends, fails, or gives nothing for `timeout`; returns the reason."""
        while True:
            await asyncio.wait([self._ended], timeout=min(0.5, self._timeout))
            if self._ended.done():
                return self._ended.result()
            if time.monotonic() - self._last_packet_s > self._timeout:
                return f"nothing came for {self._timeout:g} s"

    async def close(self) -> None:
        """Stop reading. May be called at any time, and twice."""
        self._stop.set()
        if self._thread.is_alive() and self._opened.done():
            await asyncio.wait([self._ended], timeout=EXIT_TIMEOUT_S)

    @property
    def stopped(self) -> threading.Event:
        """Set once nobody wants more: a `take` that waits, waits on this."""
        return self._stop

    # -- in the thread ---------------------------------------------------------------------------------------

    def _work(self) -> None:
        reason = "it was closed"
        try:
            with self._connect() as container:
                streams = self._choose(container)
                self._resolve(self._opened, None)
                reason = self._read(container, streams)
        except OpenError as error:
            self._resolve(self._opened, error)
        except Exception as error:  # nobody else would ever hear of it
            reason = f"{type(error).__name__}: {error}"
        finally:
            self._resolve(self._ended, reason)

    def _connect(self) -> InputContainer:
        errors = FFmpegErrors()
        with errors.capture() as logs:
            try:
                return av.open(
                    self._address,
                    format=self._format or None,
                    # Not `options`, which decoders get too: one of raw frames takes the size asked for as theirs.
                    container_options=self._options,
                    timeout=self._timeout,
                    metadata_errors="replace",
                )
            except av.error.FFmpegError as error:
                raise OpenError(explain(error, logs), error.errno) from None
            except (OSError, ValueError) as error:
                raise OpenError(str(error), getattr(error, "errno", None)) from None
            finally:
                errors.close()

    def _choose(self, container: InputContainer) -> list[Any]:
        chosen: list[Any] = []
        for kind in self._kinds_wanted:
            stream: Any = container.streams.best(kind)
            if stream is not None and stream.codec_context is not None:
                chosen.append(stream)
                self.kinds.append(kind)
                if kind == "video":
                    if too_large(stream.width, stream.height):
                        raise OpenError(pixel_problem(stream.width, stream.height), None)
                    limit_pixels(stream)
                    stream.codec_context.thread_count = 1  # more would only wait for each other's frames
                    self.size = (stream.width, stream.height)
        if not chosen:
            found = ", ".join(stream.type for stream in container.streams) or "nothing"
            raise OpenError(f"it gives no {' and no '.join(self._kinds_wanted)} that can be decoded, but {found}", None)
        self.finite = bool(container.duration)
        self.timeless = container.format.name in ("mpjpeg", "mjpeg")
        return chosen

    def _read(self, container: InputContainer, streams: list[Any]) -> str:
        kinds: dict[int, Kind] = {stream.index: kind for stream, kind in zip(streams, self.kinds, strict=True)}
        gatherer = _AudioGatherer()
        try:
            for packet in container.demux(streams):
                if self._stop.is_set():
                    return "it was closed"
                arrived = SystemClock().now()
                self._last_packet_s = arrived / SECOND
                kind = kinds[packet.stream_index]
                try:
                    frames = packet.decode()
                except av.error.InvalidDataError:
                    self._call(self._on_damage)
                    continue
                for frame in frames:
                    captured = _captured_frame(kind, frame, arrived)
                    whole = gatherer.add(captured) if kind == "audio" else captured
                    if whole is not None:
                        self._on_frame(whole)
        except av.error.EOFError:
            pass
        except av.error.ExitError:
            return f"nothing came for {self._timeout:g} s"
        except av.error.FFmpegError as error:
            return error.strerror or type(error).__name__
        return "it ended"

    def _resolve(self, future: "asyncio.Future[Any]", result: Any) -> None:
        def tell() -> None:
            if not future.done():
                future.set_result(result)

        self._call(tell)

    def _call(self, function: Callable[[], None]) -> None:
        """Have the event loop call it, unless that is over: then we were left to ourselves."""
        if not self._loop.is_closed():
            with suppress(RuntimeError):  # closed just now
                self._loop.call_soon_threadsafe(function)


def _captured_frame(kind: Kind, frame: Any, arrived: int) -> CapturedFrame:
    base = frame.time_base
    time = round(frame.pts * base * SECOND) if frame.pts is not None and base else None
    if kind == "audio":
        duration = frame.samples * SECOND // frame.sample_rate if frame.sample_rate else 0
    else:
        duration = round(frame.duration * base * SECOND) if frame.duration and base else 0
    return CapturedFrame(kind, frame, time, duration, arrived)


class _AudioGatherer:
    """Puts short audio frames together."""

    def __init__(self) -> None:
        self._fifo: av.AudioFifo | None = None
        self._pending_ns = 0  # ns

    def add(self, captured: CapturedFrame) -> CapturedFrame | None:
        """`captured` with what was held before it, once that is long enough."""
        if self._fifo is None and captured.duration >= MIN_AUDIO_NS:
            return captured
        if self._fifo is None:
            self._fifo = av.AudioFifo()
        captured.frame.pts = None  # counted by us
        self._fifo.write(captured.frame)
        before, self._pending_ns = self._pending_ns, self._pending_ns + captured.duration
        if self._pending_ns < MIN_AUDIO_NS:
            return None
        frame, duration = self._fifo.read(), self._pending_ns
        self._fifo, self._pending_ns = None, 0
        time = None if captured.time is None else captured.time - before
        return CapturedFrame("audio", frame, time, duration, captured.arrived)
