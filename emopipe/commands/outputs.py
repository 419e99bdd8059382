"""Files that a verb is asked to write: one that cannot be written is found before the work, not after it."""

import json
from pathlib import Path
from typing import Any

from emopipe.pipeline.errors import EmopipeError


def need_writable(path: Path, option: str) -> None:
    """Make sure that `path` can be written; its folder is made, and what stands there is left as it is.

    Raises:
        EmopipeError: it is a folder, or it or its folder cannot be written.
    """
    if path.is_dir():
        raise EmopipeError(f"{option} {path}: a folder; give the name of a file")
    existed = path.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()
    except OSError as error:
        raise _unwritable(path, option, error) from None
    if not existed:
        path.unlink()


def need_folder(path: Path, option: str) -> None:
    """Make sure that `path` is a folder in which files can be made.

    Raises:
        EmopipeError: it is a file, or cannot be made or written to.
    """
    if path.exists() and not path.is_dir():
        raise EmopipeError(f"{option} {path}: a file; give the name of a folder")
    need_writable(path / ".emopipe", option)


def write_json(path: Path, content: dict[str, Any], option: str) -> None:
    """Write `content`, readable for people too.

    Raises:
        EmopipeError: it cannot be written after all, as when the disk is full.
    """
    try:
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise _unwritable(path, option, error) from None


def _unwritable(path: Path, option: str, error: OSError) -> EmopipeError:
    return EmopipeError(f"{option} {path}: cannot be written ({error.strerror}); choose another place")
