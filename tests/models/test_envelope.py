import numpy as np
import pytest

from emopipe.models.envelope import envelope


def test_each_step_has_its_level_and_the_last_ends_with_the_sound() -> None:
    sound = np.concatenate([np.full(100, 0.9), np.full(320, 0.1), np.full(320, 1.0), np.zeros(320)]).astype(np.float32)
    levels = envelope(sound)
    assert levels.dtype == np.float32
    assert levels == pytest.approx([-20, 0, -120], abs=1e-3)


@pytest.mark.parametrize("samples", [0, 319])
def test_less_than_a_step_has_no_level(samples: int) -> None:
    assert envelope(np.ones(samples, np.float32)).shape == (0,)
