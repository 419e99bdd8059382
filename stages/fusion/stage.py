"""Faces and voice, joined by event time and fused: what both say together."""

import asyncio
from collections import deque
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from emopipe.models.calibration import threshold
from emopipe.models.checkpoint import WEIGHTS_DIR
from emopipe.models.fusion.model import HISTORY_S, FusionModel
from emopipe.models.thresholds import DEFAULT_RISK, read_thresholds, shipped_weights
from emopipe.pipeline.clock import SECOND, Wakeup
from emopipe.pipeline.join import EventTimeJoin
from emopipe.pipeline.message import FOREVER, Message
from emopipe.pipeline.port import Invalid, Port, about
from emopipe.pipeline.stage import Stage
from emopipe.stages.fusion.combiners import NetworkCombiner, PoolCombiner
from emopipe.stages.fusion.fuser import Fuser, Output
from emopipe.stages.fusion.smoothing import Smoother
from emopipe.stages.types import Emotions, FaceEmotions, SpeechEmotion

SHIPPED = {
    "decision": "fusion.safetensors",
    "feature": "fusion-feature.safetensors",
    "attention": "fusion-attention.safetensors",
}


class Fusion(Stage):
    """Fuses what each face and the voice express; a face without a voice and a voice without a face count too."""

    name = "fusion"
    # In the join's order: at equal times a window is known before the face.
    inputs: ClassVar[dict[str, Port]] = {
        "speech": Port(SpeechEmotion, "what the voice expresses, window by window", optional=True, size=8),
        "faces": Port(FaceEmotions, "what the faces express, frame by frame", optional=True, size=8),
    }
    outputs: ClassVar[dict[str, Port]] = {
        "emotions": Port(Emotions, "one result a frame, and one a window of speech while no face is in view")
    }

    class Settings(Stage.Settings):
        hold: Annotated[float, about("how long a window of speech stays the partner of frames", unit="s", gt=0)] = 1.0
        method: Annotated[
            Literal["pool", "decision", "feature", "attention"],
            about("a trained network of this kind, or the untrained pool of both distributions by their certainty"),
        ] = "decision"
        weights: Annotated[
            str,
            about("a file made by `emopipe train fusion`, whatever its network; empty: the shipped one of `method`"),
        ] = ""
        history: Annotated[
            float, about("how long a face's past counts for a trained network", unit="s", gt=0, le=HISTORY_S)
        ] = 2.0
        risk: Annotated[
            float, about("share of wrong answers tolerated among those that are not uncertain; 1: none is", gt=0, le=1)
        ] = DEFAULT_RISK
        smoothing: Annotated[float, about("time constant of the smoothing; 0 turns it off", unit="s", ge=0)] = 0.3
        forget: Annotated[float, about("a face away for longer starts anew", unit="s", gt=0)] = 2.0
        face_weight: Annotated[float, about("how much faces count, against the voice", ge=0)] = 1.0
        voice_weight: Annotated[float, about("how much the voice counts, against faces", ge=0)] = 1.0
        budget: Annotated[float, about("in live mode, how long a frame waits for speech at most", unit="s", ge=0)] = 0.3
        idle: Annotated[
            float,
            about("in live mode, an input silent for so long is not waited for until it speaks again", unit="s", gt=0),
        ] = 2.0

        def check(self) -> list[Invalid]:
            problems = []
            if self.face_weight == self.voice_weight == 0:
                problems.append(
                    Invalid("face_weight", "0 together with voice_weight = 0 leaves nothing to fuse; raise one of them")
                )
            if self.method == "pool" and self.weights:
                problems.append(Invalid("weights", 'the pool has none; leave them out, or set method = "decision"'))
            if (path := self.weights_path) is not None and not path.is_file():
                problems.append(
                    Invalid("weights", f"{path}: no such file; train it with `emopipe train fusion`, or restore it")
                )
            if self.forget < self.smoothing:
                problems.append(
                    Invalid(
                        "forget",
                        f"{self.forget} s is less than smoothing, {self.smoothing} s, which it would cut off",
                    )
                )
            return problems

        @property
        def weights_path(self) -> Path | None:
            """The trained network's file; None for the pool."""
            if self.weights:
                return Path(self.weights)
            return None if self.method == "pool" else WEIGHTS_DIR / SHIPPED[self.method]

        def reads(self) -> list[str]:
            path = self.weights_path
            return [] if path is None else [str(path.resolve())]

    settings: Settings

    async def setup(self) -> None:
        path = self.settings.weights_path
        self._model = FusionModel.load(path) if path is not None else None
        # A calibrated answer of confidence c is wrong 1 - c of the time. The pool has no table that would say more.
        self._threshold = 1 - self.settings.risk
        self._thresholds = read_thresholds(shipped_weights(), self.settings.risk)
        if self._model is not None:
            self._threshold = threshold(self._model.selective, self.settings.risk)
        self._lines: dict[str, _Line] = {}
        self._due: dict[str, int] = {}  # live: when more may go out although nothing arrives, by stream
        self._wakeup = Wakeup(self.host.clock)
        self._watch: asyncio.Task[None] | None = None
        if self.host.mode == "live":  # in replay there are no deadlines: nothing but the messages decides
            self._watch = self.exit.task(self._watch_deadlines())

    async def process(self, port: str, message: Message) -> None:
        line = self._line(message.stream)
        if not line.push(port, message, self.host.clock.now()) and message.kind == "data":  # a gap brings nothing
            self.count(f"late_{port}", message.stream)
            if port == "speech":
                line.fuser.add_late(message)

    async def gap(self, port: str, message: Message) -> None:
        await self.process(port, message)

    async def moved(self, port: str, stream: str, watermark: int) -> None:
        self._line(stream).move(port, watermark, self.host.clock.now())
        await self._release(stream)
        if self._watch is not None:
            if self._watch.done():
                self._watch.result()  # raises what ended it
            self._set_due(stream)
            self._wakeup.set()

    def watermark(self, stream: str) -> int:
        return self._lines[stream].watermark if stream in self._lines else self.host.input_watermark(stream)

    def reset(self, stream: str) -> None:
        old = self._lines.pop(stream, None)
        self._due.pop(stream, None)
        if old is None:
            return
        if stale := old.join.pending + old.fuser.pending + len(old.unsent):
            self.count("stale", stream, stale)

    def _line(self, stream: str) -> "_Line":
        if stream not in self._lines:
            ports = [port for port in self.inputs if self.connected(port)]
            live = self.host.mode == "live"
            fuser = self._fuser(faces="faces" in ports)
            self._lines[stream] = _Line(ports, fuser, self.settings, live, self.host.clock.now())
        return self._lines[stream]

    def _fuser(self, faces: bool) -> Fuser:
        settings = self.settings
        weights = settings.face_weight, settings.voice_weight
        history, forget = round(settings.history * SECOND), round(settings.forget * SECOND)
        return Fuser(
            NetworkCombiner(self._model, history, forget, *weights)
            if self._model is not None
            else PoolCombiner(*weights),
            hold=round(settings.hold * SECOND),
            smoother=Smoother(settings.smoothing, settings.forget),
            threshold=self._threshold,
            alone=self._thresholds,
            faces=faces,
            counters=self.counters,
        )

    async def _release(self, stream: str) -> None:
        line = self._lines[stream]
        line.collect(self.host.clock.now())
        async with line.turn:
            while line.unsent and self._lines.get(stream) is line:  # else its time has jumped meanwhile
                cause, result = line.unsent[0]
                bound = line.following
                if result is None:
                    await self.emit_gap("emotions", cause=cause, watermark=bound)
                else:
                    self.count("forced", stream, int(result.forced))
                    await self.emit("emotions", result, cause=cause, watermark=bound)
                line.unsent.popleft()  # only now: what waits for room still bounds the watermark

    async def _watch_deadlines(self) -> None:
        while True:
            await self._wakeup.wait(min(self._due.values(), default=None))
            now = self.host.clock.now()
            for stream in sorted((each for each, due in self._due.items() if due <= now), key=self._due.__getitem__):
                if stream in self._lines:  # it may have ended while another had to wait for room
                    await self._release(stream)
                    await self.advance(stream)
                    self._set_due(stream)

    def _set_due(self, stream: str) -> None:
        line = self._lines.get(stream)
        due = None if line is None else line.join.next_deadline(self.host.clock.now())
        if due is None:
            self._due.pop(stream, None)
        else:
            self._due[stream] = due


