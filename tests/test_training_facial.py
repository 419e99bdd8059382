import csv
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from models import checkpoint
from models.facial import prepare
from models.inference import FacialModel
from models.labels import FACE
from pipeline.errors import DataError, EmopipeError
from tests.fer2013 import encoded, image, write_folder
from training import facial, fer2013
from training.batches import Batches

CONFIG = {"epochs": 2, "batch_size": 7, "threads": 1, "learning_rate": 0.05, "ema_decay": 0.5}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("fer2013"), train=12, validation=6)


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run: facial.safetensors, and runs/ beside it."""
    root = tmp_path_factory.mktemp("trained")
    facial.train({**CONFIG, "epochs": 4}, data, root / "facial.safetensors", runs=root / "runs")
    return root


def test_learns(trained: Path, data: Path) -> None:
    figures = facial.evaluate(data, trained / "facial.safetensors").report().flat()
    assert figures["accuracy"] > 2 / 7, "classes that differ in brightness are learnt in 48 steps"
    with (trained / "runs" / "facial" / "metrics.csv").open() as file:
        losses = [float(row["train_loss"]) for row in csv.DictReader(file)]
    assert len(losses) == 4
    assert losses[-1] < losses[0]


def test_the_checkpoint_says_how_it_came_to_be(trained: Path, data: Path) -> None:
    _, card = checkpoint.load(trained / "facial.safetensors", "facial")
    assert card.labels == list(FACE)
    assert card.config["epochs"] == card.metrics["epochs"] == 4
    assert card.config["label_smoothing"] == 0.1, "defaults as well"
    assert card.data_sha256 == fer2013.load(data).sha256
    assert card.command.startswith("emopipe")
    figures = facial.evaluate(data, trained / "facial.safetensors").report().flat()
    for name in ("accuracy", "uar", "nll", "ece", "recall_sad", "n"):
        assert card.metrics[name] == pytest.approx(figures[name], abs=1e-4)
    assert figures["nll"] <= figures["nll_uncalibrated"] + 1e-9
    assert card.temperature == figures["temperature"] != 1.0


def test_norms_have_the_statistics_of_the_averaged_weights(trained: Path, data: Path) -> None:
    state, _ = checkpoint.load(trained / "facial.safetensors", "facial")
    images = prepare(fer2013.load(data).split("train").images)
    stem = torch.nn.functional.conv2d(images, state["features.0.weight"], padding=1)
    torch.testing.assert_close(state["features.1.running_mean"], stem.mean((0, 2, 3)), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(state["features.1.running_var"], stem.var((0, 2, 3)), rtol=1e-2, atol=1e-4)


def test_what_was_trained_can_be_used(trained: Path, data: Path) -> None:
    split = fer2013.load(data).split("validation")
    answers = FacialModel.load(trained / "facial.safetensors", "cpu").probabilities(split.images)
    accuracy = float((answers.argmax(axis=1) == split.targets).mean())
    assert accuracy == pytest.approx(facial.evaluate(data, trained / "facial.safetensors").report().flat()["accuracy"])


def test_resuming_gives_what_no_interruption_would_have(trained: Path, data: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"

    class PulledPlug(Exception):
        pass

    def pull(*_: object) -> None:
        raise PulledPlug

    with pytest.MonkeyPatch.context() as patch:
        begin = facial.FacialTraining.on_train_epoch_start

        def stop_before_the_third(self: facial.FacialTraining) -> None:
            if self.current_epoch == 2:
                pull()
            begin(self)

        patch.setattr(facial.FacialTraining, "on_train_epoch_start", stop_before_the_third)
        with pytest.raises(PulledPlug):
            facial.train({**CONFIG, "epochs": 4}, data, tmp_path / "facial.safetensors", runs=runs)
    assert not (tmp_path / "facial.safetensors").exists()
    _, interim = checkpoint.load(runs / "facial" / "facial.safetensors", "facial")
    assert interim.metrics["epochs"] == 2

    facial.train({**CONFIG, "epochs": 4}, data, tmp_path / "facial.safetensors", resume=True, runs=runs)
    with (runs / "facial" / "metrics.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3", "4"]
    resumed, _ = checkpoint.load(tmp_path / "facial.safetensors", "facial")
    whole, _ = checkpoint.load(trained / "facial.safetensors", "facial")
    for name, tensor in whole.items():
        torch.testing.assert_close(resumed[name], tensor, rtol=1e-4, atol=1e-5)


def test_resuming_with_other_settings_or_nothing_is_refused(trained: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(EmopipeError, match="no run to resume"):
        facial.train(CONFIG, data, tmp_path / "out", resume=True, runs=tmp_path)
    shutil.copytree(trained / "runs", tmp_path / "runs")
    config = {**CONFIG, "learning_rate": 0.5}
    with pytest.raises(EmopipeError, match=r"learning_rate: 0\.5, but the run to resume has 0\.05"):
        facial.train(config, data, tmp_path / "out", resume=True, runs=tmp_path / "runs")


def test_wrong_settings_and_data_stop_before_any_training(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "facial.safetensors"
    with pytest.raises(EmopipeError, match="did you mean `epochs`"):
        facial.train({"epoch": 1}, data, out, runs=tmp_path)
    with pytest.raises(EmopipeError, match="network: 'custm' is unknown; the networks are custom"):
        facial.train({"network": "custm"}, data, out, runs=tmp_path)
    only_train = write_folder(tmp_path / "fer", train=1, validation=0)
    with pytest.raises(DataError, match="the validation split is empty"):
        facial.train(CONFIG, only_train, out, runs=tmp_path)
    assert not out.exists()


def test_duplicates_of_training_images_are_told_apart(trained: Path, data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "fer2013"
    shutil.copytree(data, copy)
    seen = next((copy / "train" / "sad").iterdir())
    shutil.copy(seen, copy / "test" / "sad" / "PrivateTest_1.jpg")
    (copy / "test" / "happy" / "PrivateTest_2.jpg").write_bytes(encoded(image(3, 12345)))
    figures = facial.evaluate(copy, trained / "facial.safetensors", "PrivateTest").report().flat()
    assert (figures["n"], figures["n_duplicates"]) == (2, 1)
    assert figures["accuracy_without_duplicates"] in (0.0, 1.0)


def test_every_image_comes_once_an_epoch() -> None:
    import numpy as np

    images = np.arange(10, dtype=np.uint8).repeat(48 * 48).reshape(10, 48, 48)
    split = fer2013.Split(images, np.arange(10, dtype=np.int64))
    plain = Batches(split, 4, torch.device("cpu"), shuffle=False)
    assert [targets.tolist() for _, targets in plain] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    shuffled = Batches(split, 4, torch.device("cpu"), shuffle=True)
    batches = list(shuffled)
    assert len(batches) == len(shuffled) == 2, "the rest is left out of training"
    seen = torch.cat([targets for _, targets in batches])
    assert len(seen.unique()) == 8
    for pictures, targets in batches:
        assert pictures[:, 0, 0].tolist() == targets.tolist()


def test_one_cycle() -> None:
    factors = [facial.one_cycle(step / 100, 0.2) for step in range(101)]
    assert factors[0] == pytest.approx(0.04)
    assert max(factors) == factors[20] == pytest.approx(1.0)
    assert factors == sorted(factors[:20]) + sorted(factors[20:], reverse=True)
    assert factors[100] == pytest.approx(0.0, abs=1e-9)
