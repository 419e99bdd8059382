"""Results on the terminal, for a person to watch."""

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

from rich.console import Console
from rich.live import Live

from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Port, about
from emopipe.pipeline.resources import PerStream
from emopipe.pipeline.stage import Stage
from emopipe.stages.sinks.records import count_result
from emopipe.stages.sinks.view import StreamView, labels, line, moment, table
from emopipe.stages.types import Emotions

DRAW_PERIOD_NS = 125 * MS  # how often the table is drawn
MAX_ENDED_STREAMS = 8  # streams that stay in view after their end, at most


class Terminal(Stage):
    """Shows who expresses what: a live table on a terminal, plain lines anywhere else.

    A line is printed where a label has changed; what changes faster than the limit is printed as soon as it allows.
    A replay that begins anew after a crash prints no line twice.
    """

    name = "console"
    work_ms = 0.3
    resumes = True
    patient = True  # a terminal may be paused, and what reads a pipe too
    # Nobody reads 30 results a second: a slow terminal must not hold up a live pipeline.
    inputs: ClassVar[dict[str, Port]] = {
        "emotions": Port(Emotions, "the results to show", policy="drop-oldest", size=64)
    }

    class Settings(Stage.Settings, kw_only=True):
        style: Annotated[
            Literal["auto", "table", "lines"], about("`auto` draws a table where standard output is a terminal")
        ] = "auto"
        interval: Annotated[
            float, about("least running time between two plain lines of one stream", unit="s", ge=0, le=3600)
        ] = 0.25

    settings: Settings

    async def setup(self) -> None:
        self._views: dict[str, StreamView] = {}
        self._printed: PerStream[Message | None] = self.per_stream(lambda: None)  # the result of its newest line
        self._lines: PerStream[int] = self.per_stream(int)
        self._drawing: asyncio.Task[None] | None = None  # only where there is a table
        self._live: Live | None = None
        self._muted = False
        screen = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        if self.settings.style == "table" or (self.settings.style == "auto" and screen):
            self.exit.callback(self._stop_table)
            self._drawing = self.exit.task(self._redraw())

    async def process(self, port: str, message: Message) -> None:
        count_result(self, message)
        view = self._views.get(message.stream)
        if view is None or view.ended:
            # A stream that has ended stays in view until there is a newer one to see.
            self._views = {stream: view for stream, view in self._views.items() if not view.ended}
            self._views[message.stream] = StreamView(message)
        self._views[message.stream].update(message, self.host.clock.now())
        if self._drawing is None:
            self._print_change(message, int(self.settings.interval * SECOND))
        elif self._drawing.done():
            self._drawing.result()  # raises what ended it

    async def gap(self, port: str, message: Message) -> None:
        count_result(self, message)

    async def flush(self, stream: str) -> None:
        view = self._views.get(stream)
        if view is None:
            return
        view.ended = True
        for gone in [each for each, other in self._views.items() if other.ended][:-MAX_ENDED_STREAMS]:
            del self._views[gone]
        if self._drawing is None:
            self._print_change(view.message, 0)
            self._print(f"{moment(view.message)}  ended", stream)

    # -- lines -----------------------------------------------------------------------------------------------

    def _print_change(self, message: Message, interval: int) -> None:
        """Print a line for `message` if a label is not what the newest line said, and that is `interval` ns old."""
        printed = self._printed[message.stream]
        if printed is not None and (
            message.pts - printed.pts < interval or labels(message.payload) == labels(printed.payload)
        ):
            return
        self._printed[message.stream] = message
        self._print(line(message), message.stream)

    def _print(self, text: str, stream: str) -> None:
        self._lines[stream] += 1
        if self.host.mode == "replay":  # which gives the same lines again after a crash
            if self._lines[stream] <= self.host.journal.get(f"lines {stream}", 0):
                return
            self.host.journal.set(f"lines {stream}", self._lines[stream])
        encoding = sys.stdout.encoding
        self._show(lambda: print(text.encode(encoding, "replace").decode(encoding), flush=True))

    # -- the table -------------------------------------------------------------------------------------------

    async def _redraw(self) -> None:
        clock = self.host.clock
        while True:
            self._draw()
            await clock.sleep_until(clock.now() + DRAW_PERIOD_NS)

    def _draw(self) -> None:
        if not self._views:
            return
        live = self._live or self._start()
        picture = table(
            self._views.values(),
            self.host.clock.now(),
            width=live.console.width,
            ascii_only=live.console.options.ascii_only,
        )
        self._show(lambda: live.update(picture, refresh=True))

    def _stop_table(self) -> None:
        self._draw()
        if self._live is not None:
            self._show(self._live.stop)

    def _start(self) -> Live:
        screen = Console(force_terminal=True)  # that there is to be a table is settled
        live = Live(console=screen, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._show(live.start)
        # The process may be killed, and must not leave a terminal without a cursor behind.
        self._show(lambda: live.console.show_cursor(True))
        self._live = live
        return live

    def _show(self, write: Callable[[], object]) -> None:
        """Write to standard output; if nobody reads it any more, stay silent from there on and let the run go on."""
        if self._muted:
            return
        try:
            write()
        except OSError as error:
            self._muted = True
            # What is still buffered would fail once more when the interpreter ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self.warn(f"standard output cannot be written ({error.strerror}); console shows nothing from here on")
