"""The faces of labelled pictures, found and cut as `emopipe predict` does."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emopipe.fine_tuning.folder import Labelled
from emopipe.pipeline.errors import DataError, MediaError
from emopipe.predictor.faces import FacePredictor
from emopipe.predictor.inputs import read_image
from emopipe.predictor.options import Options
from emopipe.stages.faces.detection import FaceDetection

CROP_SIZE = 64
"""Pictures no larger (px) are faces already, framed as FER2013's are; in larger ones the face is looked for."""

log = logging.getLogger(__name__)


def read_faces(
    root: Path, files: Sequence[Labelled], left_out: Counter[str]
) -> tuple[list[Labelled], NDArray[np.uint8]]:
    """The files that show a face, and their crops uint8 [N, 48, 48]; of several faces in a picture the largest.

    What cannot be used is named in the log, and counted in `left_out`.

    Raises:
        DataError: nothing is left.
    """
    finder = FacePredictor(None, Options("cpu", "training", None, 1), FaceDetection.Settings())
    kept, crops = [], []
    try:
        for each in files:
            try:
                picture = read_image(each.path)
            except (MediaError, DataError) as error:
                log.warning("%s", error)
                left_out["unreadable"] += 1
                continue
            found = finder.find(picture, max(picture.luma.shape) <= CROP_SIZE)
            if not found:
                log.warning("%s: no face found in it", each.path)
                left_out["no face found"] += 1
                continue
            kept.append(each)
            crops.append(max(found, key=lambda face: face[0]["box"][2] * face[0]["box"][3])[1])
    finally:
        finder.close()
    if not crops:
        raise DataError(f"{root}: no picture is left to learn from ({len(files)} without a face, or unreadable)")
    return kept, np.stack(crops)
