import pytest
import torch
from torch import Tensor

from emopipe.training.facial.augment import compress, degrade, frame
from emopipe.training.facial.settings import Augmentation

NOTHING = Augmentation(flip=False, **dict.fromkeys([n for n in Augmentation.__struct_fields__ if n != "flip"], 0.0))


def images(count: int = 64) -> Tensor:
    """A bright spot right of and above the middle, smooth enough to be sampled anywhere."""
    rows, columns = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    spot = 200 * torch.exp(-((columns - 31.5) ** 2 + (rows - 15.5) ** 2) / 18) + 20
    return spot.round().expand(count, 1, 48, 48).clone()


def spots(batch: Tensor) -> Tensor:
    """[N, 2]: where each spot is, right of and below the middle, in pixels."""
    weights = batch[:, 0].clamp(min=32) - 32
    at = torch.arange(48.0) - 23.5
    total = weights.sum((1, 2))
    return torch.stack([(weights.sum(1) @ at) / total, (weights.sum(2) @ at) / total], dim=1)


def only(**options: float) -> Augmentation:
    settings = {name: getattr(NOTHING, name) for name in NOTHING.__struct_fields__}
    return Augmentation(**(settings | options))


def test_nothing_changes_nothing() -> None:
    torch.testing.assert_close(frame(images(), NOTHING, 48), images(), rtol=0, atol=1e-3)
    torch.testing.assert_close(degrade(images(), NOTHING), images(), rtol=0, atol=0)


def test_flip_mirrors_about_half() -> None:
    torch.manual_seed(0)
    right = spots(frame(images(400), only(flip=True), 48))[:, 0]
    torch.testing.assert_close(right.abs(), torch.full((400,), 8.0), atol=0.1, rtol=0)
    assert 150 < int((right > 0).sum()) < 250


def test_rotation_turns_around_the_middle_by_at_most_that() -> None:
    torch.manual_seed(0)
    place = spots(frame(images(400), only(rotation=20), 48))
    radius, angle = place.norm(dim=1), torch.rad2deg(torch.atan2(place[:, 1], place[:, 0])) + 45
    torch.testing.assert_close(radius, torch.full((400,), 8 * 2**0.5), atol=0.3, rtol=0)
    assert 17 < float(angle.max()) < 20.5
    assert -20.5 < float(angle.min()) < -17


def test_scale_and_shift_stay_within_their_limits() -> None:
    torch.manual_seed(0)
    zoomed = spots(frame(images(400), only(scale=0.1), 48)).norm(dim=1) / (8 * 2**0.5)
    assert 1.08 < float(zoomed.max()) < 1.12
    assert 0.88 < float(zoomed.min()) < 0.92
    moved = spots(frame(images(400), only(shift=0.1), 48)) - torch.tensor([8.0, -8.0])
    assert 4.3 < float(moved.abs().max()) < 5.0
    assert float(moved.mean(0).abs().max()) < 0.6


def test_a_window_is_what_counts_as_unmoved() -> None:
    tall = frame(images(1), NOTHING, 96, window=(-1 / 3, 2 / 3))
    assert tall.shape == (1, 1, 96, 96)
    at = tall[0, 0].flatten().argmax()
    # The window's middle lies 8 pixels above the image's, level with the spot; it is two thirds as high.
    assert (int(at) // 96, int(at) % 96) == (pytest.approx(47.5, abs=2), pytest.approx(47.5 + 8 * 3, abs=2))


@pytest.mark.parametrize(
    "name", ["contrast", "brightness", "gamma", "side_light", "dark", "blur", "low_resolution", "noise", "jpeg"]
)
def test_what_a_camera_does_changes_some_images_and_leaves_whole_levels(name: str) -> None:
    torch.manual_seed(0)
    batch = degrade(images(200), only(**{name: 0.5}))
    changed = (batch != images(200)).flatten(1).any(dim=1).float().mean()
    assert 0.35 < float(changed) <= 1
    assert torch.equal(batch, batch.round())
    assert 0 <= float(batch.min()) <= float(batch.max()) <= 255


def test_dark_is_nearly_black() -> None:
    torch.manual_seed(0)
    batch = degrade(images(200), only(dark=1.0))
    assert float(batch.amax((1, 2, 3)).median()) < 0.35 * 220


def test_a_cover_hides_a_rectangle_in_about_its_share_of_the_images() -> None:
    torch.manual_seed(0)
    batch = degrade(torch.full((400, 1, 48, 48), 77.0), only(cover=0.5, cover_size=0.5))
    covered = (batch != 77).flatten(1).sum(1)
    assert 150 < int((covered > 0).sum()) <= 250
    assert int(covered.max()) <= 25 * 25
    assert max(len(image.unique()) for image in batch) == 2, "a rectangle of one grey"


def test_compression_loses_more_the_coarser_it_is() -> None:
    torch.manual_seed(0)
    noisy = torch.rand(2, 1, 48, 48)
    fine, coarse = (compress(noisy, torch.full((2, 1, 1, 1), step)) for step in (1e-3, 5.0))
    assert float((fine - noisy).abs().max()) < 0.02
    assert float((coarse - noisy).abs().mean()) > 0.1


def test_colour_keeps_its_channels() -> None:
    torch.manual_seed(0)
    colour = torch.rand(3, 3, 100, 100) * 255
    assert degrade(frame(colour, Augmentation(), 192), Augmentation()).shape == (3, 3, 192, 192)


def test_the_seed_repeats_it_and_the_input_stays() -> None:
    batch = images()
    torch.manual_seed(3)
    first = degrade(frame(batch, Augmentation(), 48), Augmentation())
    torch.manual_seed(3)
    torch.testing.assert_close(degrade(frame(batch, Augmentation(), 48), Augmentation()), first, rtol=0, atol=0)
    torch.testing.assert_close(batch, images(), rtol=0, atol=0)
    assert not torch.equal(degrade(batch, Augmentation()), first)
