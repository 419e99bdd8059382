import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from emopipe.models.labels import FACE
from emopipe.pipeline.errors import DataError
from emopipe.training.facial.class_folders import corpus_of, load
from tests.support.fer2013 import write_folder
from tests.support.rafdb import write_ck, write_rafdb


def zipped(path: Path, root: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*.*")):
            archive.write(file, file.relative_to(root))
    return path


def test_a_corpus_is_known_by_its_files_names(tmp_path: Path) -> None:
    rafdb, ck = write_rafdb(tmp_path / "a"), write_ck(tmp_path / "b")
    assert corpus_of(rafdb) == corpus_of(zipped(tmp_path / "a.zip", rafdb)) == "rafdb"
    assert corpus_of(ck) == corpus_of(zipped(tmp_path / "b.zip", ck)) == "ck+"
    assert corpus_of(write_folder(tmp_path / "c", 1, 1)) == "fer2013"
    with pytest.raises(DataError, match=r"nowhere: no such file or folder; give FER2013, RAF-DB or CK\+"):
        corpus_of(tmp_path / "nowhere")


def test_rafdb_has_a_validation_tenth_by_its_own_numbers(tmp_path: Path) -> None:
    root = write_rafdb(tmp_path / "raf", train=30, test=7)
    train, validation, test = (load(root, split) for split in ("train", "validation", "test"))
    assert [len(each.images) for each in (train, validation, test)] == [27, 3, 7]
    assert sorted(validation.names) == [f"train_{number:05}_aligned.jpg" for number in (10, 20, 30)]
    assert all(int(name.split("_")[1]) % 7 == target for name, target in zip(train.names, train.targets, strict=True))
    assert train.images.shape == (27, 48, 48)
    assert load(root, "test", 100, colour=True).images.shape == (7, 100, 100, 3)
    again = load(zipped(tmp_path / "raf.zip", root), "train")
    np.testing.assert_array_equal(again.images, train.images)
    assert again.sha256 == train.sha256 != test.sha256


def test_classes_by_rafdbs_numbers_and_by_its_list_are_the_same(tmp_path: Path) -> None:
    root = write_rafdb(tmp_path / "raf")
    words = load(root, "train")
    code = {"surprise": 1, "fear": 2, "disgust": 3, "happy": 4, "sad": 5, "angry": 6, "neutral": 7}
    numbered, original = tmp_path / "numbered", tmp_path / "original"
    (original / "Image" / "aligned").mkdir(parents=True)
    lines = []
    for picture in sorted(root.rglob("*.jpg")):
        number = code[picture.parent.name]
        folder = numbered / picture.parent.parent.name / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, folder)
        shutil.copy(picture, original / "Image" / "aligned")
        lines.append(f"{picture.name.replace('_aligned', '')} {number}")
    (original / "EmoLabel").mkdir()
    (original / "EmoLabel" / "list_patition_label.txt").write_text("\n".join(lines))
    for other in (numbered, original):
        found = load(other, "train")
        assert dict(zip(found.names, found.targets, strict=True)) == dict(zip(words.names, words.targets, strict=True))
    (original / "Image" / "aligned" / "train_00003_aligned.jpg").unlink()
    with pytest.raises(DataError, match=r"names train_00003.jpg, but no such picture is there: half a download\?"):
        load(original, "train")


def test_contempt_is_counted_said_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = load(write_ck(tmp_path), "all")
    assert found.left_out == {"contempt": 2}
    assert [FACE[target] for target in found.targets] == ["angry"] * 2 + ["happy"] * 2 + ["sad"] * 2
    assert "2 images left out: contempt" in caplog.text


def test_what_is_wrong_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write_rafdb(tmp_path / "raf")
    with pytest.raises(DataError, match="the all split is empty; there is test, train, validation"):
        load(root, "all")
    first = next(iter((root / "test").rglob("*.jpg")))
    first.write_bytes(b"\xff\xd8 no picture")
    assert load(root, "test").left_out == {"damaged": 1}
    assert f"{first.name}: skipped: not a decodable image" in caplog.text
    (root / "test" / "bored").mkdir()
    shutil.copy(first, root / "test" / "bored")
    with pytest.raises(DataError, match="its folder 'bored' is no class; the classes are angry, disgust"):
        load(root, "test")
    (tmp_path / "half.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"half.zip: neither a folder nor a whole zip: half a download\?"):
        load(tmp_path / "half.zip", "test")
