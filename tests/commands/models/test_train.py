import subprocess
import sys
from pathlib import Path

import pytest

from emopipe.__main__ import main
from emopipe.models import checkpoint
from tests.support.fer2013 import write_folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "fer2013", train=3, validation=2)
    return tmp_path


def train(*arguments: str) -> int:
    return main(["train", "facial", "--config", "facial.toml", *arguments])


@pytest.mark.slow("a training")
@pytest.mark.usefixtures("here")
def test_trains_and_evaluates(capsys: pytest.CaptureFixture[str]) -> None:
    Path("facial.toml").write_text('epochs = 1\nbatch_size = 10\nthreads = 1\ndata = "fer2013"\n')
    assert train("--out", "weights/f.safetensors", "--evaluate") == 0
    output = capsys.readouterr().out
    assert "wrote weights/f.safetensors" in output
    assert "f.safetensors on fer2013 · images, 14" in output
    _, card = checkpoint.load(Path("weights/f.safetensors"), "facial")
    assert f"{100 * card.metrics['accuracy']:.1f} %" in output
    assert any(Path("runs/facial").iterdir())


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "facial.toml: cannot be read (No such file or directory)"),
        ("epochs = ", "facial.toml: not valid TOML"),
        ("epohcs = 3", 'facial.toml: epohcs: unknown setting; did you mean "epochs"?'),
        ("epochs = 0", "facial.toml: epochs: 0 is not at least 1"),
        ("data = 3", "facial.toml: data: 3 is wrong: expected a path"),
    ],
)
def test_a_wrong_config_is_named(capsys: pytest.CaptureFixture[str], config: str | None, message: str) -> None:
    if config is not None:
        Path("facial.toml").write_text(config)
    assert train(*([] if config and "data" in config else ["--data", "fer2013"])) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("config", ["facial-vgg16", "configs/training/facial-vgg16.toml"])
def test_configs_of_emopipes_own_are_found_from_any_folder(capsys: pytest.CaptureFixture[str], config: str) -> None:
    assert main(["train", "facial", "--config", config, "--data", "nowhere"]) == 2
    assert "nowhere: no such file or folder" in capsys.readouterr().err
    assert main(["train", "facial", "--config", f"{config}s", "--data", "fer2013"]) == 2
    assert "one of emopipe's: facial-hsemotion, facial-mobilenet" in capsys.readouterr().err


@pytest.mark.usefixtures("here")
def test_weights_that_cannot_be_written_are_found_before_training(capsys: pytest.CaptureFixture[str]) -> None:
    Path("facial.toml").write_text("epochs = 1")
    assert train("--data", "fer2013", "--out", "facial.toml/f.safetensors") == 2
    assert "--out facial.toml/f.safetensors: cannot be written (" in capsys.readouterr().err
    assert train("--data", "fer2013", "--out", "fer2013") == 2
    assert "--out fer2013: a folder; give the name of a file" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_what_is_not_installed_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path / "fer2013", train=3, validation=2)
    (tmp_path / "facial.toml").write_text("epochs = 1")
    program = (  # of its own: modules that are imported here stay
        "import sys\n"
        "sys.modules.update({'lightning': None, 'lightning.pytorch': None})\n"
        "from emopipe.__main__ import main\n"
        "sys.exit(main(['train', 'facial', '--config', 'facial.toml', '--data', 'fer2013']))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "lightning.pytorch is not installed" in done.stderr
    assert "pip install 'emopipe[train]'" in done.stderr
