import pytest
import torch

from emopipe.training.speech.temperature import KNOTS_S, fit_temperatures


def overconfident(seconds: float, temperature: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits that are right once divided by `temperature`."""
    random = torch.Generator().manual_seed(int(100 * seconds))
    logits = 2 * torch.randn(4000, 8, generator=random)
    targets = torch.multinomial(logits.softmax(1), 1, generator=random)[:, 0]
    return logits * temperature, targets, torch.full((4000,), seconds)


def test_each_length_gets_the_temperature_that_makes_it_right() -> None:
    wanted = {0.5: 4.0, 1.0: 2.0, 2.0: 1.0, 3.0: 0.7}
    parts = zip(*(overconfident(s, t) for s, t in wanted.items()), strict=True)
    logits, targets, seconds = (torch.cat(part) for part in parts)
    found = fit_temperatures(logits, targets, seconds)
    assert [place for place, _ in found] == list(KNOTS_S)
    assert [value for _, value in found] == pytest.approx(list(wanted.values()), rel=0.06)


def test_a_length_that_was_never_heard_follows_its_neighbours() -> None:
    found = dict(fit_temperatures(*overconfident(2.0, 3.0)))
    assert found[2.0] == pytest.approx(3.0, rel=0.06)
    assert found[0.5] == pytest.approx(3.0, rel=0.1)
