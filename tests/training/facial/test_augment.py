import pytest
import torch
from torch import Tensor

from emopipe.training.facial.augment import augment
from emopipe.training.facial.settings import Augmentation

NOTHING = Augmentation(flip=False, rotation=0, scale=0, shift=0, contrast=0, erasing=0, erasing_size=0)


def images(count: int = 64) -> Tensor:
    """A bright spot right of and above the middle, smooth enough to be sampled anywhere."""
    rows, columns = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    spot = torch.exp(-((columns - 31.5) ** 2 + (rows - 15.5) ** 2) / 18)
    return spot.expand(count, 1, 48, 48).clone()


def spots(batch: Tensor) -> Tensor:
    """[N, 2]: where each spot is, right of and below the middle, in pixels."""
    weights = batch[:, 0].clamp(min=0.05) - 0.05
    at = torch.arange(48.0) - 23.5
    total = weights.sum((1, 2))
    return torch.stack([(weights.sum(1) @ at) / total, (weights.sum(2) @ at) / total], dim=1)


def only(**options: float) -> Augmentation:
    settings = {name: getattr(NOTHING, name) for name in NOTHING.__struct_fields__}
    return Augmentation(**(settings | options))


def test_nothing_changes_nothing() -> None:
    torch.testing.assert_close(augment(images(), NOTHING), images(), rtol=0, atol=1e-5)


def test_flip_mirrors_about_half() -> None:
    torch.manual_seed(0)
    right = spots(augment(images(400), only(flip=True)))[:, 0]
    torch.testing.assert_close(right.abs(), torch.full((400,), 8.0), atol=0.1, rtol=0)
    assert 150 < int((right > 0).sum()) < 250


def test_rotation_turns_around_the_middle_by_at_most_that() -> None:
    torch.manual_seed(0)
    place = spots(augment(images(400), only(rotation=20)))
    radius, angle = place.norm(dim=1), torch.rad2deg(torch.atan2(place[:, 1], place[:, 0])) + 45
    torch.testing.assert_close(radius, torch.full((400,), 8 * 2**0.5), atol=0.3, rtol=0)
    assert 17 < float(angle.max()) < 20.5
    assert -20.5 < float(angle.min()) < -17


def test_scale_and_shift_stay_within_their_limits() -> None:
    torch.manual_seed(0)
    zoomed = spots(augment(images(400), only(scale=0.1))).norm(dim=1) / (8 * 2**0.5)
    assert 1.08 < float(zoomed.max()) < 1.12
    assert 0.88 < float(zoomed.min()) < 0.92
    moved = spots(augment(images(400), only(shift=0.1))) - torch.tensor([8.0, -8.0])
    assert 4.3 < float(moved.abs().max()) < 5.0
    assert float(moved.mean(0).abs().max()) < 0.6


def test_erasing_greys_out_about_its_share_of_the_images() -> None:
    torch.manual_seed(0)
    batch = augment(torch.ones(400, 1, 48, 48), only(erasing=0.5, erasing_size=0.5))
    erased = (batch == 0).flatten(1).sum(1)
    assert 150 < int((erased > 0).sum()) <= 200 + 50
    assert int(erased.max()) <= 25 * 25
    assert set(batch.unique().tolist()) == {0.0, 1.0}


def test_contrast_is_each_images_own() -> None:
    torch.manual_seed(0)
    batch = augment(images(), only(contrast=0.2))
    gain = batch.amax((1, 2, 3)) - batch.amin((1, 2, 3))
    assert 0.77 < float(gain.min()) < 0.85
    assert 1.12 < float(gain.max()) < 1.21


def test_the_seed_repeats_it_and_the_input_stays() -> None:
    batch = images()
    torch.manual_seed(3)
    first = augment(batch, Augmentation())
    torch.manual_seed(3)
    torch.testing.assert_close(augment(batch, Augmentation()), first, rtol=0, atol=0)
    torch.testing.assert_close(batch, images(), rtol=0, atol=0)
    assert not torch.equal(augment(batch, Augmentation()), first)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_augmentation() -> None:
    torch.manual_seed(3)
    here = augment(images(), Augmentation())
    torch.manual_seed(3)
    torch.testing.assert_close(augment(images().cuda(), Augmentation()).cpu(), here, rtol=0, atol=1e-4)
