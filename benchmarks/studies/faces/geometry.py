"""How well `face-geometry` measures, against truths that are known.

    python -m benchmarks.studies.faces.geometry clips/*.mp4

Of each recording some pictures are taken, and in each the largest face. Its mesh, with the picture on it, is turned by
known angles and drawn again over the picture; its irises are moved by known angles; and the picture is mirrored and
made smaller. What is measured then is compared with what it must be. At the end, the time that a face takes.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emopipe.models.face_detection.detection import FaceDetector
from emopipe.models.face_detection.tracking import Box
from emopipe.models.geometry.landmarker import FaceLandmarker, Mesh
from emopipe.models.geometry.measures import EYE_MM, IRIS_MM, LEFT, RIGHT, Measures, angles, measure

Gray = NDArray[np.uint8]
Points = NDArray[np.float64]

SMALL_WIDTH = 320
TURNS = {  # degrees
    "roll": (-30, -20, -10, 10, 20, 30),
    "pitch": (-20, -10, 10, 20),
    "yaw": (-40, -30, -20, -10, 10, 20, 30, 40),
}
GAZES = (-16, -8, 8, 16)  # degrees
MIN_OPENING = 0.22  # of eyes whose irises can be moved
WIDE_EYE_PX = 28
SCALES = (0.5, 0.25, 0.125, 0.0625)
FACE_POINTS = 468  # without the irises


class Seen(NamedTuple):
    """A face in a picture, and its mesh."""

    picture: Gray
    box: Box
    mesh: Mesh

    @property
    def measures(self) -> Measures:
        return measure(self.mesh)

    @property
    def eye_px(self) -> float:
        """The width of an eye."""
        return float(np.linalg.norm(self.mesh.points[RIGHT.outer] - self.mesh.points[RIGHT.inner]))


def faces(path: Path, count: int, detector: FaceDetector, landmarker: FaceLandmarker) -> Iterator[Seen]:
    """The largest face in every 15th picture of a recording."""
    import av
    import cv2

    with av.open(str(path)) as container:
        for frame in islice(container.decode(video=0), 0, 15 * count, 15):
            rgb = frame.to_ndarray(format="rgb24")
            small = cv2.resize(rgb, (SMALL_WIDTH, round(SMALL_WIDTH * frame.height / frame.width)))
            found = detector.detect(small.astype(np.uint8, copy=False), 0)
            if not found:
                continue
            box = max((face.box for face in found), key=lambda box: box[2])
            picture = frame.to_ndarray(format="gray").astype(np.uint8, copy=False)
            if (mesh := landmarker.mesh(picture, box)) is not None:
                yield Seen(picture, box, mesh)


def triangles() -> NDArray[np.int64]:
    """The mesh's triangles: three points of which each two are connected."""
    from mediapipe.tasks.python.vision import FaceLandmarksConnections

    edges = {(line.start, line.end) for line in FaceLandmarksConnections.FACE_LANDMARKS_TESSELATION}
    edges |= {(end, start) for start, end in edges}
    beside: dict[int, set[int]] = {}
    for start, end in edges:
        beside.setdefault(start, set()).add(end)
    made = {
        tuple(sorted((first, second, third))) for first, second in edges for third in beside[first] & beside[second]
    }
    return np.array(sorted(made))


def rotation(axis: str, degrees: float) -> Points:
    """A turn as `Measures` has it, in axes to the right, up and towards the camera."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array(
        {
            "roll": [[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]],
            "pitch": [[1, 0, 0], [0, cos, sin], [0, -sin, cos]],
            "yaw": [[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]],
        }[axis]
    )


def drawn(seen: Seen, turn: Points, corners: NDArray[np.int64]) -> Gray:
    """The picture with the face's mesh turned about its middle, seen from far away."""
    import cv2

    points = seen.mesh.points[:FACE_POINTS] * (1, -1, -1)
    middle = points.mean(axis=0)
    turned = ((points - middle) @ turn.T + middle) * (1, -1, -1)
    nearest_last = corners[np.argsort(-turned[corners, 2].mean(axis=1))]
    blurred: Gray = cv2.GaussianBlur(seen.picture, (0, 0), 25)  # where the face was
    return painted(blurred, seen, turned[:, :2], nearest_last)


