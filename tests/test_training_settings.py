from typing import Annotated

import msgspec
import pytest

from pipeline.errors import EmopipeError
from training.settings import settings


class Example(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    epochs: Annotated[int, msgspec.Meta(ge=1)] = 3
    rate: Annotated[float, msgspec.Meta(gt=0)] = 0.1
    name: str = "x"


def test_defaults_and_values() -> None:
    assert settings({}, Example) == Example()
    assert settings({"epochs": 5, "rate": 1}, Example) == Example(epochs=5, rate=1.0)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"epoch": 5}, "epoch: no such setting; did you mean `epochs`?"),
        ({"zzz": 5}, "zzz: no such setting; the settings are epochs, rate, name"),
        ({"epochs": 0}, "epochs: 0 is wrong: Expected `int` >= 1"),
        ({"rate": "fast"}, "rate: 'fast' is wrong: Expected `float`, got `str`"),
        ({"epochs": 1.5}, "epochs: 1.5 is wrong: Expected `int`, got `float`"),
    ],
)
def test_says_which_what_and_what_was_expected(config: dict[str, object], message: str) -> None:
    with pytest.raises(EmopipeError) as error:
        settings(config, Example)
    assert str(error.value) == message
