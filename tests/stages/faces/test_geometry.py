"""The stage that measures faces, around a landmarker whose meshes are known."""

from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from emopipe.models.geometry.landmarker import Mesh
from emopipe.models.geometry.measures import Measures
from emopipe.pipeline.clock import MS
from emopipe.pipeline.message import Message
from emopipe.pipeline.testing import Outputs, data, eos, gap, run_stage
from emopipe.stages.faces.geometry import Geometry
from emopipe.stages.types import Face, FaceGeometry, Faces, VideoFrame

Box = tuple[float, float, float, float]


class Brightness:
    """Sees a face turned by as many degrees as the frame's grey levels; none in black."""

    boxes: list[Box]

    def __init__(self) -> None:
        Brightness.boxes = []

    def mesh(self, luma: NDArray[np.uint8], box: Box) -> Mesh | None:
        self.boxes.append(box)
        return Mesh(np.full((478, 3), float(luma[0, 0])), np.eye(3), {}) if luma[0, 0] else None

    def close(self) -> None:
        """Nothing is held."""


def measured(mesh: Mesh) -> Measures:
    still: dict[str, Any] = dict.fromkeys(Measures._fields, 0.0)
    return Measures(**still | {"yaw": float(mesh.points[0, 0]), "uncertain": False})


@pytest.fixture(autouse=True)
def _known_meshes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emopipe.stages.faces.geometry.FaceLandmarker", Brightness)
    monkeypatch.setattr("emopipe.stages.faces.geometry.measure", measured)


def frame(ms: int, grey: int = 10, **header: Any) -> tuple[str, Message]:
    made = VideoFrame(np.full((90, 160), grey, np.uint8), np.full((18, 32, 3), grey, np.uint8))
    return "video", data(made, ms * MS, **header)


def faces(ms: int, *widths: float, **header: Any) -> tuple[str, Message]:
    crop = np.zeros((48, 48), np.uint8)
    found = [
        Face(id=number, box=(0.1, 0.1, width, width), score=0.9, quality=1.0, crop=crop)
        for number, width in enumerate(widths)
    ]
    return "faces", data(Faces(faces=found), ms * MS, **header)


def yaws(ran: Outputs, stream: str | None = None) -> list[list[float | None]]:
    return [
        [face.geometry.yaw if isinstance(face.geometry, FaceGeometry) else None for face in result.faces]
        for result in ran.payloads("faces", stream)
    ]


def run(*events: tuple[str, Message], streams: tuple[str, ...] = ("test",), **settings: Any) -> Outputs:
    ends = [(port, eos(stream)) for stream in streams for port in ("video", "faces")]
    return run_stage(Geometry(Geometry.Settings(**settings)), [*events, *ends])


def test_each_face_is_measured_in_the_frame_of_its_own_time() -> None:
    ran = run(frame(0, 10), frame(40, 20), faces(0, 0.3), frame(80, 30), faces(40, 0.3), faces(80, 0.3), smoothing=0)
    assert yaws(ran) == [[10], [20], [30]]
    assert [message.pts for message in ran.data("faces")] == [0, 40 * MS, 80 * MS]


def test_the_order_of_arrival_changes_nothing() -> None:
    events = [frame(0, 10), frame(40, 30), frame(80, 20), faces(0, 0.3), faces(40, 0.3), faces(80, 0.3)]
    one = run(*events)
    other = run(*events[3:], *events[:3])
    assert yaws(one) == yaws(other)
    assert 10 < yaws(one)[1][0] < 30  # type: ignore[operator] # smoothed


def test_faces_pass_unmeasured_where_there_is_no_frame_or_no_mesh() -> None:
    ran = run(frame(0, 10), faces(0, 0.3), faces(40, 0.3), frame(80, 0), faces(80, 0.3), frame(120, 10), faces(120))
    assert yaws(ran) == [[10], [None], [None], []]
    assert b"geometry" not in msgspec.json.encode(ran.payloads("faces")[1].faces[0].box)
    assert "geometry" not in msgspec.to_builtins(ran.payloads("faces")[1].faces[0], builtin_types=(np.ndarray,))


def test_the_largest_faces_are_measured() -> None:
    ran = run(frame(0, 10), faces(0, 0.1, 0.4, 0.2, 0.3), max_faces=2)
    assert yaws(ran) == [[None, 10, None, 10]]
    assert sorted(box[2] for box in Brightness.boxes) == [0.3, 0.4]


def test_gaps_go_on_in_their_place() -> None:
    ran = run(frame(0), faces(0, 0.3), ("faces", gap(40 * MS, 40 * MS)), frame(80), faces(80, 0.3))
    assert [(message.kind, message.pts) for message in ran.messages["faces"] if message.kind in {"data", "gap"}] == [
        *(("data", 0), ("gap", 40 * MS), ("data", 80 * MS))
    ]


def test_streams_and_epochs_do_not_mix() -> None:
    ran = run(
        frame(0, 10, stream="a"),
        faces(0, 0.3, stream="a"),
        frame(0, 50, stream="b"),
        faces(0, 0.3, stream="b"),
        frame(40, 90, stream="a", epoch=1),
        faces(40, 0.3, stream="a", epoch=1),
        ("video", eos("a", epoch=1)),
        ("faces", eos("a", epoch=1)),
        streams=("b",),
    )
    assert yaws(ran, "a") == [[10], [90]]
    assert yaws(ran, "b") == [[50]]


def test_a_face_may_not_be_forgotten_before_it_is_smoothed() -> None:
    (problem,) = Geometry.Settings(smoothing=3.0).check()
    assert (problem.key, problem.text) == ("forget", "2.0 s is less than smoothing, 3.0 s, which it would cut off")
