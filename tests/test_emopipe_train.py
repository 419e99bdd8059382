import json
import tomllib
from pathlib import Path

import pytest

from emopipe.__main__ import main
from tests.fer2013 import write_folder

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "fer2013", train=3, validation=2)
    return tmp_path


def test_trains_and_evaluates(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("facial.toml").write_text("epochs = 1\nbatch_size = 10\nthreads = 1\n")
    train = ["train", "facial", "--config", "facial.toml", "--data", "fer2013", "--out", "weights/f.safetensors"]
    assert main(train) == 0
    assert "epoch 1/1 · train_loss" in capsys.readouterr().out
    assert Path("runs/facial/metrics.csv").is_file()

    evaluate = ["evaluate", "facial", "--data", "fer2013", "--weights", "weights/f.safetensors", "--json", "f.json"]
    assert main(evaluate) == 0
    lines = dict(line.split() for line in capsys.readouterr().out.splitlines())
    figures = json.loads(Path("f.json").read_text())
    assert lines.keys() == figures.keys()
    assert lines["n"] == "14"
    assert lines["accuracy"] == f"{figures['accuracy']:.2%}"
    for name in ("macro_f1", "uar", "recall_happy", "nll", "nll_uncalibrated", "ece", "ece_uncalibrated"):
        assert name in lines


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "facial.toml: cannot be read (No such file or directory)"),
        ("epochs = ", "facial.toml: not valid TOML"),
        ("epohcs = 3", "facial.toml: epohcs: no such setting; did you mean `epochs`?"),
        ("epochs = 0", "facial.toml: epochs: 0 is wrong: Expected `int` >= 1"),
    ],
)
def test_a_wrong_config_is_named(
    here: Path, capsys: pytest.CaptureFixture[str], config: str | None, message: str
) -> None:
    if config is not None:
        Path("facial.toml").write_text(config)
    assert main(["train", "facial", "--config", "facial.toml", "--data", "fer2013"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


@pytest.mark.parametrize("verb", ["train", "evaluate"])
def test_missing_data_is_named(here: Path, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    weights = ["--weights", str(ROOT / "models/weights/facial.safetensors")] if verb == "evaluate" else []
    assert main([verb, "facial", "--data", "nowhere.zip", *weights]) == 2
    assert "nowhere.zip: no such file or folder" in capsys.readouterr().err


def test_the_committed_config_holds_the_defaults() -> None:
    import msgspec

    from training.facial import Settings

    config = tomllib.loads((ROOT / "configs/training/facial.toml").read_text())
    assert config == msgspec.structs.asdict(Settings())
