"""Who may come in: the public keys that an endpoint knows, from a folder of their files or from a list."""

from collections.abc import Mapping
from pathlib import Path

from emopipe.pipeline.access.keys import PUBLIC_SUFFIX, is_key, read_public
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.text import show

MAX_KEYS = 10_000

AllowList = str | list[str]
"""As settings have it: a folder of public key files, or a list of public keys and of such files."""


def read_allow_list(given: AllowList) -> Mapping[str, str]:
    """The names of those who are let in, by their public keys.

    Raises:
        EmopipeError: the folder or a file is not there, something is no key, or there is nobody in it.
    """
    if isinstance(given, str):
        folder = expand(given)
        if not folder.is_dir():
            what = "this is no folder" if folder.exists() else "no such folder"
            raise EmopipeError(f"{given}: {what}; expected one of public keys (*{PUBLIC_SUFFIX}), or a list of keys")
        files = sorted(folder.glob(f"*{PUBLIC_SUFFIX}"))
        if not files:
            raise EmopipeError(f"{given}: no public key (*{PUBLIC_SUFFIX}) lies there, so nobody could come in")
        names = {read_public(file): file.stem for file in files[: MAX_KEYS + 1]}
    else:
        if not given:
            raise EmopipeError("an empty list lets nobody in; expected public keys, or files of such")
        names = dict(_named(each) for each in given[: MAX_KEYS + 1])
    if len(names) > MAX_KEYS:
        raise EmopipeError(f"more than {MAX_KEYS} keys are too many for an allow-list")
    return names


def read_key(given: str) -> str:
    """A public key, given as such or as the file that holds it.

    Raises:
        EmopipeError: it is neither.
    """
    return _named(given)[0]


def expand(path: str) -> Path:
    """A path as on a command line: `~` is the home folder."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # there is no such home
        return Path(path)


def _named(given: str) -> tuple[str, str]:
    if is_key(given):
        return given, given[:8]
    file = expand(given)
    if "/" in given or file.suffix == PUBLIC_SUFFIX or file.is_file():
        return read_public(file), file.stem
    raise EmopipeError(f"{show(given)} is no public key: expected 40 characters of Z85, or the path of a key's file")
