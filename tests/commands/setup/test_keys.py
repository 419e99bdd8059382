"""`emopipe keys`."""

import re
from pathlib import Path

import pytest

from emopipe.__main__ import main
from emopipe.pipeline.access.keys import read_pair, read_public


def test_a_key_is_made_shown_and_allowed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    assert main(["keys", "new", "desk", "--dir", str(mine)]) == 0
    said = capsys.readouterr().out
    public = read_pair(mine / "desk.key_secret").public
    assert said.splitlines()[-1] == public
    assert str(mine / "desk.key_secret") in said
    assert main(["keys", "new", "anna", "--dir", str(theirs)]) == 0
    assert main(["keys", "allow", str(theirs / "anna.key"), "--dir", str(mine)]) == 0
    capsys.readouterr()
    assert main(["keys", "show", "--dir", str(mine)]) == 0
    anna = read_public(mine / "allowed" / "anna.key")
    assert capsys.readouterr().out == f"{anna}  {mine}/allowed/anna.key\n{public}  {mine}/desk.key\n"
    for name in ("desk", str(mine / "desk.key_secret")):
        assert main(["keys", "show", name, "--dir", str(mine)]) == 0
        assert capsys.readouterr().out.startswith(public)


def test_no_secret_is_ever_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["keys", "new", "desk", "--dir", str(tmp_path)])
    main(["keys", "show", str(tmp_path / "desk.key_secret")])
    assert read_pair(tmp_path / "desk.key_secret").secret not in capsys.readouterr().out


def test_where_keys_lie_unless_one_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert main(["keys", "new", "desk"]) == 0
    assert (tmp_path / ".config" / "emopipe" / "keys" / "desk.key_secret").is_file()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "here"))
    assert main(["keys", "new", "desk"]) == 0
    assert (tmp_path / "here" / "emopipe" / "keys" / "desk.key").is_file()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["show"], "there are no keys; `emopipe keys new NAME` makes one"),
        (["show", "ben"], "no such key file"),
        (["new", "a/b"], "is no name for a key"),
        (["allow", "rubbish"], "is no public key: expected 40 characters of Z85"),
        (["allow", "k9>=8IGo&f5P8k!8q-Cbiug4KrCTsFq)AM+R].Q}"], "whose key is it? give a name with --name"),
        (["allow", "k9>=8IGo&f5P8k!8q-Cbiug4KrCTsFq)AM+R].Q}", "--name", "../x"], "is no name for a key"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    arguments: list[str], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", *arguments, "--dir", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert re.escape(problem) in re.escape(said)
    assert said.count("\n") == 1
