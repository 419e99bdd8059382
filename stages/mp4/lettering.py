"""Text as masks to paint through, in the typeface that Pillow carries (Aileron): no font needs to be installed."""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

MAX_CACHED_TEXTS = 256  # texts kept, as the same ones come again and again


@lru_cache(maxsize=MAX_CACHED_TEXTS)
def text_mask(text: str, size: int) -> NDArray[np.float32]:
    """`text` as a mask [h, w] of 0 to 1; all of one size have the same height and base line."""
    from PIL import Image, ImageDraw

    font = _font(size)
    ascent, descent = font.getmetrics()
    picture = Image.new("L", (max(1, round(font.getlength(text)) + 1), ascent + descent))
    ImageDraw.Draw(picture).text((0, 0), text, fill=255, font=font)
    mask = np.asarray(picture, np.float32) / np.float32(255)
    mask.flags.writeable = False
    return mask


@lru_cache(maxsize=8)
def _font(size: int) -> "FreeTypeFont":
    from PIL import ImageFont

    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError(
            "Pillow was built without FreeType; install its own wheel: pip install --force-reinstall pillow"
        )
    return font
