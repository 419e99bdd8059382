import numpy as np
import pytest
import torch

from emopipe.training.facial import fer2013
from emopipe.training.facial.batches import FaceBatches

CPU = torch.device("cpu")


@pytest.fixture
def split() -> fer2013.Split:
    """Ten images whose pixels tell their number."""
    images = np.arange(10, dtype=np.uint8).repeat(48 * 48).reshape(10, 48, 48)
    return fer2013.Split(images, np.arange(10, dtype=np.int64))


def numbers(batches: FaceBatches) -> list[list[int]]:
    return [targets.tolist() for _, targets in batches]


def test_validation_sees_everything_in_order(split: fer2013.Split) -> None:
    batches = FaceBatches(split, 4, CPU)
    assert numbers(batches) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(batches) == 3


def test_every_image_comes_at_most_once_an_epoch(split: fer2013.Split) -> None:
    batches = FaceBatches(split, 4, CPU, seed=1)
    seen = [number for batch in numbers(batches) for number in batch]
    assert len(batches) == 2, "the rest is left out of training"
    assert len(set(seen)) == len(seen) == 8
    for pictures, targets in batches:
        assert pictures[:, 0, 0].tolist() == targets.tolist()


def test_the_order_is_the_epochs_own(split: fer2013.Split) -> None:
    batches = FaceBatches(split, 4, CPU, seed=1)
    first = numbers(batches)
    batches.epoch = 1
    second = numbers(batches)
    batches.epoch = 0
    torch.manual_seed(99)
    assert numbers(batches) == first != second
    assert numbers(FaceBatches(split, 4, CPU, seed=2)) != first


@pytest.mark.parametrize("world", [2, 3, 4])
def test_ranks_share_each_batch(split: fer2013.Split, world: int) -> None:
    alone = numbers(FaceBatches(split, 4, CPU, seed=1))
    shares = [numbers(FaceBatches(split, 4, CPU, 1, rank, world)) for rank in range(world)]
    for step, whole in enumerate(alone):
        parts = [share[step] for share in shares]
        assert len({len(part) for part in parts}) == 1, "every rank takes as many, or their steps would not match"
        together = sorted(number for part in parts for number in part)
        assert together == sorted(whole[: 4 - 4 % world])


def test_a_split_smaller_than_a_batch_is_one_batch(split: fer2013.Split) -> None:
    assert [len(batch) for batch in numbers(FaceBatches(split, 64, CPU, seed=1))] == [10]
