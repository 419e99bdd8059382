"""The command line as a whole: each verb by itself, and the version."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import emopipe
from emopipe.__main__ import main
from emopipe.commands import VERBS
from tests.support.paths import ROOT


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"emopipe {emopipe.__version__}\n"


@pytest.mark.parametrize(
    ("typed", "offered"), [(["rep"], {"replay"}), (["replay", "--ou"], {"--out"}), (["inspect", "--sch"], {"--schema"})]
)
def test_a_shell_completes_verbs_and_options(
    capsys: pytest.CaptureFixture[str], typed: list[str], offered: set[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--print-completion", "bash"])
    assert left.value.code == 0
    words = " ".join(["emopipe", *typed])
    ask = f'\nCOMP_WORDS=({words}); COMP_CWORD={len(typed)}; _shtab_emopipe; printf "%s\\n" "${{COMPREPLY[@]}}"\n'
    done = subprocess.run(["bash"], input=capsys.readouterr().out + ask, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == offered


@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_imports_another(verb: str) -> None:
    tree = ast.parse(ROOT.joinpath(*VERBS[verb].split(".")).with_suffix(".py").read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not imported & set(VERBS.values())


@pytest.mark.slow("whole processes")
@pytest.mark.parametrize("arguments", [["inspect"], ["inspect", "--markdown"], ["check"], ["graph"]])
def test_a_full_disk_behind_standard_output_is_an_error_in_one_line(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "emopipe", *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr == "emopipe: standard output cannot be written (No space left on device)\n"


def test_a_reader_that_has_had_enough_is_no_error() -> None:
    program = f"{sys.executable} -m emopipe inspect --markdown | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "# Stages\n", "")


def test_what_an_error_quotes_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "\x1b[2Jnone.toml"]) == 2
    assert capsys.readouterr().err.startswith("emopipe: \\x1b[2Jnone.toml: no such file")


def test_the_usage_that_a_wrong_option_shows_is_its_verbs_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["replay", "clip.mp4", "--realtme"])
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("usage: emopipe replay ")
    assert "--realtime" in said
    assert said.endswith("emopipe replay: error: unrecognized arguments: --realtme\n")


def test_a_misspelt_verb_is_told_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["replai"])
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert all(f"'{verb}'" in said for verb in VERBS)


def test_a_verb_imports_what_it_needs_alone() -> None:
    script = """
import sys
from emopipe.__main__ import main
main(["graph"])
print(*{"cv2", "shtab", "torch"} & set(sys.modules), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "\n")
