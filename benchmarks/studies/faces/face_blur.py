"""What the detector still finds in pictures whose faces are hidden, by how many means are left of each.

    python -m benchmarks.studies.faces.face_blur clip.mp4 other.mp4

Each picture is hidden as `privacy = "blur"` does it (with --mesh: as `"mesh"`), and looked at with a threshold far
below that of results (0.1 against 0.5). Printed are the best score, in how many pictures something was found at 0.25
(by which faces are looked for to be hidden) and at 0.5, and the time, with nothing hidden and with 2 × 2, 3 × 3 and
4 × 4 means, or with the mesh.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import av

from emopipe.models.face_detection.detection import FaceDetector
from emopipe.pipeline.clock import MS, SECOND
from emopipe.stages import privacy
from emopipe.stages.media.frames import FrameConverter
from emopipe.stages.types import VideoFrame

STEP_NS = 40 * MS
LOOKED_FOR = 0.1


def frames_of(path: Path) -> list[VideoFrame]:
    """The frames of a recording."""
    converter = FrameConverter()
    with av.open(str(path)) as container:
        return [converter.read(frame) for frame in container.decode(video=0)]


def hidden(frames: Sequence[VideoFrame], hiding: privacy.Hiding) -> list[VideoFrame]:
    """The frames with their faces hidden."""
    networks = privacy.PrivacyNetworks(hiding)
    hider = networks.hider()
    made = [ready for n, frame in enumerate(frames) for ready in hider.push(privacy.Picture(frame, n * STEP_NS, None))]
    made += hider.drain()
    networks.close()
    return [picture.frame for picture in made]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path, nargs="+")
    parser.add_argument("--mesh", action="store_true", help="draw meshes, and leave no means of their faces")
    given = parser.parse_args()
    judge = FaceDetector(LOOKED_FOR, privacy.MAX_FACES)
    pts = 0
    print(f"{'recording':32} means  pictures  best  at 0.25  at 0.50  ms a picture")
    for path in given.recordings:
        frames = frames_of(path)
        for cells in (0, privacy.CELLS) if given.mesh else (0, 2, 3, 4):
            privacy.CELLS = cells
            start = time.perf_counter_ns()
            shown = hidden(frames, "mesh" if given.mesh else "blur") if cells else frames
            each_ms = (time.perf_counter_ns() - start) / len(frames) / SECOND * 1000
            scores = []
            for frame in shown:
                pts += STEP_NS
                scores.append(max((face.score for face in judge.detect(frame.small, pts)), default=0.0))
            found = [sum(score >= least for score in scores) for least in (0.25, 0.5)]
            name = "–" if not cells else "mesh" if given.mesh else f"{cells} × {cells}"
            figures = f"{len(scores):8}  {max(scores):.2f}  {found[0]:7}  {found[1]:7}  {each_ms:12.1f}"
            print(f"{path.stem:32} {name:5}  {figures}")
    judge.close()


if __name__ == "__main__":
    main()