class _Line:
    """One stream: its join, its fuser, and the results on their way out."""

    def __init__(self, ports: list[str], fuser: Fuser, settings: Fusion.Settings, live: bool, now: int) -> None:
        idle = round(settings.idle * SECOND)
        # A frame is what is due soon; a window that faces lag behind waits until they are as good as silent, since
        # forcing it would make all frames before it late.
        budget = {"faces": round(settings.budget * SECOND), "speech": idle}
        self.ports = ports
        self.join: EventTimeJoin[Message] = EventTimeJoin(
            ports, budget=budget if live else None, idle=idle if live else None, now=now
        )
        self.fuser = fuser
        self.unsent: deque[Output] = deque()
        self.turn = asyncio.Lock()  # a deadline may pass while results wait for room

    def push(self, port: str, message: Message, now: int) -> bool:
        """Take a message; False if it is late."""
        self._reopen(port, now)
        return self.join.push(port, message.pts, message, now)

    def move(self, port: str, watermark: int, now: int) -> None:
        if watermark < FOREVER:
            self._reopen(port, now)
            self.join.advance(port, watermark, now)
        elif port not in self.join.ended:
            self.join.end(port, now)

    def _reopen(self, port: str, now: int) -> None:
        """Plugged in again while the other input went on."""
        if port in self.join.ended:
            self.join.reopen(port, now)
            if port == "faces":
                self.fuser.faces_returned()

    def collect(self, now: int) -> None:
        """Fuse what the join releases."""
        for event in self.join.pop(now):
            self.unsent += self.fuser.push(event)
        self.unsent += self.fuser.flush_before(self.join.watermark)
        if "faces" in self.ports and self.join.silent("faces", now):
            self.unsent += self.fuser.flush_voice_only()

    @property
    def watermark(self) -> int:
        """The smallest pts that may still go out."""
        return min(self.unsent[0].cause.pts if self.unsent else FOREVER, self.fuser.watermark, self.join.watermark)

    @property
    def following(self) -> int:
        """The smallest pts that may go out after the first that is unsent."""
        later = self.unsent[1].cause.pts if len(self.unsent) > 1 else FOREVER
        return min(later, self.fuser.watermark, self.join.watermark)
