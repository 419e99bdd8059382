import logging
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.labels import FACE
from pipeline.errors import DataError
from tests.fer2013 import encoded, image, write_folder, write_zip
from training import fer2013


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "fer2013")


def test_folder_and_zip_hold_the_same(folder: Path, tmp_path: Path) -> None:
    first = fer2013.load(folder)
    for inside in ("", "archive/fer2013/"):
        zipped = write_zip(tmp_path / "fer2013.zip", folder, inside)
        data = fer2013.load(zipped, tmp_path / "cache")
        for name, per_class in (("train", 4), ("validation", 2)):
            split = data.split(name)
            assert split.images.shape == (7 * per_class, 48, 48)
            assert split.images.dtype == np.uint8
            np.testing.assert_array_equal(split.images, first.split(name).images)
            np.testing.assert_array_equal(split.targets, first.split(name).targets)
            np.testing.assert_array_equal(np.bincount(split.targets), per_class)
    brightness = [first.split("train").images[first.split("train").targets == target].mean() for target in range(7)]
    assert brightness == sorted(brightness), "an image's class is that of its folder"


def test_the_split_is_in_the_files_name(folder: Path) -> None:
    (folder / "test" / "happy" / "PrivateTest_77.jpg").write_bytes(encoded(image(3, 77)))
    data = fer2013.load(folder)
    assert len(data.split("test")) == 1
    assert len(data.split("validation")) == 14


def test_the_second_time_comes_from_the_cache(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "train" / "sad" / "Training_999.jpg").write_bytes(b"no image")
    zipped = write_zip(tmp_path / "fer2013.zip", folder)
    first = fer2013.load(zipped, tmp_path / "cache")
    monkeypatch.setattr(cv2, "imdecode", None)
    again = fer2013.load(zipped, tmp_path / "cache")
    assert (again.sha256, again.damaged) == (first.sha256, first.damaged)
    for name in ("train", "validation"):
        np.testing.assert_array_equal(again.split(name).images, first.split(name).images)
        np.testing.assert_array_equal(again.split(name).targets, first.split(name).targets)


def test_a_damaged_cache_is_made_anew(folder: Path, tmp_path: Path) -> None:
    zipped = write_zip(tmp_path / "fer2013.zip", folder)
    first = fer2013.load(zipped, tmp_path / "cache")
    (cached,) = (tmp_path / "cache").iterdir()
    cached.write_bytes(cached.read_bytes()[:1000])
    assert len(fer2013.load(zipped, tmp_path / "cache").split("train")) == len(first.split("train"))


def test_other_contents_have_another_digest(folder: Path) -> None:
    before = fer2013.load(folder).sha256
    assert fer2013.load(folder).sha256 == before
    (folder / "train" / "sad" / "Training_999.jpg").write_bytes(encoded(image(4, 999)))
    assert fer2013.load(folder).sha256 != before


def test_damaged_images_are_named_skipped_and_counted(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    sad = folder / "train" / "sad"
    whole = encoded(image(4, 900))
    (sad / "Training_900.jpg").write_bytes(b"")
    (sad / "Training_901.jpg").write_bytes(b"<html>not found</html>")
    (sad / "Training_902.jpg").write_bytes(encoded(np.zeros((50, 40), np.uint8)))
    (sad / "Training_903.png").write_bytes(encoded(np.dstack([image(4, 903)] * 3), ".png"))
    (sad / "Training_904.jpg").write_bytes(whole)
    with caplog.at_level(logging.WARNING):
        data = fer2013.load(folder)
    assert data.damaged == [f"train/sad/Training_{n}.jpg" for n in (900, 901, 902)]
    assert len(data.split("train")) == 28 + 2
    text = caplog.text
    assert "Training_900.jpg: skipped: empty file" in text
    assert "Training_901.jpg: skipped: not a decodable image" in text
    assert "Training_902.jpg: skipped: 40×50 pixels, expected 48×48" in text


def test_a_damaged_member_of_a_zip_is_skipped(folder: Path, tmp_path: Path) -> None:
    zipped = write_zip(tmp_path / "fer2013.zip", folder)
    with zipfile.ZipFile(zipped) as archive:
        info = archive.infolist()[5]
    content = bytearray(zipped.read_bytes())
    content[info.header_offset + 30 + len(info.filename) + 200] ^= 0xFF
    zipped.write_bytes(content)
    data = fer2013.load(zipped, tmp_path / "cache")
    assert data.damaged == [info.filename]
    assert sum(map(len, data.splits.values())) == 41


def test_files_that_are_no_images_are_left_alone(folder: Path) -> None:
    (folder / "README.txt").write_text("hello")
    (folder / "train" / ".DS_Store").write_bytes(b"\0")
    assert fer2013.load(folder).damaged == []


def test_a_wrong_path_or_layout_is_named_with_the_remedy(folder: Path, tmp_path: Path) -> None:
    layout = r"expected train/<class>/Training_N\.jpg"
    with pytest.raises(DataError, match=rf"nowhere: no such file or folder.*{layout}"):
        fer2013.load(tmp_path / "nowhere")
    (tmp_path / "fer.zip").write_text("not a zip")
    with pytest.raises(DataError, match=rf"fer\.zip: neither a folder nor a readable zip; {layout}"):
        fer2013.load(tmp_path / "fer.zip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=rf"empty: no image of FER2013 found; {layout}"):
        fer2013.load(tmp_path / "empty")


def test_an_unknown_class_is_named(folder: Path) -> None:
    (folder / "train" / "happy").rename(folder / "train" / "happiness")
    with pytest.raises(DataError, match=rf"unknown class 'happiness'; the classes are {', '.join(FACE)}"):
        fer2013.load(folder)


def test_an_empty_split_is_named(tmp_path: Path) -> None:
    data = fer2013.load(write_folder(tmp_path / "fer", train=1, validation=0))
    with pytest.raises(DataError, match=r"the validation split is empty: no usable <class>/PublicTest_N\.jpg"):
        data.split("validation")


def test_nothing_but_damage_is_said(tmp_path: Path) -> None:
    (tmp_path / "train" / "sad").mkdir(parents=True)
    (tmp_path / "train" / "sad" / "Training_1.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="all 1 images are damaged"):
        fer2013.load(tmp_path)
