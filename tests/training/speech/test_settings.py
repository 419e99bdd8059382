"""The voice classifier's settings and their file."""

import tomllib

from emopipe.training.speech.settings import Settings, read_settings
from tests.support.paths import ROOT


def test_the_config_file_is_the_defaults_and_says_all_of_them() -> None:
    config = tomllib.loads((ROOT / "configs/training/speech.toml").read_text())
    assert config.pop("data") == "data/ravdess-speech.zip"
    assert read_settings(config) == Settings()
    assert set(config) == set(Settings.__struct_fields__)
