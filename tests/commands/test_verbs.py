"""The command line as a whole: each verb by itself, and the version."""

import ast
import subprocess
import sys
import wave
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
    for words in (["check", "a.toml", "\x1b[2Jb"], ["check", "--\x1b[2Jb"]):
        with pytest.raises(SystemExit):
            main(words)
        said = capsys.readouterr().err
        assert "\\x1b[2Jb: " in said
        assert "\x1b[2J" not in said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("rnu", 'emopipe: error: argument VERB: no "rnu"; did you mean "run"?'),
        ("replay clip.mp4 --output x.csv", "emopipe replay: error: --output: no such option; did you mean --out?"),
        ("predict face.jpg", "emopipe predict: error: face.jpg: name it behind --image or --audio or --video"),
        ("keys new anna bob", "emopipe keys new: error: bob: one word too many"),
        ("train facal --data x", 'emopipe train: error: argument MODEL: no "facal"; did you mean "facial"?'),
        ("train facial --dta x", "emopipe train facial: error: --dta: no such option; did you mean --data?"),
        ("train fusion --people x", "emopipe train fusion: error: --people: no such option"),
        (f"check -{'a' * 300}", f"emopipe check: error: -{'a' * 300}: no such option"),
        ("replay -odd.mp4", "emopipe replay: error: -odd.mp4: no such option; the file of that name is ./-odd.mp4"),
    ],
)
def test_a_mistyped_word_is_said_with_the_usage_of_its_verb_and_what_was_meant(
    line: str, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-odd.mp4").touch()
    with pytest.raises(SystemExit) as left:
        main(line.split())
    assert left.value.code == 2
    usage, *_, last = capsys.readouterr().err.splitlines()
    assert usage.startswith("usage: " + said.partition(": ")[0])
    assert last == said


@pytest.mark.parametrize(
    ("argument", "module"),
    [("check", "numpy"), ("check", "emopipe.commands.setup.check"), ("--help", "emopipe.commands.playing.run")],
)
def test_ctrl_c_while_the_command_is_still_being_imported_is_one_line(argument: str, module: str) -> None:
    # The signal comes at the moment that a module is looked for, whatever the speed of the machine.
    program = (
        "import os, signal, sys\n"
        "from emopipe.__main__ import main\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {module!r}:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        f"sys.argv[1:] = [{argument!r}]\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "emopipe: interrupted\n")


@pytest.mark.parametrize(
    "line",
    [
        "run {}.toml",
        "check {}",
        "graph webcam --out {}.svg",
        "replay --check {}.jsonl",
        "predict --image {}.jpg",
        "archive {} --out results",
        "compare {}.jsonl {}.eaf",
        "train facial --data {}",
        "evaluate facial --data {}",
        "export facial --weights {} --out own.onnx",
        "keys show {}",
    ],
)
def test_a_path_that_the_system_refuses_is_one_line_of_any_verb(
    line: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(line.replace("{}", "a" * 300).split()) == 2  # as with a folder that may not be entered, which root may
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "File name too long" in said


def test_a_verb_imports_what_it_needs_alone() -> None:
    script = """
import sys
from emopipe.__main__ import main
main(["graph"])
print(*{"cv2", "shtab", "torch"} & set(sys.modules), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "\n")


@pytest.mark.parametrize(
    "line",
    [
        "replay {} --trace {}",
        "replay x.mp4 {} --trace {}",
        "predict --image x.jpg {} --json {}",
        "graph {} --out {}",
        "run {} --json {}",
        "run --trace pipeline.toml",
        "record {} --out {}",
        "export facial --weights {} --out {}",
        "train facial --data {} --out {}",
        "evaluate facial --data {} --json {}",
        "certify {} --json {}",
        "compare {} x.eaf --json {}",
    ],
)
def test_no_verb_overwrites_what_it_reads(
    line: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pipeline.toml").write_text("precious")
    Path("other name").hardlink_to("pipeline.toml")
    words = line.replace("{}", "pipeline.toml").split()
    for last in (words[-1], "other name"):
        assert main([*words[:-1], last]) == 2
        assert f"{last}: would overwrite pipeline.toml; choose another name\n" in capsys.readouterr().err
        assert Path("pipeline.toml").read_text() == "precious"


@pytest.mark.parametrize("line", ["record --out field.csv", "export facial --out clip.mp4"])
def test_a_file_is_named_by_what_it_is(line: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    *words, name = line.split()
    (tmp_path / name).write_text("precious")
    assert main([*words, str(tmp_path / name)]) == 2
    assert "expected a name that ends in ." in capsys.readouterr().err
    assert (tmp_path / name).read_text() == "precious"


@pytest.mark.parametrize("option", ["--json", "--trace"])
def test_a_run_overwrites_no_recording_of_its_graph(
    option: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    clip = tmp_path / "clip.wav"
    with wave.open(str(clip), "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", ""))
        sound.writeframes(bytes(32_000))
    before = clip.read_bytes()
    words = ["run", "--set", "stages.capture.use=file-capture", "--set", f"stages.capture.uri={clip}"]
    assert main([*words, option, str(clip)]) == 2
    assert capsys.readouterr().err == f"emopipe: {option} {clip}: would overwrite {clip}; choose another name\n"
    assert clip.read_bytes() == before
