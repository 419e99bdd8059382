"""access.keys: files that ZeroMQ's own tools read, a secret that nobody else can, a sentence for whatever is none."""

import os
import re
from pathlib import Path

import pytest
import zmq.auth

from emopipe.pipeline.access.keys import KeyPair, is_key, read_pair, read_public, write_pair, write_public
from emopipe.pipeline.errors import EmopipeError


def test_a_pair_is_read_as_it_was_written_and_by_zeromqs_own_reader(tmp_path: Path) -> None:
    files = write_pair(tmp_path / "new", "desk")
    pair = read_pair(files.secret_file)
    assert pair.public == files.public == read_public(files.public_file) == read_public(files.secret_file)
    assert zmq.curve_public(pair.secret.encode()).decode() == pair.public
    assert zmq.auth.load_certificate(files.secret_file) == (pair.public.encode(), pair.secret.encode())
    assert zmq.auth.load_certificate(files.public_file) == (pair.public.encode(), None)
    assert pair.secret not in files.public_file.read_text()


def test_a_pair_of_zeromqs_own_maker_is_read(tmp_path: Path) -> None:
    public_file, secret_file = (Path(file) for file in zmq.auth.create_certificates(tmp_path, "desk"))
    secret_file.chmod(0o600)
    assert read_pair(secret_file).public == read_public(public_file)


def test_a_secret_is_its_owners_alone_from_the_first_moment(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        files = write_pair(tmp_path / "new", "desk")
    finally:
        os.umask(before)
    assert files.secret_file.stat().st_mode & 0o777 == 0o600
    assert files.secret_file.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o644, 0o601])
def test_a_secret_that_others_may_read_is_refused(mode: int, tmp_path: Path) -> None:
    file = write_pair(tmp_path, "desk").secret_file
    file.chmod(mode)
    with pytest.raises(EmopipeError) as caught:
        read_pair(file)
    assert str(caught.value) == (
        f"{file}: others may read this secret key (its mode is 0{mode:o}); run chmod 600 {file}, or make a new key if "
        "somebody may have read it"
    )


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    file = write_pair(tmp_path, "desk").secret_file
    before = file.read_text()
    with pytest.raises(EmopipeError, match=r"desk\.key is there already"):
        write_pair(tmp_path, "desk")
    (tmp_path / "desk.key").unlink()
    with pytest.raises(EmopipeError, match=r"desk\.key_secret is there already"):
        write_pair(tmp_path, "desk")
    assert file.read_text() == before
    write_public(tmp_path, "anna", KeyPair.new().public)
    with pytest.raises(EmopipeError, match=r"anna\.key is there already"):
        write_public(tmp_path, "anna", KeyPair.new().public)


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "a b", "-x", ".x", "x" * 65, "\0"])
def test_what_is_no_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(EmopipeError, match="is no name for a key"):
        write_pair(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmopipeError, match=r"keys cannot be written there \(Not a directory\)"):
        write_pair(tmp_path / "file" / "keys", "desk")


def test_a_public_file_in_place_of_the_secret_one(tmp_path: Path) -> None:
    files = write_pair(tmp_path, "desk")
    files.public_file.chmod(0o600)
    with pytest.raises(EmopipeError, match=re.escape(f"did you mean {files.secret_file}?")):
        read_pair(files.public_file)


def test_two_halves_that_do_not_belong_together(tmp_path: Path) -> None:
    file = write_pair(tmp_path, "desk").secret_file
    other = KeyPair.new()
    file.write_text(file.read_text().replace(read_public(file), other.public))
    with pytest.raises(EmopipeError, match="do not belong together"):
        read_pair(file)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "there is no public key in it, expected a line"),
        (b"\xff\xfe\0\0", "there is no public key in it"),
        (b'public-key = "too short"\n', "there is no public key in it"),
        (b'public-key = "short"\n', "its public key is none: expected 40 characters of Z85"),
        (b"public-key = " + b"~" * 40, "its public key is none"),
        (b"public-key = " + b"#" * 40, "its public key is none"),  # more than 32 bytes hold
        (b"#" * 10_001, "too large for the file of a key"),
    ],
)
def test_what_is_no_key_file(content: bytes, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "x.key"
    file.write_bytes(content)
    with pytest.raises(EmopipeError, match=re.escape(f"{file}: {problem}")):
        read_public(file)


def test_a_file_that_is_not_there_or_none(tmp_path: Path) -> None:
    with pytest.raises(EmopipeError, match=r"no such key file; `emopipe keys new NAME` makes one"):
        read_pair(tmp_path / "x.key_secret")
    with pytest.raises(EmopipeError, match="this is a folder, expected the file of a key"):
        read_public(tmp_path)
    with pytest.raises(EmopipeError, match="is no path of a key file"):
        read_public(Path("a\0b"))


def test_which_texts_are_keys() -> None:
    assert is_key(KeyPair.new().public)
    assert not any(map(is_key, ["", "x" * 39, "x" * 41, "é" * 40, " " * 40, "#" * 40]))
