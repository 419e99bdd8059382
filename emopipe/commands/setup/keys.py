"""Make and list the CURVE keys that let in who may subscribe from other machines, or run a part of a graph there.

A key has two files, as ZeroMQ's certificates have: NAME.key is public, to be given to others; NAME.key_secret is not,
and whoever can read it can be you. A folder of public keys is an allow-list.
"""

import argparse
import os
from pathlib import Path

from emopipe.pipeline.access.allow_list import expand, read_key
from emopipe.pipeline.access.keys import PUBLIC_SUFFIX, SECRET_SUFFIX, read_pair, read_public, write_pair, write_public
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.text import show

HELP = "make and list keys for other machines"
ALLOWED = "allowed"  # the folder of others' keys, in that of one's own


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    new = actions.add_parser("new", help="make a key", description="Make a key: two files, of which one is secret.")
    new.add_argument("name", help="of the files; letters, digits, ., _ and -")
    shown = actions.add_parser(
        "show", help="print public keys", description="Print the public keys of these files, else of all in the folder."
    )
    shown.add_argument("files", nargs="*", metavar="KEY", help="a key's file, or the name of one in the folder")
    allow = actions.add_parser(
        "allow",
        help="put somebody's public key on the allow-list",
        description=f"Put somebody's public key on the allow-list: the folder `{ALLOWED}` beside one's own keys.",
    )
    allow.add_argument("key", help="their public key, or its file")
    allow.add_argument("--name", help="what to call them (default: their file's name)")
    for action in (new, shown, allow):
        action.add_argument("--dir", type=Path, help="folder of the keys (default: ~/.config/emopipe/keys)")


def main(arguments: argparse.Namespace) -> int:
    folder = arguments.dir or _default_folder()
    match arguments.action:
        case "new":
            _new(folder, arguments.name)
        case "show":
            _show(folder, arguments.files)
        case _:
            _allow(folder, arguments.key, arguments.name)
    return 0


def _default_folder() -> Path:
    return expand(os.environ.get("XDG_CONFIG_HOME") or "~/.config") / "emopipe" / "keys"


def _new(folder: Path, name: str) -> None:
    files = write_pair(folder, name)
    print(f"{files.secret_file}  secret: whoever can read it can be you")
    print(f"{files.public_file}  public: for those who are to know you")
    print(files.public)


def _show(folder: Path, given: list[str]) -> None:
    if given:
        files = [_found(folder, each) for each in given]
    else:
        files = sorted([*folder.glob(f"*{PUBLIC_SUFFIX}"), *folder.glob(f"{ALLOWED}/*{PUBLIC_SUFFIX}")])
    if not files:
        raise EmopipeError(f"{folder}: there are no keys; `emopipe keys new NAME` makes one")
    for file in files:
        public = read_pair(file).public if file.suffix == SECRET_SUFFIX else read_public(file)
        print(f"{public}  {file}")


def _allow(folder: Path, key: str, name: str | None) -> None:
    public = read_key(key)
    if name is None and public == key:
        raise EmopipeError("whose key is it? give a name with --name")
    file = write_public(folder / ALLOWED, name or Path(key).stem, public)
    print(f"{public}  {file}")
    print(f"allow = {show(str(file.parent))} lets in all whose keys lie there")


def _found(folder: Path, given: str) -> Path:
    """A key's file by its path, or by its name in the folder."""
    file = expand(given)
    return file if "/" in given or file.exists() else folder / f"{given.removesuffix(PUBLIC_SUFFIX)}{PUBLIC_SUFFIX}"
