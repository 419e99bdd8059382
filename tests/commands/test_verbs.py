"""The command line as a whole: each verb by itself, and the version."""

import ast
from pathlib import Path

import pytest

import emopipe
from emopipe.__main__ import VERBS, main


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"emopipe {emopipe.__version__}\n"


@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_imports_another(verb: str) -> None:
    tree = ast.parse((Path(emopipe.__file__).parent / "commands" / f"{verb}.py").read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not imported & {f"emopipe.commands.{other}" for other in VERBS}
