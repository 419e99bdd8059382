"""Fixtures for all tests."""

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support.lsl import isolated

# How long an example takes says more of what else the machine is doing than of the code.
hypothesis.settings.register_profile("emopipe", deadline=None)
hypothesis.settings.load_profile("emopipe")


@pytest.fixture(scope="session")
def shared_media() -> Path:
    """The folder of real recordings beside the checkout; tests that use it are skipped where it is not there."""
    return _shared("media")


@pytest.fixture(scope="session")
def shared_cases() -> Path:
    """The folder of small inputs that failed once, likewise."""
    return _shared("cases")


@pytest.fixture(scope="session")
def lsl_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Environment variables for programs that meet by LSL; this process has them, too, since liblsl reads them once."""
    with pytest.MonkeyPatch.context() as patch:
        world = isolated(tmp_path_factory.mktemp("lsl"))
        for name, value in world.items():
            patch.setenv(name, value)
        yield world


def _shared(name: str) -> Path:
    folder = Path(__file__).resolve().parents[2] / "shared" / name
    if not folder.is_dir():
        pytest.skip(f"the real recordings are not there: {folder}")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever leaves a test out of the quick ones says why."""
    for item in items:
        for marker in item.iter_markers("slow"):
            if not (marker.args and isinstance(marker.args[0], str)):
                raise pytest.UsageError(f'{item.nodeid}: say why it is slow: @pytest.mark.slow("…")')
