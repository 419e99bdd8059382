"""CURVE keys in files, as ZeroMQ's own certificates write them: CZMQ and `zmq.auth` of pyzmq read them too.

NAME.key          the public key, for everybody
NAME.key_secret   both keys, for their owner alone (mode 0600)
"""

import os
import re
import stat
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import zmq
from zmq.utils import z85

from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.text import show

PUBLIC_SUFFIX = ".key"
SECRET_SUFFIX = ".key_secret"
MAX_FILE_BYTES = 10_000
KEY_CHARS = 40  # of 32 bytes in Z85 (ZeroMQ RFC 32)

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_LINE = re.compile(r"""\s*(public|secret)-key\s*=\s*["']?([^"'\s]*)["']?\s*""")


class KeyPair(NamedTuple):
    """Who one is: the public key, which others list, and the secret one, which proves it; both in Z85."""

    public: str
    secret: str

    @classmethod
    def new(cls) -> "KeyPair":
        """A pair that nobody has had before."""
        public, secret = zmq.curve_keypair()
        return cls(public.decode(), secret.decode())


class KeyFiles(NamedTuple):
    """The files of a pair that was written, and its public key."""

    public_file: Path
    secret_file: Path
    public: str


def write_pair(folder: Path, name: str) -> KeyFiles:
    """Make a pair and write its files.

    Raises:
        EmopipeError: the name will not do, a file of it is there, or the folder cannot be written.
    """
    files = _files(folder, name)
    for file in files:
        if file.exists():
            raise EmopipeError(
                f"{file} is there already, and a key that is lost cannot be made again; choose another name"
            )
    pair = KeyPair.new()
    secret = f'    public-key = "{pair.public}"\n    secret-key = "{pair.secret}"\n'
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(files[1], name, "secret key: for its owner alone", secret, 0o600)
    except OSError as error:
        raise EmopipeError(f"{folder}: keys cannot be written there ({error.strerror})") from None
    write_public(folder, name, pair.public)
    return KeyFiles(*files, pair.public)


def write_public(folder: Path, name: str, public: str) -> Path:
    """Write the file of a public key.

    Raises:
        EmopipeError: the name will not do, the file is there, or the folder cannot be written.
    """
    file, _ = _files(folder, name)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(file, name, "public key: for everybody", f'    public-key = "{public}"\n', 0o644)
    except FileExistsError:
        raise EmopipeError(f"{file} is there already; choose another name, or remove it first") from None
    except OSError as error:
        raise EmopipeError(f"{folder}: keys cannot be written there ({error.strerror})") from None
    return file


def read_public(file: Path) -> str:
    """The public key in a file of either kind.

    Raises:
        EmopipeError: there is no such file, or no key in it.
    """
    return _read(file, secret=False).get("public") or _none_in(file, "public")


def read_pair(file: Path) -> KeyPair:
    """Both keys, from the file of the secret one.

    Raises:
        EmopipeError: there is no such file, others can read it, or it holds no pair.
    """
    found = _read(file, secret=True)
    if "secret" not in found:
        beside = file.with_suffix(SECRET_SUFFIX)
        hint = f"; did you mean {beside}?" if file.suffix == PUBLIC_SUFFIX and beside.exists() else ""
        raise EmopipeError(f'{file}: there is no secret key in it, expected a line secret-key = "…"{hint}')
    public = zmq.curve_public(found["secret"].encode()).decode()
    if found.get("public", public) != public:
        raise EmopipeError(f"{file}: its public and its secret key do not belong together; make a new pair")
    return KeyPair(public, found["secret"])


def is_key(text: str) -> bool:
    """Whether `text` is a key in Z85."""
    if len(text) != KEY_CHARS or not text.isascii():
        return False
    try:
        return len(z85.decode(text)) == 32 and z85.encode(z85.decode(text)).decode() == text
    except (ValueError, KeyError, struct.error):  # each for another kind of nonsense
        return False


def _files(folder: Path, name: str) -> tuple[Path, Path]:
    if not _NAME.fullmatch(name):
        raise EmopipeError(f"{show(name)} is no name for a key; expected letters, digits, ., _ and -, 64 at most")
    return folder / f"{name}{PUBLIC_SUFFIX}", folder / f"{name}{SECRET_SUFFIX}"


def _write(file: Path, name: str, title: str, lines: str, mode: int) -> None:
    text = (
        f"#   CURVE {title}; made on {datetime.now(UTC):%Y-%m-%d} by emopipe keys\n"
        f'metadata\n    name = "{name}"\ncurve\n{lines}'
    )
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)  # never readable meanwhile
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)


def _read(file: Path, *, secret: bool) -> dict[str, str]:
    """The keys in a file, by `public` and `secret`; one that is there is a key."""
    try:
        with file.open("rb") as opened:
            status = os.fstat(opened.fileno())
            if secret and status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                mode = f"{stat.S_IMODE(status.st_mode):04o}"
                remedy = f"run chmod 600 {file}, or make a new key if somebody may have read it"
                raise EmopipeError(f"{file}: others may read this secret key (its mode is {mode}); {remedy}")
            content = opened.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise EmopipeError(f"{file}: no such key file; `emopipe keys new NAME` makes one") from None
    except IsADirectoryError:
        raise EmopipeError(f"{file}: this is a folder, expected the file of a key") from None
    except OSError as error:
        raise EmopipeError(f"{file}: cannot be read ({error.strerror})") from None
    except ValueError:
        raise EmopipeError(f"{show(str(file))} is no path of a key file") from None
    if len(content) > MAX_FILE_BYTES:
        raise EmopipeError(f"{file}: too large for the file of a key")
    found: dict[str, str] = {}
    for line in content.decode(errors="replace").splitlines():
        if (match := _LINE.fullmatch(line)) is None:
            continue
        if not is_key(match[2]):
            raise EmopipeError(f"{file}: its {match[1]} key is none: expected {KEY_CHARS} characters of Z85")
        found[match[1]] = match[2]
    return found


def _none_in(file: Path, kind: str) -> str:
    raise EmopipeError(f'{file}: there is no {kind} key in it, expected a line {kind}-key = "…"')
