"""Inference of what each face shows, by a model of another maker."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emopipe.models.labels import FACE
from emopipe.models.onnx.files import OnnxFile
from emopipe.models.onnx.network import OnnxNetwork
from emopipe.models.onnx.pictures import Colour, Layout, PictureInput, picture_input
from emopipe.pipeline.port import Port, about
from emopipe.stages.faces.inference import FacialInference, face_emotions
from emopipe.stages.onnx import OnnxInference
from emopipe.stages.types import Face, FaceEmotions, Faces

Picture = NDArray[np.uint8]


class OnnxFacialInference(OnnxInference[Picture]):
    """Infers what every face shows by an ONNX model of your own, with labels of its own.

    The model sees the crops of face-detection: in grey and 48 px, scaled to its size, or the larger ones in colour that
    the setting `picture` there asks for. Which input the file wants is read from its shape.
    """

    name = "onnx-facial-inference"
    work_ms = 5.0
    inputs: ClassVar[dict[str, Port]] = FacialInference.inputs
    outputs: ClassVar[dict[str, Port]] = {"emotions": Port(FaceEmotions, "a distribution for each face")}

    class Settings(OnnxInference.Settings, kw_only=True):
        shared: ClassVar[tuple[str, ...]] = FACE

        size: Annotated[
            int, about("height and width of its pictures, where the file leaves it open", unit="px", ge=0)
        ] = 0
        colour: Annotated[Colour, about("of its pictures; auto: grey for one channel, rgb for three")] = "auto"
        layout: Annotated[Layout, about("where its channels stand; auto: as the input's shape shows")] = "auto"
        scale: Annotated[float, about("a grey level (0 to 255) is multiplied by it first", gt=0)] = 1 / 255
        mean: Annotated[
            float | list[float],
            about("then this is taken from it, one for all channels or each its own, as in `colour`"),
        ] = 0.0
        std: Annotated[float | list[float], about("and it is divided by this, as `mean`")] = 1.0

        def fed(self, file: OnnxFile) -> PictureInput:
            mean, std = ([each] if isinstance(each, float) else each for each in (self.mean, self.std))
            return picture_input(file, self.size, self.colour, self.layout, self.scale, mean, std)

    settings: Settings
    fed: PictureInput

    def probe(self, fed: PictureInput, seed: int) -> NDArray[Any]:
        noise = np.random.default_rng(seed).integers(0, 256, (*fed.size, fed.channels), np.uint8)
        return fed.read(noise[:, :, 0] if fed.channels == 1 else noise)

    def infer(self, model: OnnxNetwork, rows: list[Picture]) -> list[list[float]]:
        return [self.vocabulary.translate(model.probabilities(self.fed.read(picture))) for picture in rows]

    def rows(self, payload: Faces) -> Sequence[Picture]:
        return [_picture(face) for face in payload.faces]

    def result(self, payload: Faces, answers: list[list[float]]) -> FaceEmotions:
        return face_emotions(payload, answers, self.vocabulary.labels)


def _picture(face: Face) -> Picture:
    return face.crop if face.picture is None else face.picture