def painted(onto: Gray, seen: Seen, targets: Points, corners: NDArray[np.int64]) -> Gray:
    """The picture `onto` with the mesh's triangles drawn over it, their points at `targets` [468, 2] (pixels)."""
    import cv2

    picture = onto.copy()
    height, width = picture.shape
    for corner in corners:
        source, target = seen.mesh.points[corner, :2].astype(np.float32), targets[corner].astype(np.float32)
        left, top = np.maximum(np.floor(target.min(axis=0)).astype(int) - 1, 0)
        right, bottom = np.minimum(np.ceil(target.max(axis=0)).astype(int) + 2, (width, height))
        if right <= left or bottom <= top:
            continue
        shifted = target - np.array([left, top], np.float32)
        matrix = cv2.getAffineTransform(source, shifted)
        size = int(right - left), int(bottom - top)
        patch = cv2.warpAffine(seen.picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        mask = np.zeros((size[1], size[0]), np.uint8)
        cv2.fillConvexPoly(mask, np.round(shifted * 16).astype(np.int32), 255, shift=4)
        place = picture[top:bottom, left:right]
        place[mask > 0] = patch[mask > 0]
    return picture


def looking_aside(seen: Seen, degrees: float) -> tuple[Gray, float]:
    """The picture with both irises moved aside, and by how many degrees that is the gaze's yaw within the head."""
    import cv2

    picture, moved = seen.picture.copy(), []
    for eye in (RIGHT, LEFT):
        points = seen.mesh.points[:, :2]
        rim, middle = points[list(eye.rim)], points[eye.iris]
        across = (np.linalg.norm(rim[0] - rim[2]) + np.linalg.norm(rim[1] - rim[3])) / 2
        along = points[LEFT.outer] - points[RIGHT.outer]
        along /= np.linalg.norm(along)
        at = float((middle - (points[eye.outer] + points[eye.inner]) / 2) @ along) * IRIS_MM / across
        start = np.arcsin(np.clip(at / EYE_MM, -0.7, 0.7))
        end = np.clip(np.sin(start + np.radians(degrees)), -0.7, 0.7)
        shift = (end * EYE_MM - at) * across / IRIS_MM
        moved.append(float(np.degrees(np.arcsin(end) - start)))
        lids = [eye.outer, *(upper for upper, _ in eye.lids), eye.inner, *(lower for _, lower in eye.lids)]
        opening, iris, there = (np.zeros(picture.shape, np.uint8) for _ in range(3))
        cv2.fillConvexPoly(opening, cv2.convexHull(np.round(points[lids]).astype(np.int32)), 255)
        radius = round(float(across) / 2 * 1.1)
        cv2.circle(iris, tuple(int(each) for each in np.round(middle)), radius, 255, -1)
        white = cv2.inpaint(picture, cv2.bitwise_and(opening, iris), 3, cv2.INPAINT_TELEA)
        matrix = np.array([[1, 0, shift * along[0]], [0, 1, shift * along[1]]], np.float32)
        size = picture.shape[1], picture.shape[0]
        patch = cv2.warpAffine(seen.picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        there = cv2.warpAffine(iris, matrix, size)
        inside = opening > 0
        picture[inside] = np.where(there > 0, patch, white)[inside]
    return picture, float(np.mean(moved))


def turned_heads(sample: Sequence[Seen], landmarker: FaceLandmarker) -> None:
    """Print how far a turned face's rotation is from the one that it was given."""
    corners = triangles()
    print(f"turned by   {'degrees':>8}{'error of it':>13}{'rotation':>10}   found (medians; rotation: the whole angle)")
    for axis, turns in TURNS.items():
        for degrees in turns:
            own, whole = [], []
            for seen in sample:
                still = landmarker.mesh(drawn(seen, np.eye(3), corners), seen.box)
                mesh = landmarker.mesh(drawn(seen, rotation(axis, degrees), corners), seen.box)
                if mesh is None or still is None:
                    continue
                expected = rotation(axis, degrees) @ still.rotation
                place = ("roll", "pitch", "yaw").index(axis)
                own.append(abs(angles(mesh.rotation)[place] - angles(expected)[place]))
                cosine = (np.trace(mesh.rotation @ expected.T) - 1) / 2
                whole.append(float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))))
            print(
                f"{axis:<12}{degrees:>8}{np.median(own):>13.1f}{np.median(whole):>10.1f}   {len(own)} of {len(sample)}"
            )


