"""The pose of a head, of points that are made by a known one."""

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emopipe.models import assets
from emopipe.models.geometry.head_pose import MEMBER, fit, lifted, read_head
from tests.support.turns import rotation

HEAD = read_head(assets.face_landmarker_model())


@given(st.floats(-80, 80), st.floats(-40, 40), st.floats(-60, 60), st.floats(1, 30))
def test_the_pose_is_found_from_the_points_in_the_picture(roll: float, pitch: float, yaw: float, scale: float) -> None:
    turn = rotation(roll, pitch, yaw)
    seen = (HEAD @ turn.T * scale * (1, -1, -1))[:, :2] + (320, 200)
    pose = fit(HEAD, seen)
    assert pose.rotation == pytest.approx(turn, abs=1e-6)
    assert pose.scale == pytest.approx(scale, rel=1e-6)


@given(st.floats(-30, 30), st.floats(-45, 45))
def test_points_get_the_depth_of_a_head_so_turned(pitch: float, yaw: float) -> None:
    turn = rotation(0, pitch, yaw)
    true = HEAD @ turn.T * 10 * (1, -1, -1)
    flat = np.vstack([true * (1, 1, 0), np.zeros((10, 3))])
    for start, outer, inner in ((468, 33, 133), (473, 263, 362)):
        flat[start : start + 5, :2] = ((true[outer] + true[inner]) / 2)[:2] + np.outer(range(5), (2, 1))
    made = lifted(HEAD, flat, fit(HEAD, flat))
    assert made[:468] == pytest.approx(true, abs=1e-6)
    in_head = made * (1, -1, -1) @ turn
    for start, outer, inner in ((468, 33, 133), (473, 263, 362)):
        assert in_head[start : start + 5, 2] == pytest.approx((in_head[outer, 2] + in_head[inner, 2]) / 2, abs=1e-6)


def test_points_without_extent_have_a_pose_of_finite_numbers() -> None:
    pose = fit(HEAD, np.zeros((478, 3)))
    assert np.isfinite(pose.rotation).all()
    assert np.isfinite(lifted(HEAD, np.zeros((478, 3)), pose)).all()


@pytest.mark.parametrize("content", [b"", b"\x0a", b"\x0b", b"\x0a\x05" + struct.pack("<Bf", 0x1D, 1.0), b"\x80" * 9])
def test_a_file_without_a_head_is_refused(tmp_path: Path, content: bytes) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(MEMBER, content)
    (tmp_path / "x.task").write_bytes(made.getvalue())
    with pytest.raises(ValueError, match=r"it has no mesh of a head|it ends within a number|a field of kind 3"):
        read_head(tmp_path / "x.task")
