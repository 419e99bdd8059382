"""Bases of the inference stages: rows of messages go through a model in batches, in the stage's own thread."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

import msgspec

from emopipe.models.calibration import prior_problem
from emopipe.models.checkpoint import WEIGHTS_DIR, read_card
from emopipe.models.labels import Vocabulary, as_emotion, vocabulary
from emopipe.models.loading import set_torch_threads
from emopipe.models.warm import kept
from emopipe.pipeline.batcher import Batcher
from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.errors import ModelError
from emopipe.pipeline.message import Message, Payload
from emopipe.pipeline.port import Invalid, about
from emopipe.pipeline.stage import Stage
from emopipe.pipeline.text import instead, show

Row = TypeVar("Row")


class BatchedInference(Stage, Generic[Row]):
    """Batches the rows of its one input's messages, over streams, and emits a result for each message in order.

    A subclass names its ports and says how its model is opened, which rows a payload has, what the model makes of
    rows, and which payload becomes of the answers. Results wait for the batch before them, never longer than
    `max_delay` for company, and have the same bits whatever the batch (on CPU; see the models).
    """

    class Settings(Stage.Settings):
        batch_size: Annotated[int, about("how many are inferred at once at most", ge=1, le=256)] = 16
        max_delay: Annotated[
            float,
            about("how long one waits for a batch to fill; 0: never longer than the model is busy", unit="s", ge=0),
        ] = 0.0
        backlog: Annotated[
            float,
            about(
                "in live mode, how much may wait for the model, in the time it takes to infer that; beyond it the "
                "stage before has to wait",
                unit="s",
                ge=0,
            ),
        ] = 0.02

    settings: Settings

    # -- what a subclass provides; the first two run in the stage's thread -------------------------------------

    def open(self) -> Any:
        """The model, warmed up."""
        raise NotImplementedError

    def infer(self, model: Any, rows: list[Row]) -> list[list[float]]:
        """One distribution for each row."""
        raise NotImplementedError

    def rows(self, payload: Any) -> Sequence[Row]:
        """The rows of one message."""
        raise NotImplementedError

    def result(self, payload: Any, answers: list[list[float]]) -> Payload | None:
        """The payload for one message, from one distribution for each of its rows; None leaves a gap."""
        raise NotImplementedError

    # -- the stage -----------------------------------------------------------------------------------------------

    async def setup(self) -> None:
        self._model = await self.compute(self.open)
        self._batcher: Batcher[Message, Row, list[float]] = Batcher(
            self._infer,
            self._deliver,
            self.advance,
            max_size=self.settings.batch_size,
            max_delay=round(self.settings.max_delay * SECOND),
            clock=self.host.clock,
            backlog=round(self.settings.backlog * SECOND) if self.host.mode == "live" else None,
        )
        self.exit.push_async_callback(self._batcher.close)

    async def process(self, port: str, message: Message) -> None:
        await self._batcher.put(message.stream, message.pts, message, self.rows(message.payload))

    async def gap(self, port: str, message: Message) -> None:
        await self._batcher.put(message.stream, message.pts, message, [])  # in its place among the results

    async def flush(self, stream: str) -> None:
        await self._batcher.drain(stream)

    def reset(self, stream: str) -> None:
        if stale := self._batcher.forget(stream):
            self.count("stale", stream, stale)

    def watermark(self, stream: str) -> int:
        return self._batcher.watermark(stream, self.host.input_watermark(stream))

    async def _infer(self, rows: list[Row]) -> list[list[float]]:
        self.counters["batches"] += 1
        return await self.compute(self.infer, self._model, rows)

    async def _deliver(self, message: Message, answers: list[list[float]], following: int) -> None:
        bound = min(following, self.host.input_watermark(message.stream))
        (output,) = self.outputs
        if message.kind == "gap":
            await self.emit_gap(output, cause=message, watermark=bound)
        else:
            self.count("inferred", message.stream, len(answers))
            payload = self.result(message.payload, answers)
            if payload is None:
                self.count("unanswered", message.stream)
                await self.emit_gap(output, cause=message, watermark=bound)
            else:
                await self.emit(output, payload, cause=message, watermark=bound)


class Inference(BatchedInference[Row]):
    """Base of the stages that run a checkpoint of emopipe's, with its calibration, under a prior of their own."""

    class Settings(BatchedInference.Settings):
        task: ClassVar[str]  # names the shipped weights
        labels: ClassVar[tuple[str, ...]]

        weights: Annotated[str, about("a file made by `emopipe train`; empty: the shipped one")] = ""
        device: Annotated[Literal["auto", "cpu", "cuda"], about("where to infer; auto: on a GPU if there is one")] = (
            "auto"
        )
        threads: Annotated[
            int, about("CPU threads of a model that runs in PyTorch; more are rarely faster", ge=1, le=256)
        ] = 1
        emotions: Annotated[
            dict[str, str],
            about('what a label of own weights counts as, where its name is no emotion: { content = "happy" }'),
        ] = {}  # noqa: RUF012
        prior: Annotated[
            Literal["training", "uniform", "neutral"] | dict[str, float],
            about(
                "how common each label is where this runs: training (as in the training data), uniform, neutral (live "
                "use: 60 % neutral), or the share of some labels, as { neutral = 0.5 }; the others divide the rest"
            ),
        ] = "training"

        def check(self) -> list[Invalid]:
            problems = []
            path = self.weights_path
            if path.is_dir():
                problems.append(
                    Invalid("weights", f"{path} is a directory, but a file of weights is expected; name the file in it")
                )
            elif not path.is_file():
                problems.append(
                    Invalid(
                        "weights", f"{path}: no such file; train it with `emopipe train {self.task}`, or restore it"
                    )
                )
            labels = self._own_labels()
            if problem := prior_problem(self.prior, labels):
                problems.append(Invalid("prior", problem))
            return problems + emotions_problems(self.emotions, labels, self.labels)

        def _own_labels(self) -> tuple[str, ...]:
            """The labels of the weights; whoever cannot be read is reported when it is loaded."""
            try:
                return tuple(read_card(self.weights_path).labels) if self.weights else self.labels
            except ModelError:
                return self.labels

        @property
        def weights_path(self) -> Path:
            return Path(self.weights) if self.weights else WEIGHTS_DIR / f"{self.task}.safetensors"

        def loads(self) -> list[str]:
            return [str(self.weights_path.resolve())]

    settings: Settings
    vocabulary: Vocabulary
    own = False  # whether the weights have labels of their own

    def load(self, path: Path, device: str) -> Any:
        """The model under the settings' prior, warmed up, with its `labels`; may import torch."""
        raise NotImplementedError

    def open(self) -> Any:
        path = self.settings.weights_path
        settings = msgspec.json.encode(self.settings)
        model = kept((type(self), settings), lambda: self.load(path, self.settings.device))
        set_torch_threads(self.settings.threads)  # this is the thread that infers
        self.own = tuple(model.labels) != self.settings.labels
        self.vocabulary = vocabulary(tuple(model.labels), self.settings.labels, self.settings.emotions)
        return model

    async def _infer(self, rows: list[Row]) -> list[list[float]]:
        answers = await super()._infer(rows)
        return [self.vocabulary.translate(each) if each else each for each in answers] if self.own else answers

    def named(self) -> tuple[str, ...]:
        """The labels that results have to name: those of weights with labels of their own."""
        return self.vocabulary.labels if self.own else ()


def emotions_problems(emotions: Mapping[str, str], labels: Sequence[str], shared: Sequence[str]) -> list[Invalid]:
    """What is wrong with what labels are said to count as; `labels` of a model, empty where they are not known."""
    problems = []
    for label, emotion in emotions.items():
        if labels and label not in labels:
            text = f"{show(label)} is none of the model's labels; {instead(label, labels)}"
            problems.append(Invalid("emotions", text))
        if as_emotion(emotion, shared) is None:
            problems.append(Invalid("emotions", f"{show(emotion)} is no emotion; {instead(emotion, shared)}"))
    return problems
