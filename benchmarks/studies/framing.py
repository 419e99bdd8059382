"""FER2013's framing of faces, and the margin that suits real recordings best.

    python -m benchmarks.studies.framing --data fer2013.zip
    python -m benchmarks.studies.framing --data fer2013.zip --recordings ravdess/Actor_01/*.mp4 crema-d/*.flv

First, the face detector runs on Training images (enlarged, with their borders repeated around them) and tells where
eyes and mouth lie in them: the constants of `models.face_detection.detection`. Then each recording, whose name tells
its emotion, is classified at several margins around that framing.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.studies.recordings import emotion_of
from emopipe.models.face_detection.detection import (
    EYES_Y,
    SIDE_PER_EYES,
    SIDE_PER_MOUTH,
    SIZE,
    FaceDetector,
    crop,
    frame_face,
)
from emopipe.models.labels import FACE
from emopipe.training.facial import fer2013

BORDER, ENLARGED = 16, 320  # pixels
MARGINS = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.5)


def framing(data: Path, count: int) -> None:
    """Print medians and spreads of the geometry, relative to the images' side."""
    import cv2

    images = fer2013.load(data).split("Training").images
    chosen = np.random.default_rng(0).choice(len(images), min(count, len(images)), replace=False)
    detector = FaceDetector(0.5, 1)
    rows = []
    for index, image in enumerate(images[chosen]):
        framed = cv2.copyMakeBorder(image, BORDER, BORDER, BORDER, BORDER, cv2.BORDER_REPLICATE)
        large = cv2.resize(framed, (ENLARGED, ENLARGED), interpolation=cv2.INTER_CUBIC)
        for face in detector.detect(np.repeat(large[..., None], 3, axis=2), index * 40_000_000):
            points = (face.right_eye, face.left_eye, face.mouth)
            right, left, mouth = (np.array(point) * (SIZE + 2 * BORDER) / SIZE - BORDER / SIZE for point in points)
            middle = (right + left) / 2
            eyes, down = np.linalg.norm(left - right), np.linalg.norm(mouth - middle)
            box = (face.box[2] + face.box[3]) / 2 * (SIZE + 2 * BORDER) / SIZE
            side = max(SIDE_PER_EYES * eyes, SIDE_PER_MOUTH * down)
            rows.append((*middle, eyes, down, box, side))
    detector.close()
    print(f"{len(rows)} faces in {len(chosen)} Training images; lengths in units of the image's side")
    names = ("eyes' middle x", "eyes' middle y", "eye to eye", "eyes to mouth", "detector's box", "predicted side")
    for name, column in zip(names, np.array(rows).T, strict=True):
        low, median, high = np.percentile(column, [10, 50, 90])
        spread = 1.4826 * np.median(np.abs(np.log(column / median)))
        print(f"  {name:<15} median {median:.3f} · 10–90 % {low:.3f}–{high:.3f} · spread of its log {spread:.3f}")
    eyes_and_mouth = f"{SIDE_PER_EYES} eye distances or {SIDE_PER_MOUTH} to the mouth"
    print(f"  models.face_detection.detection: eyes at {EYES_Y}, side {eyes_and_mouth}")


def crops(path: Path) -> Iterator[list[NDArray[np.uint8]]]:
    """For each frame with a face, its crop at every margin."""
    import av

    detector = FaceDetector(0.5, 1)
    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            rgb = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
            luma = frame.to_ndarray(format="gray").astype(np.uint8, copy=False)
            height, width = luma.shape
            for face in detector.detect(rgb, index * 40_000_000):
                yield [crop(luma, frame_face(face, width, height, margin)) for margin in MARGINS]
    detector.close()


def margins(recordings: list[Path], weights: Path | None) -> None:
    """Print accuracy, NLL and the probability of the true class, over frames, each recording counting the same."""
    from emopipe.models.facial.model import FacialModel

    model = FacialModel.load(weights, "cpu")
    likelihood = []
    for path in recordings:
        shown = emotion_of(path)
        if shown is None:
            raise SystemExit(f"{path}: its name is neither RAVDESS's nor CREMA-D's, so its emotion is unknown")
        target = FACE.index(shown)
        faces = np.stack(list(crops(path)), axis=1)
        answers = np.stack([model.probabilities(at_margin) for at_margin in faces])
        hits, truth = (answers.argmax(axis=2) == target).mean(axis=1), answers[:, :, target]
        likelihood.append((hits, -np.log(truth).mean(axis=1), truth.mean(axis=1)))
        print(f"  {path.name}: {FACE[target]}, {faces.shape[1]} frames, best margin {MARGINS[int(hits.argmax())]}")
    print("margin  accuracy    NLL   p(true)")
    for margin, (hits, nll, truth) in zip(MARGINS, np.mean(likelihood, axis=0).T, strict=True):
        print(f"{margin:6.1f}  {hits:8.1%}  {nll:5.2f}  {truth:8.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="FER2013, folder or zip")
    parser.add_argument("--images", type=int, default=1200, help="Training images to look at (%(default)s)")
    parser.add_argument("--recordings", type=Path, nargs="*", default=[], help="RAVDESS or CREMA-D recordings")
    parser.add_argument("--weights", type=Path, help="of the classifier, by default the project's")
    given = parser.parse_args()
    framing(given.data, given.images)
    if given.recordings:
        margins(given.recordings, given.weights)


if __name__ == "__main__":
    main()
