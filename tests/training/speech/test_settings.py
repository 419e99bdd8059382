"""The voice classifier's settings and their files."""

import tomllib

from emopipe.training.speech.settings import Settings, read_settings
from tests.support.paths import ROOT


def test_the_config_files_are_the_defaults_and_say_all_of_them() -> None:
    head = tomllib.loads((ROOT / "configs/training/speech.toml").read_text())
    small = tomllib.loads((ROOT / "configs/training/speech-small.toml").read_text())
    assert head.pop("data") == small.pop("data") == "data/ravdess-speech.zip"
    assert read_settings(head) == Settings()
    assert read_settings(small) == Settings(network="ensemble")
    assert set(head) | set(small) == set(Settings.__struct_fields__)
