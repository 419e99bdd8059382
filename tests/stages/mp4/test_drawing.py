"""Text and boxes on pictures."""

import numpy as np
import pytest
from av.video.reformatter import Colorspace

from emopipe.stages.mp4.canvas import Canvas, Restorer
from emopipe.stages.mp4.drawing import draw
from emopipe.stages.mp4.lettering import text_mask
from emopipe.stages.sinks.view import findings
from emopipe.stages.types import VideoFrame
from tests.support.factories import make_emotions, make_geometry


def canvas(width: int, height: int) -> Canvas:
    frame = VideoFrame(luma=np.full((height, width), 90, np.uint8), small=np.full((height, width, 3), 90, np.uint8))
    return Restorer(width, height, Colorspace.ITU709).read(frame)


def rgb(drawn: Canvas) -> np.ndarray:
    return drawn.frame.to_ndarray(format="rgb24").astype(int)


def test_text_is_a_mask_of_its_size() -> None:
    small, large = text_mask("happy 82%", 12), text_mask("happy 82%", 48)
    assert 0 == small.min() < small.max() <= 1
    assert large.shape[0] == pytest.approx(4 * small.shape[0], rel=0.15)
    assert text_mask("sad", 12).shape[0] == small.shape[0]
    assert text_mask("", 12).sum() == 0
    assert not (text_mask("sad", 24)[:, :10] == text_mask("fear", 24)[:, :10]).all()


def test_a_box_is_where_the_face_is() -> None:
    drawn = canvas(640, 360)
    draw(drawn, make_emotions({1: "sad"}), None, False)
    image = rgb(drawn)
    changed = abs(image - 90).max(-1) > 25
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    assert (columns[0], columns[-1]) == (pytest.approx(160, abs=5), pytest.approx(480, abs=5))  # 0.25 to 0.75
    assert rows[-1] == pytest.approx(225, abs=5)
    assert rows[0] < 45  # the tag stands above
    assert not changed[60:210, 180:460].any()  # nothing is drawn over the face
    red, _, blue = image[130, 160]
    assert blue > red + 60  # the colour of sad


@pytest.mark.parametrize("size", [(2, 2), (16, 300), (300, 16), (64, 48), (1920, 1080)])
@pytest.mark.parametrize(
    "box", [(0.0, 0.0, 1.0, 1.0), (-0.5, -0.5, 2.0, 2.0), (0.9, 0.95, 0.5, 0.5), (1.5, 1.5, 0.1, 0.1)]
)
def test_any_box_on_any_picture(size: tuple[int, int], box: tuple[float, float, float, float]) -> None:
    drawn, emotions = canvas(*size), make_emotions({1: "happy", 2: "fear"}, "angry")
    for face in emotions.faces:
        face.box = box
    emotions.faces[1].uncertain = True
    draw(drawn, emotions, findings(emotions)[-1], True)
    assert rgb(drawn).shape == (size[1], size[0], 3)


def test_where_a_head_points_stands_below_its_box_where_there_is_room() -> None:
    plain, told, cramped = canvas(640, 360), canvas(640, 360), canvas(64, 48)
    emotions = make_emotions({1: "sad"})
    draw(plain, emotions, None, False)
    emotions.faces[0].geometry = make_geometry(yaw=-12, pitch=5)
    draw(told, emotions, None, False)
    draw(cramped, emotions, None, False)
    changed = (rgb(plain) != rgb(told)).any(-1)
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    assert 225 <= rows[0] < rows[-1] < 260  # the box ends at 225
    assert columns[0] == pytest.approx(160, abs=4)
