import csv
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from emopipe.models import checkpoint
from emopipe.models.facial.base import prepare
from emopipe.models.facial.model import FacialModel
from emopipe.models.facial.networks import NETWORKS
from emopipe.models.labels import FACE
from emopipe.models.loading import load_network
from emopipe.pipeline.errors import DataError, EmopipeError, ModelError
from emopipe.training.facial import fer2013
from emopipe.training.facial import train as facial
from emopipe.training.facial.module import FacialTraining
from tests.support.fer2013 import write_folder
from tests.support.hsemotion import write_weights
from tests.support.rafdb import write_rafdb

pytestmark = pytest.mark.slow("trains")

CONFIG = {
    "epochs": 2,
    "batch_size": 7,
    "threads": 1,
    "learning_rate": 0.05,
    "ema_decay": 0.5,
    "validate_every": 1,
    **dict.fromkeys(("dark", "blur", "noise", "jpeg", "cover", "low_resolution", "shift", "scale", "rotation"), 0.0),
}


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


def evaluated(data: Path, weights: Path) -> dict[str, float]:
    return facial.evaluate(data, weights).answers["images"].figures()


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
    assert card.config["label_share"] == 0.4, "defaults as well"
    assert card.data_sha256 == fer2013.load(data).sha256
    assert card.command.startswith("emopipe")
    assert card.metrics["n"] == 21, "half of PublicTest; the temperatures have the other half"
    assert sum(card.prior.values()) == pytest.approx(1)
    temperatures = [temperature for _, temperature in card.temperatures]
    assert temperatures == sorted(temperatures)


