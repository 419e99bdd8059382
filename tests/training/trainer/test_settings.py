from typing import Annotated

import msgspec
import pytest

from emopipe.pipeline.errors import EmopipeError
from emopipe.training.trainer.settings import parse_settings, typed_command, without_folders


class Example(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    epochs: Annotated[int, msgspec.Meta(ge=1)] = 3
    rate: Annotated[float, msgspec.Meta(gt=0)] = 0.1
    name: str = "x"


def test_defaults_and_values() -> None:
    assert parse_settings({}, Example) == Example()
    assert parse_settings({"epochs": 5, "rate": 1}, Example) == Example(epochs=5, rate=1.0)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"epoch": 5}, 'epoch: unknown setting; did you mean "epochs"?'),
        ({"zzz": 5}, 'zzz: unknown setting; known are "epochs", "rate" and "name"'),
        ({"epochs": 0}, "epochs: 0 is not at least 1"),
        ({"rate": "fast"}, 'rate: expected a number, got "fast"'),
        ({"rate": 0, "zap": 1}, 'rate: 0 is not above 0; zap: unknown setting; known are "epochs", "rate" and "name"'),
        ({"epochs": 1.5}, "epochs: expected a whole number, got 1.5"),
    ],
)
def test_says_which_what_and_what_was_expected(config: dict[str, object], message: str) -> None:
    with pytest.raises(EmopipeError) as error:
        parse_settings(config, Example)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("word", "kept"),
    [
        ("/home/me/fer2013.zip", "fer2013.zip"),
        ("--data=/home/me/fer2013.zip", "--data=fer2013.zip"),
        ("../elsewhere/x.parquet", "x.parquet"),
        ("configs/training/facial.toml", "configs/training/facial.toml"),
        ("--data=data/fer2013.zip", "--data=data/fer2013.zip"),
        ("--evaluate", "--evaluate"),
    ],
)
def test_where_files_lie_outside_the_working_directory_is_left_out(word: str, kept: str) -> None:
    assert without_folders(word) == kept


def test_the_command_is_what_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/venv/bin/emopipe", "train", "speech", "--data", "/tmp/my data.zip", "--resume"])
    assert typed_command() == "emopipe train speech --data 'my data.zip'"
