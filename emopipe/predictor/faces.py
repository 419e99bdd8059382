"""The faces of pictures, each with what it expresses: detector, framing and classifier as in the stages."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emopipe.models.face_detection.detection import FaceDetector, Framing, crop, frame_face, quality
from emopipe.models.face_detection.search import FaceSearch
from emopipe.models.labels import FACE
from emopipe.predictor.options import Options, own_vocabulary, torch_threads
from emopipe.predictor.prediction import FacePrediction
from emopipe.stages.faces.detection import FaceDetection
from emopipe.stages.faces.inference import FacialInference
from emopipe.stages.types import VideoFrame

if TYPE_CHECKING:
    from emopipe.models.facial.model import FacialModel

BATCH_SIZE = 64  # pictures whose faces are inferred together: enough for a GPU, few enough for the memory

Found = tuple[dict[str, Any], NDArray[np.uint8]]
"""What is known of a face beside its expression, and its crop."""


class FacePredictor:
    """Finds and classifies faces; detector and model are loaded when they are first needed.

    Args:
        weights: of the model, by default the shipped ones.
        options: of the model.
        detection: the settings of detector and framing.
        inference: the settings of what is done with the faces.
    """

    def __init__(
        self,
        weights: Path | None,
        options: Options,
        detection: FaceDetection.Settings,
        inference: FacialInference.Settings,
    ) -> None:
        self._weights = weights
        self._options = options
        self._detection = detection
        self._inference = inference
        self._model: FacialModel | None = None
        self._detector: FaceDetector | None = None

    def predict(self, pictures: Iterable[VideoFrame], whole: bool) -> list[list[FacePrediction]]:
        """The faces of each picture, from left to right; `whole` takes each picture as one face."""
        result: list[list[FacePrediction]] = []
        for batch in _batched(pictures, BATCH_SIZE):
            found = [self.find(picture, whole) for picture in batch]
            crops = [cut for faces in found for _, cut in faces]
            if not crops:
                result += [[] for _ in batch]
                continue
            model = self._load()
            with torch_threads(self._options.threads):
                answers = model.probabilities(np.stack(crops)).tolist()
            words = own_vocabulary(model.labels, self._inference)
            rows = iter(words.translate(answer) for answer in answers)
            least = self._options.threshold(model.selective)
            result += [
                [FacePrediction.of(words.labels, next(rows), least, **about) for about, _ in faces] for faces in found
            ]
        return result

    def find(self, picture: VideoFrame, whole: bool) -> list[Found]:
        """The faces of one picture with their crops, from left to right; `whole` takes it as one face."""
        return [_whole(picture)] if whole else self._detect(picture)

    @property
    def own(self) -> bool:
        """Whether the model that was used has labels of its own."""
        return self._model is not None and self._model.labels != FACE

    def close(self) -> None:
        """Free the detector."""
        if self._detector is not None:
            self._detector.close()

    def _load(self) -> "FacialModel":
        with torch_threads(self._options.threads):
            if self._model is None:
                from emopipe.models.facial.model import FacialModel

                options = self._options
                self._model = FacialModel.load(self._weights, options.device, options.prior, self._inference.backend)
            return self._model

    def _detect(self, picture: VideoFrame) -> list[Found]:
        with torch_threads(self._options.threads):  # one thread at a time, also after a fork
            if self._detector is None:
                self._detector = FaceDetector(self._detection.min_confidence, self._detection.max_faces)
            search = FaceSearch(self._detector, self._detection.range, self._detection.max_faces)
        height, width = picture.luma.shape
        faces = []
        for face in search.detect(picture.small, 0):
            framing = frame_face(face, width, height, self._detection.margin)
            cut = crop(picture.luma, framing)
            weight = quality(cut, face, framing, width, height).weight
            faces.append(({"box": face.box, "score": face.score, "quality": weight}, cut))
        return faces


def _whole(picture: VideoFrame) -> Found:
    """The largest square in a picture's middle as a face."""
    height, width = picture.luma.shape
    cut = crop(picture.luma, Framing(width / 2, height / 2, min(width, height), 0.0))
    return {"box": (0.0, 0.0, 1.0, 1.0), "score": 1.0, "quality": 1.0}, cut


def _batched(pictures: Iterable[VideoFrame], size: int) -> Iterator[list[VideoFrame]]:
    batch: list[VideoFrame] = []
    for picture in pictures:
        batch.append(picture)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
