"""`emopipe worker`, as far as it needs no run; tests/end_to_end/test_hosts.py has the rest."""

from pathlib import Path

import pytest

from emopipe.__main__ import main
from emopipe.pipeline.access.keys import write_pair


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"--key": "nothing"}, "nothing: no such key file"),
        ({"--server-key": "rubbish"}, '"rubbish" is no public key: expected 40 characters of Z85'),
        ({"--connect": "here"}, "--connect: here cannot be reached: 'here' is not an address"),
        ({"--connect": "tcp://no.such.host.invalid:1"}, "--connect: tcp://no.such.host.invalid:1 cannot be reached: "),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    changed: dict[str, str], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk, vision = write_pair(tmp_path, "desk"), write_pair(tmp_path, "vision")
    given = {"--connect": "tcp://127.0.0.1:1", "--key": str(vision.secret_file), "--server-key": str(desk.public_file)}
    assert main(["worker", *(text for pair in (given | changed).items() for text in pair)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"emopipe: {problem}")
    assert said.count("\n") == 1


def test_a_secret_key_that_others_may_read_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vision = write_pair(tmp_path, "vision")
    vision.secret_file.chmod(0o644)
    keys = ["--key", str(vision.secret_file), "--server-key", vision.public]
    assert main(["worker", "--connect", "tcp://127.0.0.1:1", *keys]) == 2
    assert "others may read this secret key (its mode is 0644)" in capsys.readouterr().err
