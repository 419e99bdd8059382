"""emopipe.models.checkpoint: one file a model, whole or not at all."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from emopipe.models import checkpoint
from emopipe.pipeline.errors import EmopipeError, ModelError


def card(**changes: object) -> checkpoint.Card:
    given: dict[str, object] = {
        "task": "facial",
        "network": "custom",
        "options": {},
        "labels": ["sad", "happy"],
        "features": {},
        "temperature": 1.25,
        "config": {"epochs": 1},
        "seed": 1,
        "data_sha256": "0" * 64,
        "command": "emopipe train facial",
        "metrics": {"uar": 0.5},
    }
    return checkpoint.Card(**(given | changes))  # type: ignore[arg-type]


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """A disk on which no file can grow beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "new" / "facial.safetensors"
    checkpoint.save(path, {"weight": torch.arange(6.0).reshape(2, 3).T}, card())
    state, found = checkpoint.load(path, "facial")
    assert torch.equal(state["weight"], torch.arange(6.0).reshape(2, 3).T)
    assert found == card()
    arrays, _ = checkpoint.load_arrays(path, "facial")
    assert arrays["weight"].tolist() == state["weight"].tolist()


def test_a_full_disk_leaves_the_last_good_file(tmp_path: Path) -> None:
    path = tmp_path / "facial.safetensors"
    checkpoint.save(path, {"weight": torch.zeros(3)}, card())
    with (
        room_for(2000),
        pytest.raises(EmopipeError, match=r"cannot be written .*the weights that were there are untouched"),
    ):
        checkpoint.save(path, {"weight": torch.ones(10_000)}, card())
    state, _ = checkpoint.load(path, "facial")
    assert state["weight"].tolist() == [0, 0, 0]
    assert [file.name for file in tmp_path.iterdir()] == ["facial.safetensors"]


def test_a_place_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmopipeError, match=r"facial\.safetensors: cannot be written"):
        checkpoint.save(tmp_path / "file" / "facial.safetensors", {"weight": torch.zeros(3)}, card())


def test_a_damaged_file_and_one_for_another_task_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "facial.safetensors"
    checkpoint.save(path, {"weight": torch.zeros(3)}, card())
    with pytest.raises(ModelError, match="a facial model, but a speech model is needed"):
        checkpoint.load(path, "speech")
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ModelError, match="damaged weights"):
        checkpoint.load(path, "facial")
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ModelError, match="or another kind of file"):
        checkpoint.load(path, "facial")
    with pytest.raises(ModelError, match="a folder; give the file of weights in it"):
        checkpoint.load(tmp_path, "facial")
