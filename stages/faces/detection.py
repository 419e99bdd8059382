"""Detection of faces, frame by frame, with their tracks and crops."""

from collections import deque
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emopipe.models import assets
from emopipe.models.face_detection.detection import Detection, FaceDetector, colour_crop, crop, frame_face, quality
from emopipe.models.face_detection.following import FaceFollower
from emopipe.models.face_detection.mouth import MAX_INTERVAL_NS, MIN_INTERVAL_NS, mouth_speed
from emopipe.models.face_detection.search import FaceSearch, Range
from emopipe.models.face_detection.tracking import Tracker
from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Port, about
from emopipe.pipeline.stage import Stage
from emopipe.stages.types import Face, Faces, VideoFrame


class _Earlier(NamedTuple):
    """A frame that is past, and whose faces were in it."""

    pts: int
    luma: NDArray[np.uint8]
    ids: list[int]


class FaceDetection(Stage):
    """Finds, follows and cuts out the faces of each frame; a frame without any gives an empty list.

    MediaPipe's detector (BlazeFace, short range: faces of about a seventh of the frame's width, as within 2 m of a
    webcam) sees the frame's small image; with `range` its parts too, for faces of a twentieth. Crops are cut from the
    frame's luma, turned so that the eyes are level.
    """

    name = "face-detection"
    work_ms = 3.2
    memory_mb = 90.0
    # A late frame is worth nothing live, so of each stream only the newest waits; what is dropped is dropped here,
    # before any work. With many streams a frame then waits for one turn of the others, not for several.
    inputs: ClassVar[dict[str, Port]] = {"video": Port(VideoFrame, "frames", policy="drop-oldest", size=1)}
    outputs: ClassVar[dict[str, Port]] = {"faces": Port(Faces, "the faces of each frame, with their crops")}

    class Settings(Stage.Settings, kw_only=True):
        min_confidence: Annotated[float, about("detections below it are no faces", ge=0, le=1)] = 0.5
        max_faces: Annotated[int, about("the most confident ones in a frame are kept", ge=1, le=100)] = 8
        range: Annotated[
            Range,
            about(
                "how far faces are looked for: in the whole frame alone; in six parts of it too; or in all parts every "
                "0.5 s, and in between where one was far"
            ),
        ] = "short"
        interval: Annotated[
            float,
            about(
                "between two looks of the detector at faces that hardly move: in between they are where their tracks "
                "say, even if they have left or the film is cut; 0 looks at every frame",
                unit="s",
                ge=0,
                le=1,
            ),
        ] = 0.0
        margin: Annotated[float, about("side of the crop, in units of FER2013's own framing", ge=0.5, le=3)] = 1.0
        picture: Annotated[
            int,
            about(
                "side of a crop in colour beside the grey one, for models of other makers; 0: none",
                unit="px",
                ge=0,
                le=1024,
            ),
        ] = 0
        max_gap: Annotated[
            float,
            about("a face out of sight for longer, and `interval` besides, comes back as a new one", unit="s", gt=0),
        ] = 1.0

        def loads(self) -> list[str]:
            return [str((assets.FOLDER / assets.FACE_DETECTOR).resolve())]

    settings: Settings

    async def setup(self) -> None:
        settings = self.settings
        self._detector = await self.exit.enter(FaceDetector, settings.min_confidence, settings.max_faces)
        await self.compute(self._warm_up)
        self._searches = self.per_stream(lambda: FaceSearch(self._detector, settings.range, settings.max_faces))
        interval = round(settings.interval * SECOND)
        max_gap = settings.max_gap + settings.interval  # or each look would be a return
        self._followers = self.per_stream(lambda: FaceFollower(Tracker(max_gap=max_gap), interval))
        self._earlier = self.per_stream(deque[_Earlier])

    def _warm_up(self) -> None:
        import cv2

        cv2.setNumThreads(1)  # more would spin, waiting for a share of crops that are too small to be shared
        self._detector.detect(np.zeros((180, 320, 3), np.uint8), 0)

    async def process(self, port: str, message: Message) -> None:
        frame: VideoFrame = message.payload
        follower = self._followers[message.stream]
        if expected := follower.expected(message.pts):
            found, ids = expected
            self.count("followed", message.stream, len(found))
        else:
            looked = await self.compute(self._searches[message.stream].detect, frame.small, message.pts)
            found, ids = follower.looked(looked, message.pts)
        earlier = self._earlier[message.stream]
        while len(earlier) > 1 and message.pts - earlier[1].pts >= MIN_INTERVAL_NS:
            earlier.popleft()  # what is left first is the newest frame that is old enough
        near = earlier and MIN_INTERVAL_NS <= message.pts - earlier[0].pts <= MAX_INTERVAL_NS
        before = earlier[0] if near else None
        faces = [self._cut(frame, face, id, before) for face, id in zip(found, ids, strict=True)]
        earlier.append(_Earlier(message.pts, frame.luma, ids))
        self.count("faces", message.stream, len(faces))
        await self.emit("faces", Faces(faces=faces), cause=message)

    def _cut(self, frame: VideoFrame, found: Detection, id: int, before: _Earlier | None) -> Face:
        luma = frame.luma
        height, width = luma.shape
        framing = frame_face(found, width, height, self.settings.margin)
        cut = crop(luma, framing)
        weight = quality(cut, found, framing, width, height).weight
        mouth = None
        if before is not None and id in before.ids and before.luma.shape == luma.shape:
            mouth = mouth_speed(luma, before.luma, frame_face(found, width, height))
        face = Face(id=id, box=found.box, score=found.score, quality=weight, crop=cut, mouth=mouth)
        if self.settings.picture:
            face.picture = colour_crop(luma, frame.small, framing, self.settings.picture)
        return face
