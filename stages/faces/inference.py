"""Inference of what each face expresses, frame by frame."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from emopipe.models.labels import FACE
from emopipe.models.loading import Backend, backend_problem
from emopipe.pipeline.port import Invalid, Port, about
from emopipe.stages.inference import Inference
from emopipe.stages.types import FaceEmotion, FaceEmotions, Faces

if TYPE_CHECKING:
    from emopipe.models.facial.model import FacialModel

Crop = NDArray[np.uint8]


class FacialInference(Inference[Crop]):
    """Infers the expression of every face crop, batched over frames, faces and streams."""

    name = "facial-inference"
    work_ms = 2.0
    memory_mb = 70.0
    # The batcher holds what is to be inferred next: more that waits would only grow old, and hide an overload from
    # face detection, which knows what to drop.
    inputs: ClassVar[dict[str, Port]] = {"faces": Port(Faces, "the faces of each frame, with their crops", size=1)}
    outputs: ClassVar[dict[str, Port]] = {"emotions": Port(FaceEmotions, "a calibrated distribution for each face")}

    class Settings(Inference.Settings):
        task: ClassVar[str] = "facial"
        labels: ClassVar[tuple[str, ...]] = FACE

        backend: Annotated[
            Backend,
            about(
                "what computes the network; auto: ONNX Runtime on a CPU, in 8 bits, torch on a GPU; torch on a CPU is "
                "slower, and the reference"
            ),
        ] = "auto"

        def check(self) -> list[Invalid]:
            problem = backend_problem(self.backend, self.device)
            return super().check() + (
                [Invalid("backend", f"{self.backend} cannot be used: {problem}")] if problem else []
            )

    settings: Settings

    def load(self, path: Path, device: str) -> "FacialModel":
        from emopipe.models.facial.model import FacialModel

        model = FacialModel.load(path, device, self.settings.prior, self.settings.backend)
        model.probabilities(np.zeros((1, 48, 48), np.uint8))
        return model

    def infer(self, model: "FacialModel", rows: list[Crop]) -> list[list[float]]:
        answers: list[list[float]] = model.probabilities(np.stack(rows)).tolist()
        return answers

    def rows(self, payload: Faces) -> Sequence[Crop]:
        return [face.crop for face in payload.faces]

    def result(self, payload: Faces, answers: list[list[float]]) -> FaceEmotions:
        return face_emotions(payload, answers, self.named())


def face_emotions(payload: Faces, answers: list[list[float]], labels: Sequence[str] = ()) -> FaceEmotions:
    """The result for a frame's faces, from one distribution each; `labels` are named of another maker's model."""
    return FaceEmotions(
        faces=[
            FaceEmotion(
                id=face.id,
                box=face.box,
                score=face.score,
                quality=face.quality,
                probabilities=answer,
                mouth=face.mouth,
                geometry=face.geometry,
            )
            for face, answer in zip(payload.faces, answers, strict=True)
        ],
        labels=list(labels),
    )
