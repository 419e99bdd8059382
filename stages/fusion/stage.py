"""Faces and voice, joined by event time and fused: what both say together."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from emopipe.models.calibration import threshold
from emopipe.models.checkpoint import WEIGHTS_DIR
from emopipe.models.fusion.attribution import VoiceAttribution
from emopipe.models.fusion.model import HISTORY_S, FusionModel
from emopipe.models.labels import FACE, SPEECH, unfused
from emopipe.models.thresholds import DEFAULT_RISK, read_thresholds, shipped_weights
from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Invalid, Port, about
from emopipe.pipeline.stage import Stage
from emopipe.pipeline.stream_join import StreamJoin, latest_within
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
    work_ms = 1.0
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
        settling: Annotated[
            float,
            about(
                "how long ago a window of speech must have ended to count for a face: the time that the voice's "
                "network may take without a face waiting for it",
                unit="s",
                ge=0,
            ),
        ] = 0.08
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
        attribution: Annotated[
            Literal["mouth", "all"],
            about("whose the voice is: by the motion of the mouths one face's, or nobody's in view; or all faces'"),
        ] = "mouth"
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
            if self.settling >= self.hold:
                problems.append(
                    Invalid("settling", f"{self.settling} s is no less than hold, {self.hold} s: no face had a voice")
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

        def loads(self) -> list[str]:
            path = self.weights_path
            return [str(each.resolve()) for each in [*shipped_weights(), *([path] if path is not None else [])]]

    settings: Settings

    async def setup(self) -> None:
        self._told: set[str] = set()  # inputs whose labels have been spoken of
        path = self.settings.weights_path
        self._model = FusionModel.load(path) if path is not None else None
        # A calibrated answer of confidence c is wrong 1 - c of the time. The pool has no table that would say more.
        self._threshold = 1 - self.settings.risk
        self._thresholds = read_thresholds(shipped_weights(), self.settings.risk)
        if self._model is not None:
            self._threshold = threshold(self._model.selective, self.settings.risk)
        # A frame is what is due soon; a window that faces lag behind waits until they are as good as silent, since
        # forcing it would make all frames before it late.
        idle = round(self.settings.idle * SECOND)
        budget = {"faces": round(self.settings.budget * SECOND), "speech": idle}
        self._join = StreamJoin(self, ("speech", "faces"), self._new_fuser, self._send, budget=budget, idle=idle)

    async def process(self, port: str, message: Message) -> None:
        self._tell_labels(port, message.payload.labels)
        self._join.push(port, message)

    async def gap(self, port: str, message: Message) -> None:
        self._join.push(port, message)

    async def moved(self, port: str, stream: str, watermark: int) -> None:
        await self._join.move(port, stream, watermark)

    def watermark(self, stream: str) -> int:
        return self._join.watermark(stream)

    def reset(self, stream: str) -> None:
        if stale := self._join.pending(stream):
            self.count("stale", stream, stale)

    def _new_fuser(self) -> Fuser:
        settings = self.settings
        weights = settings.face_weight, settings.voice_weight
        history, forget = round(settings.history * SECOND), round(settings.forget * SECOND)
        return Fuser(
            NetworkCombiner(self._model, history, forget, *weights)
            if self._model is not None
            else PoolCombiner(*weights),
            partner=latest_within(round(settings.hold * SECOND)),
            settling=round(settings.settling * SECOND),
            smoother=Smoother(settings.smoothing, settings.forget),
            threshold=self._threshold,
            alone=self._thresholds,
            assumed=1 - settings.risk,
            attribution=VoiceAttribution() if settings.attribution == "mouth" else None,
            faces=self.connected("faces"),
            counters=self.counters,
        )

    def _tell_labels(self, port: str, labels: list[str]) -> None:
        """Say once of a model of another maker what does not hold of its results."""
        if not labels or port in self._told:
            return
        self._told.add(port)
        problem = unfused(port, labels, FACE if port == "faces" else SPEECH)
        if problem and self.connected("faces") and self.connected("speech"):
            self.warn(problem)
        self.warn(
            f"{port}: judged by another maker's model, or one of your own, so the share of wrong answers that `risk` "
            f"allows is not promised, and what is below {100 * (1 - self.settings.risk):.0f} % is called uncertain"
        )

    async def _send(self, stream: str, output: Output, following: int) -> None:
        if output.result is None:
            await self.emit_gap("emotions", cause=output.cause, watermark=following)
        else:
            self.count("forced", stream, int(output.result.forced))
            await self.emit("emotions", output.result, cause=output.cause, watermark=following)
