import numpy as np
import pytest
import torch

from emopipe.models.speech.temperature import Context, Temperature
from emopipe.training.speech.temperature import KNOTS_S, fit_temperature_of


def overconfident(seconds: float, temperature: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits that are right once divided by `temperature`."""
    random = torch.Generator().manual_seed(int(100 * seconds))
    logits = 2 * torch.randn(4000, 8, generator=random)
    targets = torch.multinomial(logits.softmax(1), 1, generator=random)[:, 0]
    return logits * temperature, targets, torch.full((4000,), seconds)


def context(seconds: torch.Tensor, distance: float = 1.0, known: float = 0.0) -> Context:
    alike = np.ones(len(seconds))
    return Context(seconds.double().numpy(), distance * alike, known * alike)


def test_each_length_gets_the_temperature_that_makes_it_right() -> None:
    wanted = {0.5: 4.0, 1.0: 2.0, 2.0: 1.0, 3.0: 0.7}
    parts = zip(*(overconfident(s, t) for s, t in wanted.items()), strict=True)
    logits, targets, seconds = (torch.cat(part) for part in parts)
    found = fit_temperature_of(logits, targets, context(seconds))
    assert [place for place, _ in found.knots] == list(KNOTS_S)
    assert [value for _, value in found.knots] == pytest.approx(list(wanted.values()), rel=0.06)
    assert (found.distance, found.known) == (0, 0)  # of which nothing was seen


def test_a_length_that_was_never_heard_follows_its_neighbours() -> None:
    logits, targets, seconds = overconfident(2.0, 3.0)
    found = dict(fit_temperature_of(logits, targets, context(seconds)).knots)
    assert found[2.0] == pytest.approx(3.0, rel=0.06)
    assert found[0.5] == pytest.approx(3.0, rel=0.1)


@pytest.mark.slow("a training")
def test_what_is_far_from_the_training_data_is_believed_less_and_a_known_speaker_more() -> None:
    parts, contexts = [], []
    for distance, known in ((1.0, 0.0), (4.0, 0.0), (1.0, 0.8)):
        wanted = 2.0 * distance**0.7 * np.exp(-0.5 * known)
        logits, targets, seconds = overconfident(2.0, float(wanted))
        parts.append((logits, targets))
        contexts.append(context(seconds, distance, known))
    logits, targets = (torch.cat(part) for part in zip(*parts, strict=True))
    joined = Context(*(np.concatenate(part) for part in zip(*contexts, strict=True)))
    found = fit_temperature_of(logits, targets, joined)
    assert (found.distance, found.known) == pytest.approx((0.7, -0.5), abs=0.05)
    three = Context(np.array([2.0, 2.0]), np.array([1.0, 4.0]), np.array([0.0, 0.8]))
    expected = [2.0, 2.0 * 4**0.7 * np.exp(-0.4)]
    assert Temperature(found.knots, found.distance, found.known).at(three) == pytest.approx(expected, rel=0.06)


def test_where_calm_is_neutral_either_answer_is_right() -> None:
    logits = torch.zeros(50, 8)
    logits[:, 1] = 5.0  # surely calm
    targets, seconds = torch.zeros(50, dtype=torch.long), torch.full((50,), 2.0)
    strict = fit_temperature_of(logits, targets, context(seconds))
    shared = fit_temperature_of(logits, targets, context(seconds), calm_is_neutral=torch.ones(50, dtype=torch.bool))
    assert dict(strict.knots)[2.0] > 5
    assert dict(shared.knots)[2.0] < 1
