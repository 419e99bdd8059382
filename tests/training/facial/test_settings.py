"""The face classifier's settings and their files."""

import tomllib

import pytest

from emopipe.pipeline.errors import EmopipeError
from emopipe.training.facial.settings import Settings, read_settings
from tests.support.paths import ROOT


@pytest.mark.parametrize("network", ["vgg16", "resnet50", "mobilenet", "hsemotion"])
def test_the_other_recipes_are_valid(network: str) -> None:
    config = tomllib.loads((ROOT / "configs" / "training" / f"facial-{network}.toml").read_text())
    config.pop("data")
    assert read_settings(config).network == network


def test_the_config_file_is_the_defaults_and_says_all_of_them() -> None:
    config = tomllib.loads((ROOT / "configs/training/facial.toml").read_text())
    assert config.pop("data") == "data/fer2013.zip"
    assert read_settings(config) == Settings()
    assert set(config) == set(Settings.__struct_fields__)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"network": "vgg19"}, "network: 'vgg19' is unknown; the networks are custom, vgg16, resnet50, mobilenet"),
        ({"init": "a", "imagenet": "b"}, "init and imagenet: both say where to start; leave one of them empty"),
        (
            {"network": "hsemotion"},
            "network: hsemotion is a teacher: name its weights.npz in init, and say how many folds",
        ),
        ({"folds": 1}, "folds: 1 leaves nothing to train on; give 2 or more, or 0 to train one network on all"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(config: dict[str, object], message: str) -> None:
    with pytest.raises(EmopipeError) as error:
        read_settings(config)
    assert str(error.value) == message