def test_norms_have_the_statistics_of_the_averaged_weights(trained: Path, data: Path) -> None:
    state, _ = checkpoint.load(trained / "facial.safetensors", "facial")
    images = prepare(fer2013.load(data).split("Training").images)
    stem = torch.nn.functional.conv2d(images, state["features.0.weight"], padding=1)
    torch.testing.assert_close(state["features.1.running_mean"], stem.mean((0, 2, 3)), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(state["features.1.running_var"], stem.var((0, 2, 3)), rtol=1e-2, atol=1e-4)


def test_what_is_typical_is_measured_on_training_faces(trained: Path, data: Path) -> None:
    network, _ = load_network(trained / "facial.safetensors", "facial", NETWORKS)
    with torch.inference_mode():
        judged = network.judge(prepare(fer2013.load(data).split("Training").images))
    assert float(judged.distance.median()) == pytest.approx(1, abs=0.1)


def test_what_was_trained_can_be_used(trained: Path, data: Path) -> None:
    split = fer2013.load(data).split("PublicTest")
    answers = FacialModel.load(trained / "facial.safetensors", "cpu").probabilities(split.images)
    accuracy = float((answers.argmax(axis=1) == split.targets).mean())
    figures = facial.evaluate(data, trained / "facial.safetensors").report().flat()
    assert accuracy == pytest.approx(figures["people_accuracy"])


def test_resuming_gives_the_same_bits_as_no_interruption(trained: Path, data: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"

    class PulledPlug(Exception):
        pass

    with pytest.MonkeyPatch.context() as patch:
        begin = FacialTraining.on_train_epoch_start

        def stop_before_the_third(self: FacialTraining) -> None:
            if self.current_epoch == 2:
                raise PulledPlug
            begin(self)

        patch.setattr(FacialTraining, "on_train_epoch_start", stop_before_the_third)
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
    assert [name for name, tensor in whole.items() if not torch.equal(resumed[name], tensor)] == []


def test_resuming_with_other_settings_or_nothing_is_refused(trained: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(EmopipeError, match="no run to resume"):
        facial.train(CONFIG, data, tmp_path / "out", resume=True, runs=tmp_path)
    shutil.copytree(trained / "runs", tmp_path / "runs")
    config = {**CONFIG, "learning_rate": 0.5}
    with pytest.raises(EmopipeError, match=r"learning_rate: 0\.5, but the run to resume has 0\.05"):
        facial.train(config, data, tmp_path / "out", resume=True, runs=tmp_path / "runs")


def test_wrong_settings_and_data_stop_before_any_training(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "facial.safetensors"
    with pytest.raises(EmopipeError, match='did you mean "epochs"'):
        facial.train({"epoch": 1}, data, out, runs=tmp_path)
    with pytest.raises(EmopipeError, match="network: 'custm' is unknown; the networks are custom, vgg16, resnet50"):
        facial.train({"network": "custm"}, data, out, runs=tmp_path)
    only_train = write_folder(tmp_path / "fer", train=1, validation=0)
    with pytest.raises(DataError, match="the PublicTest split is empty"):
        facial.train(CONFIG, only_train, out, runs=tmp_path)
    assert not out.exists()


def test_the_whole_recipe_from_teachers_to_weights(data: Path, tmp_path: Path) -> None:
    rafdb, runs = write_rafdb(tmp_path / "raf", train=20, test=0), tmp_path / "runs"
    both = {**CONFIG, "epochs": 1, "rafdb": str(rafdb)}
    answers = tmp_path / "teacher.npz"
    facial.train({**both, "folds": 2, "mixup": 0.2}, data, answers, runs=runs)
    with np.load(answers) as arrays:
        said = [arrays["answers_0"], arrays["answers_1"]]
    assert [each.shape for each in said] == [(84, 2, 7), (18, 2, 7)]
    assert all(np.allclose(each.sum(axis=2), 1, atol=0.01) for each in said), "every picture has been answered"
    first = (runs / "facial" / "fold-0" / "answers.pt").stat().st_mtime_ns
    facial.train({**both, "folds": 2, "mixup": 0.2}, data, tmp_path / "again.npz", resume=True, runs=runs)
    assert (runs / "facial" / "fold-0" / "answers.pt").stat().st_mtime_ns == first, "what is done is not done again"

    out = tmp_path / "taught.safetensors"
    facial.train({**both, "teachers": [str(answers), str(answers)]}, data, out, runs=runs)
    _, card = checkpoint.load(out, "facial")
    assert card.config["teachers"] == ["teacher.npz"] * 2, "where they lay is nobody's business"
    assert card.config["teachers_sha256"] == [hashlib.sha256(answers.read_bytes()).hexdigest()] * 2
    assert card.config["rafdb"] == "raf"
    with pytest.raises(ModelError, match=r"teacher\.npz: no out-of-fold answers|answers on 84 and 18 pictures, but"):
        facial.train(
            {**CONFIG, "rafdb": str(write_rafdb(tmp_path / "x", 30, 0)), "teachers": [str(answers)]}, data, out
        )


def test_a_teacher_is_fine_tuned_in_colour(data: Path, tmp_path: Path) -> None:
    config = {
        **CONFIG,
        "network": "hsemotion",
        "init": str(write_weights(tmp_path / "weights.npz")),
        "rafdb": str(write_rafdb(tmp_path / "raf", train=12, test=0)),
        "epochs": 1,
        "batch_size": 24,
        "folds": 2,
    }
    facial.train(config, data, tmp_path / "teacher.npz", runs=tmp_path / "runs")
    with np.load(tmp_path / "teacher.npz") as arrays:
        assert arrays["answers_1"].shape == (11, 2, 7)
    with pytest.raises(EmopipeError, match="with folds, out-of-fold answers are written, not weights; give a"):
        facial.train(config, data, tmp_path / "teacher.safetensors", runs=tmp_path / "runs")


def test_starts_from_weights(trained: Path, data: Path, tmp_path: Path) -> None:
    weights, out = trained / "facial.safetensors", tmp_path / "tuned.safetensors"
    config = {**CONFIG, "epochs": 1, "learning_rate": 1e-9, "init": str(weights)}
    facial.train(config, data, out, runs=tmp_path / "runs")
    before, _ = checkpoint.load(weights, "facial")
    after, card = checkpoint.load(out, "facial")
    torch.testing.assert_close(after["head.weight"], before["head.weight"], rtol=1e-4, atol=1e-6)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert (card.config["init"], card.config["init_sha256"]) == ("facial.safetensors", digest)


@pytest.mark.parametrize(
    ("config", "error", "said"),
    [
        ({"init": "nowhere.safetensors"}, ModelError, r"nowhere\.safetensors: no such weights"),
        ({"teachers": ["nowhere.npz"]}, ModelError, r"nowhere\.npz: no out-of-fold answers for this data"),
        ({"votes": "nowhere.csv"}, DataError, r"nowhere\.csv: no such file; give FER"),
        ({"rafdb": "nowhere.zip"}, DataError, r"nowhere\.zip: no such file or folder; give FER2013, RAF-DB"),
        ({"imagenet": "resnet.pth"}, EmopipeError, "imagenet: there are no ImageNet weights for the network 'custom'"),
        ({"imagenet": "a.pth", "init": "b"}, EmopipeError, "init and imagenet: both say where to start"),
        ({"network": "mobilenet", "imagenet": "a.pth"}, ModelError, r"a\.pth: no such file; save torchvision's"),
        ({"devices": 0}, EmopipeError, "devices"),
        ({"precision": "8"}, EmopipeError, 'precision: expected "16-mixed"'),
    ],
)
def test_a_wrong_start_is_named(
    data: Path, tmp_path: Path, config: dict[str, object], error: type[EmopipeError], said: str
) -> None:
    with pytest.raises(error, match=said):
        facial.train({**CONFIG, **config}, data, tmp_path / "out", runs=tmp_path)


def test_other_labels_cannot_be_started_from(trained: Path, data: Path, tmp_path: Path) -> None:
    state, card = checkpoint.load(trained / "facial.safetensors", "facial")
    other = tmp_path / "other.safetensors"
    checkpoint.save(other, state, msgspec.structs.replace(card, labels=[*FACE[:6], "calm"]))
    with pytest.raises(ModelError, match=r"other\.safetensors: made for the labels angry, .*calm, not angry"):
        facial.train({**CONFIG, "init": str(other)}, data, tmp_path / "out", runs=tmp_path)
