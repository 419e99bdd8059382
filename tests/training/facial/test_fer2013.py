import logging
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from emopipe.models.labels import FACE
from emopipe.pipeline.errors import DataError
from emopipe.training.facial import fer2013
from tests.support.fer2013 import encoded, image, write_csv, write_folder, write_zip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "fer2013")


def test_folder_and_zip_hold_the_same(folder: Path, tmp_path: Path) -> None:
    first = fer2013.load(folder)
    for inside in ("", "archive/fer2013/"):
        zipped = write_zip(tmp_path / "fer2013.zip", folder, inside)
        data = fer2013.load(zipped, tmp_path / "cache")
        for name, per_class in (("Training", 4), ("PublicTest", 2)):
            split = data.split(name)
            assert split.images.shape == (7 * per_class, 48, 48)
            assert split.images.dtype == np.uint8
            np.testing.assert_array_equal(split.images, first.split(name).images)
            np.testing.assert_array_equal(split.targets, first.split(name).targets)
            np.testing.assert_array_equal(np.bincount(split.targets), per_class)
    brightness = [
        first.split("Training").images[first.split("Training").targets == target].mean() for target in range(7)
    ]
    assert brightness == sorted(brightness), "an image's class is that of its folder"


def test_the_split_is_in_the_files_name(folder: Path) -> None:
    (folder / "test" / "happy" / "PrivateTest_77.jpg").write_bytes(encoded(image(3, 77)))
    data = fer2013.load(folder)
    assert len(data.split("PrivateTest")) == 1
    assert len(data.split("PublicTest")) == 14


def test_the_second_time_comes_from_the_cache(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "train" / "sad" / "Training_999.jpg").write_bytes(b"no image")
    zipped = write_zip(tmp_path / "fer2013.zip", folder)
    first = fer2013.load(zipped, tmp_path / "cache")
    monkeypatch.setattr(cv2, "imdecode", None)
    again = fer2013.load(zipped, tmp_path / "cache")
    assert (again.sha256, again.damaged) == (first.sha256, first.damaged)
    for name in ("Training", "PublicTest"):
        np.testing.assert_array_equal(again.split(name).images, first.split(name).images)
        np.testing.assert_array_equal(again.split(name).targets, first.split(name).targets)


def test_a_damaged_cache_is_made_anew(folder: Path, tmp_path: Path) -> None:
    zipped = write_zip(tmp_path / "fer2013.zip", folder)
    first = fer2013.load(zipped, tmp_path / "cache")
    (cached,) = (tmp_path / "cache").iterdir()
    cached.write_bytes(cached.read_bytes()[:1000])
    assert len(fer2013.load(zipped, tmp_path / "cache").split("Training")) == len(first.split("Training"))


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
    assert len(data.split("Training")) == 28 + 2
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
    with pytest.raises(
        DataError, match=rf"fer\.zip: neither a folder nor a csv nor a whole zip: half a download\? {layout}"
    ):
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
    with pytest.raises(DataError, match=r"the PublicTest split is empty; there is Training; expected train/<class>"):
        data.split("PublicTest")


