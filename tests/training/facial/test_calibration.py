import numpy as np
import pytest
import torch

from emopipe.models.calibration import temperature_at
from emopipe.training.facial.calibration import KNOTS, HeldOut, fit_temperatures, strangers


def test_temperatures_follow_what_is_worth_how_much() -> None:
    """Near faces are right as often as they say, far ones only by chance."""
    torch.manual_seed(0)
    logits = 3 * torch.randn(8000, 7)
    distances = torch.cat([torch.full((4000,), 1.0), torch.full((4000,), 3.0)])
    said = torch.distributions.Categorical(logits=logits).sample()
    said[4000:] = torch.randint(7, (4000,))
    shares = torch.nn.functional.one_hot(said, 7).float()
    knots = fit_temperatures(logits, shares, distances, torch.ones(8000))
    near, far = temperature_at(knots, [1.0, 3.0])
    assert near == pytest.approx(1, abs=0.1)
    assert far > 8
    temperatures = [temperature for _, temperature in knots]
    assert temperatures == sorted(temperatures), "nobody should be surer of what is stranger"
    assert tuple(place for place, _ in knots) == KNOTS


def test_strangers_are_of_their_kind() -> None:
    rows = np.linspace(0, 255, 48).round().astype(np.uint8)
    faces = HeldOut(np.repeat(rows[None, :, None], 48, axis=2).repeat(3, axis=0), np.arange(3))
    versions, none = strangers(faces)
    assert versions["dark"].mean() < 12
    assert len(np.unique(versions["tiny"][0, :4, :4])) <= 5
    np.testing.assert_array_equal(versions["upside down"][0, 0], faces.images[0, -1])
    np.testing.assert_array_equal(versions["sideways"][0][:, 0], faces.images[0][0])
    assert (versions["half covered"][:, :, 24:] == 128).all()
    assert sorted(none[0].ravel()) == sorted(faces.images[0].ravel()), "the parts of a face in another order"
    assert {each.shape for each in (*versions.values(), none)} == {(3, 48, 48)}
    again, _ = strangers(faces)
    np.testing.assert_array_equal(again["dark"], versions["dark"])
