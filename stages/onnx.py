"""Base of the stages that run a model of another maker, as an ONNX file."""

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

from emopipe.models.labels import Vocabulary, vocabulary
from emopipe.models.onnx.files import OnnxFile, read
from emopipe.models.onnx.network import Answers, OnnxNetwork, model_labels
from emopipe.pipeline.errors import ModelError
from emopipe.pipeline.port import Invalid, about
from emopipe.stages.inference import BatchedInference, emotions_problems

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Row = TypeVar("Row")


class OnnxInference(BatchedInference[Row]):
    """Runs the file `model` on the CPU; a subclass says what the model is fed.

    Results are in the model's own labels, or in emopipe's where all of the model's are emotions.
    """

    class Settings(BatchedInference.Settings, kw_only=True):
        shared: ClassVar[tuple[str, ...]]  # the emotions that its kind of result knows

        model: Annotated[str, about("the ONNX file", min_length=1)]
        labels: Annotated[
            list[str], about("what its outputs are called, in their order; empty: as the file's metadata say")
        ] = []  # noqa: RUF012
        emotions: Annotated[
            dict[str, str],
            about('what a label counts as, where its name is no emotion that fusion knows: { contempt = "disgust" }'),
        ] = {}  # noqa: RUF012
        output: Annotated[str, about("the output to take; empty: the only one, or `probabilities`")] = ""
        gives: Annotated[
            Answers, about("what the output holds; auto: probabilities if it sums to 1 on trial, else logits")
        ] = "auto"
        temperature: Annotated[
            float, about("divides the logits, so that a confidence is a frequency", gt=0, le=100)
        ] = 1.0
        threads: Annotated[int, about("CPU threads of the model", ge=1, le=256)] = 1

        @abstractmethod
        def fed(self, file: OnnxFile) -> Any:
            """What the model is fed; raises ModelError where these settings or the file do not fit."""

        def check(self) -> list[Invalid]:
            try:
                file = read(Path(self.model))
            except ModelError as error:
                return [Invalid("model", str(error))]
            problems = []
            labels: tuple[str, ...] = ()
            try:
                self.fed(file)
                labels = model_labels(file, file.output(self.output), self.labels)
            except ModelError as error:
                problems.append(Invalid("", str(error)))
            return problems + emotions_problems(self.emotions, labels, self.shared)

        def loads(self) -> list[str]:
            return [str(Path(self.model).resolve())]

    settings: Settings
    vocabulary: Vocabulary

    @abstractmethod
    def probe(self, fed: Any, seed: int) -> "NDArray[np.generic]":
        """A row of the input, of noise."""

    def open(self) -> OnnxNetwork:
        settings = self.settings
        file = read(Path(settings.model))
        output = file.output(settings.output)
        labels = model_labels(file, output, settings.labels)
        self.fed = settings.fed(file)
        self.vocabulary = vocabulary(labels, settings.shared, settings.emotions)
        probes = [self.probe(self.fed, seed) for seed in range(2)]  # also the warm-up
        return OnnxNetwork(file, output, labels, settings.gives, settings.temperature, settings.threads, probes)
