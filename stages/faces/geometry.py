"""The geometry of each face: where head and eyes point, what opens, rises and blinks."""

from typing import Annotated, ClassVar

import msgspec

from emopipe.models import assets
from emopipe.models.geometry.following import FollowedFaces
from emopipe.models.geometry.landmarker import FaceLandmarker
from emopipe.models.geometry.measures import measure
from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Invalid, Port, about
from emopipe.pipeline.stage import Stage
from emopipe.pipeline.stream_join import Pair, Pairing, StreamJoin, latest_within
from emopipe.stages.types import Face, FaceGeometry, Faces, VideoFrame

MAX_PENDING_FRAMES = 60  # in live mode


class Geometry(Stage):
    """Adds to each face how it is held and what moves in it: between `face-detection` and `facial-inference`.

    MediaPipe's face mesh (478 points) sees the face's part of the frame's luma, one face after the other. Faces of a
    frame that does not come, and those in which no mesh is seen, go on without. docs/geometry.md says what is measured,
    how, how well, and what it costs.
    """

    name = "face-geometry"
    work_ms = 12.0
    memory_mb = 100.0
    # A frame comes before its faces, so that at equal pts it is there when they ask for it.
    inputs: ClassVar[dict[str, Port]] = {
        "video": Port(VideoFrame, "the frames that the faces are in", policy="drop-oldest", size=8),
        "faces": Port(Faces, "the faces of each frame", size=2),
    }
    outputs: ClassVar[dict[str, Port]] = {"faces": Port(Faces, "the same faces, with their geometry")}

    class Settings(Stage.Settings, kw_only=True):
        smoothing: Annotated[float, about("time constant of the smoothing; 0 turns it off", unit="s", ge=0)] = 0.1
        forget: Annotated[float, about("a face away for longer starts anew", unit="s", gt=0)] = 2.0
        max_faces: Annotated[int, about("the largest ones in a frame are measured", ge=1, le=100)] = 4
        budget: Annotated[
            float, about("in live mode, how long faces wait for their frame at most", unit="s", ge=0, le=10)
        ] = 0.2

        def check(self) -> list[Invalid]:
            if self.forget < self.smoothing:
                said = f"{self.forget} s is less than smoothing, {self.smoothing} s, which it would cut off"
                return [Invalid("forget", said)]
            return []

        def loads(self) -> list[str]:
            return [str((assets.FOLDER / assets.FACE_LANDMARKER).resolve())]

    settings: Settings

    async def setup(self) -> None:
        settings = self.settings
        self._landmarker = await self.exit.enter(FaceLandmarker)
        self._followed = self.per_stream(lambda: FollowedFaces(settings.smoothing, settings.forget))
        wait = round(settings.budget * SECOND)
        self._join = StreamJoin(
            self,
            ("video", "faces"),
            lambda: Pairing("faces", latest_within(0)),
            self._send,
            budget={"faces": wait},
            max_pending=MAX_PENDING_FRAMES,
        )

    async def process(self, port: str, message: Message) -> None:
        self._join.push(port, message)

    async def gap(self, port: str, message: Message) -> None:
        if port == "faces":
            self._join.push(port, message)

    async def moved(self, port: str, stream: str, watermark: int) -> None:
        await self._join.move(port, stream, watermark)

    def watermark(self, stream: str) -> int:
        return self._join.watermark(stream)

    def reset(self, stream: str) -> None:
        if stale := self._join.pending(stream):
            self.count("stale", stream, stale)

    async def _send(self, stream: str, pair: Pair, following: int) -> None:
        message, frame, _ = pair
        if message.kind == "gap":
            await self.emit_gap("faces", cause=message, watermark=following)
            return
        seen: Faces = message.payload
        faces = seen.faces
        if frame is None:
            self.count("without_frame", stream, bool(faces))
        elif faces:
            faces = await self.compute(self._measured, faces, frame.payload, self._followed[stream], message.pts)
        await self.emit("faces", Faces(faces=faces), cause=message, watermark=following)

    def _measured(self, faces: list[Face], frame: VideoFrame, followed: FollowedFaces, pts: int) -> list[Face]:
        largest = sorted(faces, key=lambda face: (-face.box[2] * face.box[3], face.id))[: self.settings.max_faces]
        chosen = {face.id for face in largest}
        return [self._measure(face, frame, followed, pts) if face.id in chosen else face for face in faces]

    def _measure(self, face: Face, frame: VideoFrame, followed: FollowedFaces, pts: int) -> Face:
        mesh = self._landmarker.mesh(frame.luma, face.box)
        if mesh is None:
            return face
        measures, blinks = followed.add(face.id, measure(mesh), pts)
        return msgspec.structs.replace(face, geometry=FaceGeometry(**measures._asdict(), blinks=blinks))
