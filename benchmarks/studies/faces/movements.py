"""How much of a movement of brows, and of the mouth's corners, `face-geometry` measures.

    python -m benchmarks.studies.faces.movements clips/*.mp4 --each 2

Of each recording some pictures are taken, and in each the largest face. Its brows are moved up and down by known parts
of the distance between the eyes' outer corners (about 9 cm), or the corners of its mouth as far up as aside, with the
skin around them, and drawn again. The eyes' lids stay where they are, and there are no new folds.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.studies.faces.geometry import FACE_POINTS, Points, Seen, faces, painted, triangles
from emopipe.models.face_detection.detection import FaceDetector
from emopipe.models.geometry.landmarker import FaceLandmarker
from emopipe.models.geometry.measures import LEFT, RIGHT, measure

BROWS = (
    *(70, 63, 105, 66, 107, 46, 53, 52, 65, 55),  # the right one: its upper and its lower edge
    *(300, 293, 334, 296, 336, 276, 283, 282, 295, 285),
)
CORNERS = (61, 291)  # of the mouth
LIDS = [point for eye in (RIGHT, LEFT) for point in (eye.outer, eye.inner, *(lid for pair in eye.lids for lid in pair))]
BROW_MOVES = (-0.06, -0.04, -0.02, 0.0, 0.02, 0.04, 0.06, 0.08)
CORNER_MOVES = (-0.04, 0.0, 0.02, 0.04, 0.06, 0.08)
BROW_REACH, CORNER_REACH = 0.15, 0.2  # how far skin goes with them


def moved(seen: Seen, points: Sequence[int], up: float, aside: float, reach: float) -> Points:
    """The mesh [468, 2] in pixels, some points of which have moved up and outwards; lengths as of the module.

    What is around them goes with them, the less the further away: by e^-(distance / reach)².
    """
    mesh = seen.mesh.points[:FACE_POINTS, :2]
    across = np.linalg.norm(mesh[LEFT.outer] - mesh[RIGHT.outer])
    right = (mesh[LEFT.outer] - mesh[RIGHT.outer]) / across
    upwards = np.array([right[1], -right[0]])
    away = np.linalg.norm(mesh[:, None] - mesh[list(points)], axis=2).min(axis=1) / across
    weight = np.exp(-((away / reach) ** 2))
    weight[LIDS] = 0.0
    outwards = np.sign((mesh - mesh.mean(axis=0)) @ right)[:, None] * right
    made: Points = mesh + weight[:, None] * across * (up * upwards + aside * outwards)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path, nargs="+")
    parser.add_argument("--each", type=int, default=2, help="pictures of each recording (%(default)s)")
    given = parser.parse_args()
    detector, landmarker = FaceDetector(0.5, 8), FaceLandmarker()
    sample = [seen for path in given.recordings for seen in faces(path, given.each, detector, landmarker)]
    corners = triangles()
    print(
        f"{len(sample)} faces in {len(given.recordings)} recordings; medians, and from the 25th to the 75th percentile"
    )
    moves: list[tuple[str, Sequence[int], float, float, float]]
    moves = [("brows", BROWS, up, 0.0, BROW_REACH) for up in BROW_MOVES]
    moves += [("mouth's corners", CORNERS, up, up, CORNER_REACH) for up in CORNER_MOVES]
    for name, points, up, aside, reach in moves:
        rows = []
        for seen in sample:
            picture = painted(seen.picture, seen, moved(seen, points, up, aside, reach), corners)
            if (mesh := landmarker.mesh(picture, seen.box)) is not None:
                found, shapes = measure(mesh), mesh.blendshapes
                down = (shapes["browDownLeft"] + shapes["browDownRight"]) / 2
                rows.append((found.brow_raise, found.smile, found.mouth, down))
        low, median, high = np.percentile(rows, [25, 50, 75], axis=0)
        values = zip(("brow_raise", "smile", "mouth", "browDown"), low, median, high, strict=True)
        print(f"{name:<16}{up:>6.0%}", *(f"  {each} {m:.3f} ({a:.3f}-{b:.3f})" for each, a, m, b in values))
    detector.close()
    landmarker.close()


if __name__ == "__main__":
    main()
