import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from emopipe.training.facial import fer2013
from emopipe.training.facial.duplicates import KEY_BYTES, LIST_PATH, duplicates, keys, listed
from tests.support.fer2013 import image, write_csv, write_folder


def split(*pictures: np.ndarray) -> fer2013.Split:
    return fer2013.Split(np.stack(pictures), np.zeros(len(pictures), np.int64), ("",) * len(pictures))


def test_finds_what_is_in_the_training_split_at_hand() -> None:
    one, two, three = (image(3, seed) for seed in (1, 2, 3))
    nearly = two.copy()
    nearly[0, 0] ^= 1
    data = fer2013.Fer2013({"Training": split(one, two)}, [], "")
    assert duplicates(split(two, three, one, nearly), data).tolist() == [True, False, True, False]


def test_without_training_images_the_list_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    one, two = image(3, 1), image(3, 2)
    (tmp_path / "list").write_bytes(keys(np.stack([one])).astype(">u8").tobytes())
    monkeypatch.setattr(sys.modules[duplicates.__module__], "LIST_PATH", tmp_path / "list")
    assert duplicates(split(one, two), fer2013.Fer2013({}, [], "")).tolist() == [True, False]


def test_the_list_is_of_the_whole_training_split() -> None:
    known = listed()
    assert LIST_PATH.stat().st_size == KEY_BYTES * len(known)
    # Of the 28,709 images, 1,236 are there more than once.
    assert len(known) == 27_473
    assert (np.diff(known.astype(object)) > 0).all()


def test_the_command_makes_a_list(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "fer2013", train=2, validation=1)
    out = tmp_path / "list"
    for source in (folder, write_csv(tmp_path / "fer2013.csv", folder)):
        command = [sys.executable, "-m", "emopipe.training.facial.duplicates", str(source), "--out", str(out)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout == f"wrote 14 keys to {out}\n"
        expected = np.unique(keys(fer2013.load(folder).split("Training").images))
        np.testing.assert_array_equal(np.frombuffer(out.read_bytes(), ">u8"), expected)
