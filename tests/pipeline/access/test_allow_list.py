"""access.allow_list: a folder of keys or a list, and a sentence for a wrong one."""

from pathlib import Path

import pytest

from emopipe.pipeline.access.allow_list import read_allow_list, read_key
from emopipe.pipeline.access.keys import KeyPair, write_pair
from emopipe.pipeline.errors import EmopipeError


def test_a_folder_lets_in_whose_public_keys_lie_there(tmp_path: Path) -> None:
    anna, ben = (write_pair(tmp_path, name) for name in ("anna", "ben"))
    (tmp_path / "README").write_text("nothing of ours")
    assert read_allow_list(str(tmp_path)) == {anna.public: "anna", ben.public: "ben"}


def test_a_list_holds_keys_and_files_of_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    anna = write_pair(tmp_path, "anna")
    monkeypatch.setenv("HOME", str(tmp_path))
    key = KeyPair.new().public
    assert read_allow_list([key, str(anna.public_file)]) == {key: key[:8], anna.public: "anna"}
    assert read_allow_list(["~/anna.key"]) == {anna.public: "anna"}
    assert read_key("~/anna.key") == anna.public
    assert read_key(key) == key


def test_a_wrong_one_is_refused_in_one_sentence(tmp_path: Path) -> None:
    def problem(given: str | list[str]) -> str:
        with pytest.raises(EmopipeError) as caught:
            read_allow_list(given)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    here = str(tmp_path)
    assert problem(here) == f"{here}: no public key (*.key) lies there, so nobody could come in"
    assert problem(f"{here}/x") == f"{here}/x: no such folder; expected one of public keys (*.key), or a list of keys"
    file = write_pair(tmp_path, "anna").public_file
    assert problem(str(file)).startswith(f"{file}: this is no folder; expected one of public keys")
    assert problem([]) == "an empty list lets nobody in; expected public keys, or files of such"
    assert problem(["x" * 39]).endswith("is no public key: expected 40 characters of Z85, or the path of a key's file")
    assert problem([f"{here}/ben.key"]).startswith(f"{here}/ben.key: no such key file")
    (tmp_path / "torn.key").write_text('public-key = "rubbish"')
    assert problem(here) == f"{here}/torn.key: its public key is none: expected 40 characters of Z85"
