"""The faces of labelled pictures, found and cut as `emopipe predict` does."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emopipe.fine_tuning.files import usable
from emopipe.fine_tuning.labelled import Labelled
from emopipe.predictor.faces import FacePredictor
from emopipe.predictor.inputs import read_image
from emopipe.predictor.options import Options
from emopipe.stages.faces.detection import FaceDetection
from emopipe.stages.faces.inference import FacialInference

CROP_SIZE = 64
"""Pictures no larger (px) are faces already, framed as FER2013's are; in larger ones the face is looked for."""


def read_faces(
    root: Path, files: Sequence[Labelled], left_out: Counter[str]
) -> tuple[list[Labelled], NDArray[np.uint8]]:
    """The files that show a face, and their crops uint8 [N, 48, 48]; of several faces in a picture the largest.

    What cannot be used is named in the log, and counted in `left_out`.

    Raises:
        DataError: nothing is left.
    """
    options = Options("cpu", "training", None, 1)
    finder = FacePredictor(None, options, FaceDetection.Settings(), FacialInference.Settings())

    def largest(path: Path) -> NDArray[np.uint8] | None:
        picture = read_image(path)
        found = finder.find(picture, max(picture.luma.shape) <= CROP_SIZE)
        return max(found, key=lambda face: face[0]["box"][2] * face[0]["box"][3])[1] if found else None

    try:
        faces = usable(root, files, left_out, "no face found", largest)
    finally:
        finder.close()
    return [each for each, _ in faces], np.stack([crop for _, crop in faces])
