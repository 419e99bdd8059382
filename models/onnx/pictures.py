"""Pictures of faces as a model of another maker takes them."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emopipe.models.onnx.files import OnnxFile, Shape
from emopipe.pipeline.errors import ModelError

Colour = Literal["auto", "grey", "rgb", "bgr"]
Layout = Literal["auto", "channels-first", "channels-last"]

MAX_SIDE_PX = 1024


class PictureInput(NamedTuple):
    """What a model is fed of a face.

    Attributes:
        size: height and width, in px.
        colour: its channels.
        axis: where they stand, [N, C, H, W] (1) or [N, H, W, C] (3); 0 where there is none, [N, H, W].
        dtype: `float32` and the like, or `uint8`, which is given the levels 0 to 255 as they are.
        scale, mean, std: a level counts as (level × scale - mean) / std, by channel.
    """

    size: tuple[int, int]
    colour: Literal["grey", "rgb", "bgr"]
    axis: int
    dtype: str
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def channels(self) -> int:
        """How many."""
        return 1 if self.colour == "grey" else 3

    def read(self, picture: NDArray[np.uint8]) -> NDArray[np.generic]:
        """A picture uint8 [H, W] (grey) or [H, W, 3] (RGB) as one row of the input.

        Raises:
            ModelError: the model wants colours, which a grey picture has not.
        """
        import cv2

        if picture.ndim == 2 and self.channels == 3:
            raise ModelError(
                f"the model takes {self.colour} pictures, and faces come in grey; "
                f"set picture = {max(self.size)} in the stage face-detection"
            )
        if picture.ndim == 3 and self.channels == 1:
            picture = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        height, width = self.size
        if picture.shape[:2] != self.size:
            shrinks = picture.shape[0] > height
            picture = cv2.resize(
                picture, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            )
        values = picture.reshape(height, width, self.channels)
        if self.colour == "bgr":
            values = values[:, :, ::-1]
        if self.dtype != "uint8":
            levels = values.astype(np.float64) * self.scale
            values = ((levels - np.array(self.mean)) / np.array(self.std)).astype(self.dtype)
        if self.axis == 0:
            return np.ascontiguousarray(values[None, :, :, 0])
        return np.ascontiguousarray(values.transpose(2, 0, 1)[None] if self.axis == 1 else values[None])


def picture_input(
    file: OnnxFile,
    size: int,
    colour: Colour,
    layout: Layout,
    scale: float,
    mean: Sequence[float],
    std: Sequence[float],
) -> PictureInput:
    """What the one input of a file is fed, by its shape, and by the settings where that leaves a choice.

    Raises:
        ModelError: it takes no pictures; its shape leaves open what no setting says, or is another than they say.
    """
    value = file.input()
    shape = value.shape
    if len(shape) not in (3, 4) or not (value.dtype.startswith("float") or value.dtype == "uint8"):
        raise ModelError(
            f"{file.path}: the input {value} takes no pictures of faces; float32 or uint8 of [N, C, H, W], "
            "[N, H, W, C] or [N, H, W] would"
        )
    if shape[0] not in (None, 1):
        raise ModelError(
            f"{file.path}: the input {value} wants {shape[0]} faces at once; export it for one, or for any"
        )
    axis = _axis(file, shape, layout)
    sides = [side for place, side in enumerate(shape) if place not in (0, axis)]
    height, width = (side or size for side in sides)
    if not (height and width):
        raise ModelError(
            f"{file.path}: the input {value} leaves its size open; set size = 64, or what it was trained on"
        )
    if size and (height, width) != (size, size):
        raise ModelError(
            f"{file.path}: the input {value} is for pictures of {height} × {width}, not of {size}; leave size out"
        )
    if max(height, width) > MAX_SIDE_PX:
        raise ModelError(f"{file.path}: the input {value} is for pictures of more than {MAX_SIDE_PX} px a side")
    channels = shape[axis] if axis else 1
    chosen = colour if colour != "auto" else "rgb" if channels == 3 else "grey"
    if channels not in (None, 1 if chosen == "grey" else 3):
        raise ModelError(
            f'{file.path}: the input {value} has {channels} channels, which colour = "{chosen}" has not; '
            'grey has 1, "rgb" and "bgr" have 3'
        )
    count = 1 if chosen == "grey" else 3
    for name, values in (("mean", mean), ("std", std)):
        if len(values) not in (1, count):
            raise ModelError(f"{name}: {len(values)} numbers for {count} channels; give 1, or one for each channel")
    if not all(each > 0 for each in std):
        raise ModelError("std: must be above 0; it divides")
    return PictureInput((height, width), chosen, axis, value.dtype, scale, tuple(mean), tuple(std))


def _axis(file: OnnxFile, shape: Shape, layout: Layout) -> int:
    """Where the channels stand in a shape."""
    if len(shape) == 3:
        return 0
    if layout != "auto":
        return 1 if layout == "channels-first" else 3
    fits = [axis for axis in (1, 3) if shape[axis] in (1, 3)]
    if len(fits) != 1:
        raise ModelError(
            f"{file.path}: the input {file.input()} does not show where its channels stand; "
            'set layout = "channels-first" or "channels-last"'
        )
    return fits[0]