def moved_eyes(sample: Sequence[Seen], landmarker: FaceLandmarker) -> None:
    """Print how much of a movement of the irises is measured, where eyes are open; in narrow and in wide pictures."""
    open_eyes = [seen for seen in sample if min(seen.measures.right_eye, seen.measures.left_eye) > MIN_OPENING]
    wide = [seen for seen in open_eyes if seen.eye_px >= WIDE_EYE_PX]
    narrow = [seen for seen in open_eyes if seen.eye_px < WIDE_EYE_PX]
    print(f"eyes moved  {'degrees':>8}{'measured':>10}{'error':>8}   (medians)")
    for name, chosen in ((f"from {WIDE_EYE_PX} px", wide), ("narrower", narrow)):
        for degrees in GAZES:
            truths, measured = [], []
            for seen in chosen:
                picture, truth = looking_aside(seen, degrees)
                if (mesh := landmarker.mesh(picture, seen.box)) is not None:
                    truths.append(truth)
                    measured.append(measure(mesh).gaze_yaw - seen.measures.gaze_yaw)
            if truths:
                error = np.median(np.abs(np.subtract(measured, truths)))
                figures = f"{np.median(truths):>8.1f}{np.median(measured):>10.1f}{error:>8.1f}"
                print(f"{name:<12}{figures}   {len(truths)} faces")


def again(sample: Sequence[Seen], landmarker: FaceLandmarker) -> None:
    """Print how far the measures of mirrored and of smaller pictures are from those of the picture."""
    import cv2

    names = Measures._fields[:-1]
    print(f"{'again':<22}" + "".join(f"{name:>12}" for name in names) + "   (median differences)")
    mirrored = []
    for seen in sample:
        left, top, width, height = seen.box
        mesh = landmarker.mesh(np.ascontiguousarray(seen.picture[:, ::-1]), (1 - left - width, top, width, height))
        if mesh is not None:
            one = measure(mesh)
            back = one._replace(roll=-one.roll, yaw=-one.yaw, gaze_yaw=-one.gaze_yaw)
            mirrored.append(differences(back._replace(right_eye=one.left_eye, left_eye=one.right_eye), seen))
    print(f"{'mirrored':<22}" + table_row(mirrored))
    for scale in SCALES:
        smaller, eyes = [], []
        for seen in sample:
            picture = cv2.resize(seen.picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            if (mesh := landmarker.mesh(picture, seen.box)) is not None:
                smaller.append(differences(measure(mesh), seen))
                eyes.append(np.linalg.norm(mesh.points[RIGHT.outer] - mesh.points[LEFT.outer]))
        print(f"{f'eyes {np.median(eyes):.0f} px apart' if eyes else 'no mesh':<22}" + table_row(smaller))


def differences(one: Measures, seen: Seen) -> list[float]:
    return [abs(a - b) for a, b in zip(one[:-1], seen.measures[:-1], strict=True)]


def table_row(found: list[list[float]]) -> str:
    return "".join(f"{each:>12.3f}" for each in np.median(found, axis=0)) if found else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path, nargs="+")
    parser.add_argument("--each", type=int, default=4, help="pictures of each recording (%(default)s)")
    given = parser.parse_args()
    detector, landmarker = FaceDetector(0.5, 8), FaceLandmarker()
    sample = [seen for path in given.recordings for seen in faces(path, given.each, detector, landmarker)]
    print(f"{len(sample)} faces in {len(given.recordings)} recordings")
    gaze = np.median([(seen.measures.gaze_pitch, seen.measures.gaze_yaw) for seen in sample], axis=0)
    print(f"gaze of people who look at the camera, mostly: pitch {gaze[0]:.1f}, yaw {gaze[1]:.1f} degrees (medians)")
    turned_heads(sample, landmarker)
    moved_eyes(sample, landmarker)
    again(sample, landmarker)
    spent = []
    for seen in sample * 3:
        began = time.perf_counter()
        if (mesh := landmarker.mesh(seen.picture, seen.box)) is not None:
            measure(mesh)
        spent.append((time.perf_counter() - began) * 1e3)
    print(f"a face takes {np.median(spent):.1f} ms (10 % less than {np.percentile(spent, 10):.1f})")
    detector.close()
    landmarker.close()


if __name__ == "__main__":
    main()
