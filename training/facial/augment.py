"""Augmentation of a whole batch at once, on whatever device it lies."""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from emopipe.training.facial.settings import Augmentation


def augment(images: Tensor, how: Augmentation, size: int | None = None) -> Tensor:
    """Mirror, turn, scale, shift, re-light and erase each image of [N, 1, H, W] by its own random amount.

    Geometry is one affine map and one bilinear sampling; what comes from outside repeats the border. With a `size`
    the result is [N, 1, size, size], sampled in the same step.
    Randomness is torch's default generator, so `torch.manual_seed` makes it repeatable.
    """
    count, channels, *shape = images.shape
    height, width = (size, size) if size else shape
    device = images.device

    def uniform(limit: float) -> Tensor:
        return (torch.rand(count) * 2 - 1).mul_(limit).to(device)

    angle, zoom = uniform(math.radians(how.rotation)), 1 + uniform(how.scale)
    mirror = torch.where(torch.rand(count) < 0.5, -1.0, 1.0).to(device) if how.flip else torch.ones_like(zoom)
    cos, sin = angle.cos() / zoom, angle.sin() / zoom
    rows = [cos * mirror, -sin, uniform(2 * how.shift), sin * mirror, cos, uniform(2 * how.shift)]
    theta = torch.stack(rows, dim=1).view(count, 2, 3)
    grid = F.affine_grid(theta, [count, channels, height, width], align_corners=False)
    images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)

    gain, offset = 1 + uniform(how.contrast), uniform(how.contrast)
    images = images * gain.view(-1, 1, 1, 1) + offset.view(-1, 1, 1, 1)

    def span(length: int) -> Tensor:
        """[N, length], true inside a random interval of at most `erasing_size` of the length."""
        size = torch.rand(count, 1) * how.erasing_size * length
        start = torch.rand(count, 1) * (length - size)
        at = torch.arange(length)
        return ((at >= start) & (at < start + size)).to(device)

    hit = (torch.rand(count, 1, 1) < how.erasing).to(device)
    erased = span(height)[:, :, None] & span(width)[:, None, :] & hit
    # Zero is the mean grey after `prepare`.
    return images.masked_fill(erased.unsqueeze(1), 0.0)
