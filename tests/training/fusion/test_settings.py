"""Fusion's settings and their files."""

import tomllib

import msgspec
import pytest

from emopipe.training.fusion.settings import Settings, network_options, read_settings
from tests.support.paths import ROOT


@pytest.mark.parametrize("name", ["fusion", "fusion-feature", "fusion-attention"])
def test_the_configs_say_what_the_defaults_are(name: str) -> None:
    config = tomllib.loads((ROOT / f"configs/training/{name}.toml").read_text())
    config.pop("data", None)
    network = config["network"]
    assert read_settings(config) == Settings(network=network)
    if name == "fusion":
        assert set(config) == {field.name for field in msgspec.structs.fields(Settings)}


def test_a_width_of_zero_is_the_networks_own() -> None:
    assert network_options(Settings(network="attention")) == {}
    assert network_options(Settings(network="attention", hidden=12)) == {"width": 12}
    assert network_options(Settings(network="decision", hidden=12)) == {"hidden": 12}
