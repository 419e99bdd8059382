"""Fixtures for all tests."""

from pathlib import Path

import hypothesis
import pytest

# How long an example takes says more of what else the machine is doing than of the code.
hypothesis.settings.register_profile("emopipe", deadline=None)
hypothesis.settings.load_profile("emopipe")


@pytest.fixture(scope="session")
def shared_media() -> Path:
    """The folder of real recordings beside the checkout; tests that use it are skipped where it is not there."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "media"
    if not folder.is_dir():
        pytest.skip(f"the real recordings are not there: {folder}")
    return folder