def test_half_a_download_is_remarked_on(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        fer2013.load(folder)
    assert "Training has 28 of its 28709 images: half a download?" in caplog.text
    assert "PublicTest has 14 of its 3589 images" in caplog.text


def test_half_a_zip_is_named(folder: Path, tmp_path: Path) -> None:
    zipped = write_zip(tmp_path / "fer2013.zip", folder)
    zipped.write_bytes(zipped.read_bytes()[:-5000])
    with pytest.raises(DataError, match=r"neither a folder nor a csv nor a whole zip: half a download\?"):
        fer2013.load(zipped, tmp_path / "cache")


def test_a_folder_may_name_the_split(folder: Path) -> None:
    for number, path in enumerate(sorted((folder / "train").rglob("*.jpg"))):
        path.rename(path.with_name(f"im{number}.jpg"))
    for number, path in enumerate(sorted((folder / "test").rglob("*.jpg"))):
        path.rename(path.with_name(f"im{number}.jpg"))
    data = fer2013.load(folder)
    assert len(data.split("Training")) == 28
    said = r"PublicTest split is empty: 14 test images do not say whether they are PublicTest or PrivateTest"
    with pytest.raises(DataError, match=said):
        data.split("PublicTest")
    (folder / "test").rename(folder / "PublicTest")
    assert len(fer2013.load(folder).split("PublicTest")) == 14


def test_images_of_no_split_are_counted(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "cover.jpg").write_bytes(encoded(image(0, 0)))
    with caplog.at_level(logging.WARNING):
        assert sum(map(len, fer2013.load(folder).splits.values())) == 42
    assert "1 images left out, being of no split (such as cover.jpg)" in caplog.text


@pytest.mark.parametrize("name", ["fer2013.csv", "icml_face_data.csv"])
def test_a_csv_holds_the_same_as_the_folder(folder: Path, tmp_path: Path, name: str) -> None:
    first = fer2013.load(folder)
    table = write_csv(tmp_path / name, folder)
    inside = tmp_path / "fer2013-csv.zip"
    with zipfile.ZipFile(inside, "w") as archive:
        archive.write(table, f"fer2013/{name}")
        archive.writestr("fer2013/README", "hello")
    unzipped = tmp_path / "unzipped"
    unzipped.mkdir()
    (unzipped / name).write_bytes(table.read_bytes())
    (unzipped / "a.csv").write_text("id,emotion\n")
    for source in (table, inside, unzipped):
        data = fer2013.load(source, tmp_path / "cache")
        assert data.damaged == []
        for split in ("Training", "PublicTest"):
            np.testing.assert_array_equal(data.split(split).images, first.split(split).images)
            np.testing.assert_array_equal(data.split(split).targets, first.split(split).targets)


def test_damaged_rows_are_named_skipped_and_counted(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = write_csv(tmp_path / "fer2013.csv", folder)
    whole = table.read_text().splitlines()
    pixels = whole[1].split(",")[1]
    broken = [f"3,{pixels} 7,Training", f"3,{pixels.replace(' ', ' x', 1)},Training", f"3,300 {pixels},Training"]
    lines = [*whole, *broken, "", f"3,{pixels},Publ", f"3,{pixels[:500]}"]
    table.write_text("\n".join(lines))
    with caplog.at_level(logging.WARNING):
        data = fer2013.load(table, tmp_path / "cache")
    assert data.damaged == ["line 44", "line 45", "line 46", "line 48", "line 49"]
    assert sum(map(len, data.splits.values())) == 42
    assert "line 44: skipped: 2,305 pixels, expected 2,304" in caplog.text
    assert "line 45: skipped: its pixels are not all whole numbers from 0 to 255" in caplog.text
    assert "line 48: skipped: 'Publ' is no split: cut off?" in caplog.text
    assert "line 49: skipped: 2 fields, expected 3: cut off?" in caplog.text
    assert "5 images skipped" in caplog.text


@pytest.mark.parametrize(
    ("header", "row", "said"),
    [
        ("emotion,pixels", "3,0", r"no column Usage \(found: emotion, pixels\); expected emotion, pixels, Usage"),
        (
            "emotion,pixels,Usage",
            "7,0 0,Training",
            r"line 2: unknown class '7'; the classes are 0 to 6: angry, disgust",
        ),
        (
            "emotion,pixels,Usage",
            "3,0 0,Validation",
            r"line 2: unknown split 'Validation'; the splits are Training, Pub",
        ),
    ],
)
def test_wrong_tables_are_named(tmp_path: Path, header: str, row: str, said: str) -> None:
    (tmp_path / "fer2013.csv").write_text(f"{header}\n{row}\n")
    with pytest.raises(DataError, match=said):
        fer2013.load(tmp_path / "fer2013.csv", tmp_path / "cache")


def test_a_table_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").write_bytes(b"emotion,pixels,Usage\n\xff\xfe\n")
    with pytest.raises(DataError, match=r"fer2013\.csv: damaged after line \d \(.*\); download it again"):
        fer2013.load(tmp_path / "fer2013.csv", tmp_path / "cache")


def test_nothing_but_damage_is_said(tmp_path: Path) -> None:
    (tmp_path / "train" / "sad").mkdir(parents=True)
    (tmp_path / "train" / "sad" / "Training_1.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="all 1 images are damaged"):
        fer2013.load(tmp_path)
