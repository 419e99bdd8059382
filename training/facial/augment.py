"""What cameras and detectors do to a face, for a whole batch at once, on whatever device it lies.

Randomness is torch's default generator on the CPU, so `torch.manual_seed` makes it repeatable.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from emopipe.training.facial.settings import Augmentation

# The luminance quantisation table of JPEG (ITU-T T.81, table K.1), of quality 50.
JPEG_TABLE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
BLOCK = 8  # pixels


def frame(images: Tensor, how: Augmentation, size: int, window: tuple[float, float] = (0.0, 1.0)) -> Tensor:
    """Mirror, turn, scale and shift each image of [N, C, H, W] by its own random amount → [N, C, size, size].

    As a detector frames, once a little wider and once a little aside. One affine map and one bilinear sampling; what
    comes from outside repeats the border. `window`: the middle's height and the half side that count as unmoved, in
    half sides of the images.
    """
    count, device = len(images), images.device
    angle = _uniform(count, math.radians(how.rotation), device)
    middle, half = window
    zoom = half * _uniform(count, how.scale, device).exp()
    stretch = _uniform(count, how.aspect, device).exp()
    mirror = 1 - 2 * _chance(count, 0.5, device) if how.flip else torch.ones_like(zoom)
    right, down = (_uniform(count, 2 * how.shift * half, device) for _ in range(2))
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    rows = [cos * mirror * stretch, -sin, right, sin * mirror * stretch, cos, middle + down]
    theta = torch.stack(rows, dim=1).view(count, 2, 3)
    grid = F.affine_grid(theta, [count, images.shape[1], size, size], align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def degrade(images: Tensor, how: Augmentation) -> Tensor:
    """Blur, re-light, darken, add noise, compress and cover each image of [N, C, H, W], grey levels 0–255, in and out.

    The levels that come out are whole numbers, as a camera's are.
    """
    count, device = len(images), images.device
    x = images / 255

    def some(probability: float) -> Tensor:
        return _chance(count, probability, device).view(-1, 1, 1, 1)

    def amount(limit: float) -> Tensor:
        return _uniform(count, limit, device).view(-1, 1, 1, 1)

    halved = F.interpolate(F.avg_pool2d(x, 2), x.shape[-1], mode="bilinear", align_corners=False)
    x = torch.where(some(how.low_resolution) > 0, halved, x)
    blurred = _blur(x)
    x = x + some(how.blur) * (0.3 + amount(0.7)) * (blurred - x)  # and, less often, sharpening
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (mean + (x - mean) * amount(how.contrast).exp()) * amount(0.6 * how.contrast).exp() + amount(how.brightness)
    x = x.clamp(0.002, 1) ** (some(0.5) * amount(how.gamma)).exp()
    dark = 1 - some(how.dark) * (1 - (-1.6 + amount(1.1)).exp())
    across = torch.linspace(-1, 1, x.shape[-1], device=device)
    x = x * dark * (1 + some(how.side_light) * amount(0.6) * across)
    noise = torch.randn(x.shape).to(device) if how.noise else torch.zeros_like(x)
    x = (x + some(how.noise) * (0.03 + amount(0.03)) * dark * noise).clamp(0, 1)
    x = torch.where(some(how.jpeg) > 0, compress(x, (-0.35 + amount(1.25)).exp()), x)
    covered = _rectangles(count, x.shape[-1], how.cover_size, device) * some(how.cover)
    x = x * (1 - covered) + covered * (0.5 + amount(0.5))
    return (x.clamp(0, 1) * 255).round()


def compress(images: Tensor, coarseness: Tensor) -> Tensor:
    """What JPEG leaves of each channel of [N, C, H, W] in 0..1, whose sides are whole blocks of 8 pixels.

    `coarseness` [N, 1, 1, 1] scales the quantisation table: 1 is quality 50, less is better.
    """
    count, channels, height, width = images.shape
    place = torch.arange(BLOCK, dtype=torch.float64)
    cosines = torch.cos((2 * place + 1) * place.unsqueeze(1) * math.pi / (2 * BLOCK)) * math.sqrt(2 / BLOCK)
    cosines[0] /= math.sqrt(2)
    dct = cosines.to(images)
    table = torch.tensor(JPEG_TABLE).view(BLOCK, BLOCK).to(images)
    steps = (table * coarseness.view(-1, 1, 1)).clamp_min(1).view(count, 1, 1, 1, BLOCK, BLOCK)
    blocks = images.view(count, channels, height // BLOCK, BLOCK, width // BLOCK, BLOCK).transpose(3, 4) * 255 - 128
    coefficients = ((dct @ blocks @ dct.T) / steps).round() * steps
    decoded = (dct.T @ coefficients @ dct + 128) / 255
    return decoded.transpose(3, 4).reshape(images.shape)


def _blur(images: Tensor) -> Tensor:
    """Every channel blurred with a standard deviation of 1.3 pixels."""
    channels = images.shape[1]
    kernel = torch.exp(-(torch.arange(-3.0, 4.0) ** 2) / (2 * 1.3**2)).to(images)
    kernel = (kernel / kernel.sum()).expand(channels, 1, -1)
    padded = F.pad(images, (3, 3, 3, 3), mode="replicate")
    rows = F.conv2d(padded, kernel.unsqueeze(2), groups=channels)
    return F.conv2d(rows, kernel.unsqueeze(3), groups=channels)


def _rectangles(count: int, length: int, most: float, device: torch.device) -> Tensor:
    """[N, 1, length, length], 1 inside a rectangle whose sides are at most the fraction `most` of the length."""

    def span() -> Tensor:
        size = torch.rand(count, 1) * most * length
        start = torch.rand(count, 1) * (length - size)
        at = torch.arange(length)
        return ((at >= start) & (at < start + size)).float().to(device)

    return (span()[:, :, None] * span()[:, None, :]).unsqueeze(1)


def _uniform(count: int, limit: float, device: torch.device) -> Tensor:
    return (torch.rand(count) * 2 - 1).mul_(limit).to(device)


def _chance(count: int, probability: float, device: torch.device) -> Tensor:
    """[N], 1 with this probability, else 0."""
    return (torch.rand(count) < probability).float().to(device)
