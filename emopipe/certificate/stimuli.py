"""Stimuli of known moments: a face that appears and a voice that begins at once, sent as a network camera does."""

import contextlib
import random
import socket
import threading
import time
from bisect import bisect_right
from collections.abc import Callable
from fractions import Fraction
from itertools import accumulate
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.errors import EmopipeError
from emopipe.stages.capture import speech_synthesis
from emopipe.stages.capture.pattern import WORDS, portrait
from emopipe.stages.media.audio import SAMPLE_RATE_HZ

FPS = 25  # of which each picture lasts a whole number of samples
WIDTH_PX, HEIGHT_PX = 640, 360
SHOWN_S = 1.5  # how long a face is there and the voice speaks
PAUSE_S = 3.0  # at least, from one to the next: longer than a window of speech stays beside faces
MAX_EXTRA_PAUSE_S = 0.5  # so that no period of the machine's falls in with ours
BLACK, QUIET = 16, 0.05
AHEAD_SAMPLES = 16  # of the voice, sent before they are complete
CONNECT_S = 60.0
POLL_S = 0.2


class Stimuli:
    """Sends a black picture and silence, and from `begin` on a face and a voice, `count` times; a thread of its own.

    Each picture is handed over at its moment, and each 40 ms of sound when it is complete, as devices do.

    Attributes:
        moments: when each began (monotonic ns): of the picture when it was handed over, of the voice its first sample.
        ended: set when all have been sent.
        problem: what ended it before that, if anything did.
    """

    def __init__(self, count: int, *, seed: int = 0) -> None:
        self.moments: list[tuple[int, int]] = []
        self.ended = threading.Event()
        self.problem: Exception | None = None
        self._begun = threading.Event()
        self._stopped = threading.Event()
        self._face = _picture()
        self._voice = voice()
        self._pauses = pauses(count, seed)
        # Not FFmpeg's own listening: PyAV would hold the GIL until somebody calls.
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(POLL_S)
        self.address = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, name="stimuli", daemon=True)

    @property
    def seconds(self) -> float:
        """How long all of them take from `begin` on."""
        return seconds(self._pauses)

    def start(self) -> None:
        """Wait for one who watches, and let them see nothing."""
        self._thread.start()

    def begin(self) -> None:
        """Show and say."""
        self._begun.set()

    def __enter__(self) -> "Stimuli":
        return self

    def __exit__(self, *error: object) -> None:
        """End at once, and let go of the address."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join(CONNECT_S)
        self._server.close()

    def _run(self) -> None:
        try:
            with self._accept() as connection, connection.makefile("wb", buffering=0) as file:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with av.open(file, "w", format="nut", container_options={"flush_packets": "1"}) as out:
                    self._send(out)
        except (OSError, av.error.FFmpegError) as error:
            if not self._stopped.is_set():  # who watched has gone
                self.problem = error
        finally:
            self.ended.set()

    def _accept(self) -> socket.socket:
        while not self._stopped.is_set():
            with contextlib.suppress(TimeoutError):
                return self._server.accept()[0]
        raise OSError("nobody has come")

    def _send(self, out: Any) -> None:
        picture = out.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "tune": "zerolatency"})
        picture.width, picture.height, picture.pix_fmt, picture.gop_size = WIDTH_PX, HEIGHT_PX, "yuv420p", FPS
        sound = out.add_stream("pcm_s16le", rate=SAMPLE_RATE_HZ, layout="mono")
        size = SAMPLE_RATE_HZ // FPS
        black = np.full((HEIGHT_PX, WIDTH_PX, 3), BLACK, np.uint8)
        changes: list[int] = []  # the pictures at which a face comes or goes, in turn; known from `begin` on
        start, number, shown = time.monotonic_ns(), 0, 0
        while not self._stopped.is_set():
            if not changes and self._begun.is_set():
                changes = self._changes(number)
            at = bisect_right(changes, number)
            if changes and number >= changes[-1] + PAUSE_S * FPS:
                return
            there = at % 2 == 1
            due = start + number * SECOND // FPS
            self._stopped.wait(max(0, due - time.monotonic_ns()) / SECOND)
            if there and changes[at - 1] == number:
                shown = number
                self.moments.append((time.monotonic_ns(), due))
            frame = av.VideoFrame.from_ndarray(self._face if there else black, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            out.mux(picture.encode(frame))
            heard = np.zeros(size, np.int16)
            if there and len(part := self._voice[(number - shown) * size :][:size]):
                heard[: len(part)] = part
            first = number * size
            # The muxer keeps a picture until there is sound of its time: 1 ms of it lets the picture go at once.
            out.mux(sound.encode(_block(heard[:AHEAD_SAMPLES], first)))
            self._stopped.wait(max(0, due + SECOND // FPS - time.monotonic_ns()) / SECOND)
            out.mux(sound.encode(_block(heard[AHEAD_SAMPLES:], first + AHEAD_SAMPLES)))
            number += 1

    def _changes(self, number: int) -> list[int]:
        """The pictures, counted on from `number`, at which a face and a voice come and go."""
        lengths = [length for pause in self._pauses for length in (pause, SHOWN_S)]
        return [number + round(end * FPS) for end in accumulate(lengths)]


def pauses(count: int, seed: int) -> list[float]:
    """Those before each of so many stimuli, in s."""
    extra = random.Random(seed)
    return [PAUSE_S + extra.random() * MAX_EXTRA_PAUSE_S for _ in range(count)]


def seconds(pauses: list[float]) -> float:
    """How long stimuli with these pauses take, with that after the last."""
    return sum(pauses) + len(pauses) * SHOWN_S + PAUSE_S


def wait_until(condition: Callable[[], bool], stopped: threading.Event, seconds: float) -> bool:
    """Whether `condition` came true within that time, and before `stopped`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline or stopped.wait(0.02):
            return False
    return True


def _block(samples: NDArray[np.int16], first: int) -> Any:
    """Sound from its sample of that number on."""
    block = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    block.sample_rate, block.pts, block.time_base = SAMPLE_RATE_HZ, first, Fraction(1, SAMPLE_RATE_HZ)
    return block


def _picture() -> NDArray[np.uint8]:
    """A face on black, RGB.

    Raises:
        EmopipeError: there is none.
    """
    made = np.full((HEIGHT_PX, WIDTH_PX, 3), BLACK, np.uint8)
    face = portrait(HEIGHT_PX * 4 // 5)
    top, left = (HEIGHT_PX - len(face)) // 2, (WIDTH_PX - len(face)) // 2
    made[top : top + len(face), left : left + len(face)] = face
    return made


def voice() -> NDArray[np.int16]:
    """A voice that begins with its first sample.

    Raises:
        EmopipeError: there is none.
    """
    if not speech_synthesis.installed():
        raise EmopipeError("certify needs a face and a voice to show: pip install 'emopipe[demo]'")
    [spoken] = speech_synthesis.speak(WORDS[0])
    loud = np.flatnonzero(np.abs(spoken) > QUIET)
    return (spoken[loud[0] :][: round(SHOWN_S * SAMPLE_RATE_HZ)] * 32767).astype(np.int16)
