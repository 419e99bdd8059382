"""Pictures of faces as other makers' models take them: size, colour, layout, normalisation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from emopipe.models.onnx.files import read
from emopipe.models.onnx.pictures import PictureInput, picture_input
from emopipe.pipeline.errors import ModelError
from tests.support.onnx_models import Shape, onnx_model

RED = np.full((48, 48, 3), (200, 100, 50), np.uint8)
GREY = np.full((48, 48), 51, np.uint8)


def fed(path: Path, shape: Shape, dtype: int = TensorProto.FLOAT, **given: Any) -> PictureInput:
    settings = {"size": 0, "colour": "auto", "layout": "auto", "scale": 1 / 255, "mean": [0.0], "std": [1.0]}
    return picture_input(read(onnx_model(path / "own.onnx", shape, dtype=dtype)), **(settings | given))


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        (("N", 1, 64, 64), 0, (1, 1, 64, 64)),
        ((1, 64, 64, 1), 0, (1, 64, 64, 1)),
        (("N", "H", "W", 1), 32, (1, 32, 32, 1)),
        (("N", 48, 48), 0, (1, 48, 48)),
        ((1, 1, 40, 60), 0, (1, 1, 40, 60)),
    ],
)
def test_the_shape_says_what_is_wanted(tmp_path: Path, shape: Shape, size: int, expected: tuple[int, ...]) -> None:
    row = fed(tmp_path, shape, size=size).read(GREY)
    assert row.shape == expected
    assert row.dtype == np.float32
    np.testing.assert_allclose(row, 0.2)


def test_colours_come_in_the_order_and_the_layout_that_the_model_wants(tmp_path: Path) -> None:
    first = fed(tmp_path, ("N", 3, 8, 8), scale=1.0).read(RED)
    assert first[0, :, 0, 0].tolist() == [200, 100, 50]
    last = fed(tmp_path, ("N", 8, 8, 3), scale=1.0, colour="bgr").read(RED)
    assert last[0, 0, 0].tolist() == [50, 100, 200]


def test_normalisation_is_by_channel(tmp_path: Path) -> None:
    row = fed(tmp_path, ("N", 3, 8, 8), mean=[0.5, 0.25, 0.0], std=[0.5, 1.0, 2.0]).read(RED)
    np.testing.assert_allclose(row[0, :, 3, 3], [(200 / 255 - 0.5) / 0.5, 100 / 255 - 0.25, 50 / 255 / 2], rtol=1e-6)


def test_whole_levels_stay_what_they_are(tmp_path: Path) -> None:
    row = fed(tmp_path, ("N", 48, 48), dtype=TensorProto.UINT8, mean=[0.5]).read(GREY)
    assert row.dtype == np.uint8
    assert np.unique(row).tolist() == [51]


def test_a_grey_model_takes_a_picture_in_colour_and_not_the_other_way_round(tmp_path: Path) -> None:
    grey = fed(tmp_path, ("N", 1, 48, 48), scale=1.0).read(RED)
    assert grey[0, 0, 0, 0] == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    with pytest.raises(ModelError, match="takes rgb pictures, and faces come in grey; set picture = 64 in the stage"):
        fed(tmp_path, ("N", 3, 64, 64)).read(GREY)


def test_a_smaller_picture_is_the_mean_of_the_larger(tmp_path: Path) -> None:
    board = np.kron(np.indices((24, 24)).sum(0) % 2, np.ones((2, 2)))
    fine = (np.indices((48, 48)).sum(0) % 2 * 200).astype(np.uint8)
    half = fed(tmp_path, ("N", 1, 24, 24), scale=1.0)
    assert np.unique(half.read(fine)).tolist() == [100]
    np.testing.assert_array_equal(half.read((board * 200).astype(np.uint8))[0, 0], board[::2, ::2] * 200)


@pytest.mark.parametrize(
    ("shape", "given", "message"),
    [
        (("N", 40), {}, r"takes no pictures of faces; float32 or uint8 of \[N, C, H, W\]"),
        (("N", 1, 1, 64, 64), {}, "takes no pictures of faces"),
        ((8, 1, 64, 64), {}, "wants 8 faces at once"),
        (("N", 1, "H", "W"), {}, "leaves its size open; set size = 64"),
        (("N", 1, 64, 64), {"size": 48}, "for pictures of 64 × 64, not of 48; leave size out"),
        (("N", 4, 64, 64), {}, "does not show where its channels stand; set layout"),
        (("N", "C", 64, 64), {}, "does not show where its channels stand"),
        (("N", 3, 64, 3), {}, "does not show where its channels stand"),
        (("N", 4, 64, 64), {"layout": "channels-first"}, "has 4 channels"),
        (("N", 1, 64, 64), {"colour": "rgb"}, 'has 1 channels, which colour = "rgb" has not'),
        (("N", 1, 4000, 4000), {}, "more than 1024 px a side"),
        (("N", 1, 64, 64), {"mean": [0.1, 0.2, 0.3]}, "mean: 3 numbers for 1 channels"),
        (("N", 3, 64, 64), {"std": [0.1, 0.2]}, "std: 2 numbers for 3 channels"),
        (("N", 1, 64, 64), {"std": [0.0]}, "std: must be above 0"),
    ],
)
def test_what_does_not_fit_is_told_with_a_remedy(
    tmp_path: Path, shape: Shape, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        fed(tmp_path, shape, **given)


def test_numbers_that_are_neither_float_nor_uint8_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r'the input "input" \(int64 \? × 1 × 64 × 64\) takes no pictures'):
        fed(tmp_path, ("N", 1, 64, 64), dtype=TensorProto.INT64)
