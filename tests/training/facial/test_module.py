import pytest
import torch

from emopipe.training.facial.module import blending, moving_average, one_cycle


def test_one_cycle() -> None:
    factors = [one_cycle(step / 100, 0.2) for step in range(101)]
    assert factors[0] == pytest.approx(0.04)
    assert max(factors) == factors[20] == pytest.approx(1.0)
    assert factors == sorted(factors[:20]) + sorted(factors[20:], reverse=True)
    assert factors[100] == pytest.approx(0.0, abs=1e-9)


def test_blending_gives_each_image_another_and_one_share_for_all() -> None:
    torch.manual_seed(0)
    blends = [blending(6, 0.5, torch.device("cpu")) for _ in range(50)]
    assert all(0 <= blend <= 1 and sorted(other.tolist()) == list(range(6)) for blend, other in blends)
    assert len({blend for blend, _ in blends}) == 50


def test_the_average_is_short_at_first_and_then_as_long_as_it_should_be() -> None:
    update = moving_average(0.9)
    average, new = [torch.zeros(1)], [torch.ones(1)]
    update(average, new, torch.tensor(0))
    assert float(average[0]) == pytest.approx(0.9)  # of the random start a tenth is left
    average = [torch.zeros(1)]
    update(average, new, torch.tensor(100_000))
    assert float(average[0]) == pytest.approx(0.1)
