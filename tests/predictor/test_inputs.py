"""Pictures and sounds from files and arrays of all kinds."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from emopipe import EmotionPredictor
from emopipe.models.labels import SPEECH
from emopipe.pipeline.errors import DataError, MediaError
from tests.support.media import cut_off
from tests.support.voices import RATE, write

Image = NDArray[np.uint8]


def test_a_picture_of_any_format_shows_the_same_face(
    predictor: EmotionPredictor, portrait: Image, tmp_path: Path
) -> None:
    (reference,) = predictor.predict_image(portrait)
    bgr = cv2.cvtColor(portrait, cv2.COLOR_RGB2BGR)
    alpha = np.dstack([bgr, np.full(bgr.shape[:2], 90, np.uint8)])
    deep = bgr.astype(np.uint16) * 257
    files: dict[str, Any] = {
        "a.png": bgr,
        "a.jpg": bgr,
        "a.webp": bgr,
        "a.bmp": bgr,
        "rgba.png": alpha,
        "deep.png": deep,
    }
    for name, pixels in files.items():
        cv2.imwrite(str(tmp_path / name), pixels)
        (face,) = predictor.predict_from_file(image_path=tmp_path / name).faces or []
        assert face.probabilities == pytest.approx(reference.probabilities, abs=0.05), name
        assert face.box == pytest.approx(reference.box, abs=0.02), name
    for array in (np.dstack([portrait, alpha[..., 3]]), portrait.astype(np.uint16) * 257):
        assert predictor.predict_image(array) == [reference]
    (grey,) = predictor.predict_image(cv2.cvtColor(portrait, cv2.COLOR_RGB2GRAY))
    assert grey.box == pytest.approx(reference.box, abs=0.05)


def test_a_picture_turned_in_its_exif_data_is_upright(
    predictor: EmotionPredictor, portrait: Image, tmp_path: Path
) -> None:
    path = tmp_path / "turned.jpg"
    sideways = cv2.cvtColor(np.ascontiguousarray(np.rot90(portrait)), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(path), sideways)
    tag = bytes.fromhex("49492a00080000000100120103000100000006000000" + "00000000")  # orientation 6
    exif = b"Exif\0\0" + tag
    jpeg = path.read_bytes()
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:])
    (face,) = predictor.predict_from_file(image_path=path).faces or []
    (reference,) = predictor.predict_image(portrait)
    assert face.box == pytest.approx(reference.box, abs=0.03)


def test_sound_from_an_array_is_sound_from_a_file(
    predictor: EmotionPredictor, speech: NDArray[np.float32], tmp_path: Path
) -> None:
    write(tmp_path / "speech.wav", speech)
    filed = predictor.predict_from_file(audio_path=tmp_path / "speech.wav").voice
    pcm = (speech * 32767).astype(np.int16)
    assert filed is not None
    assert list(filed.probabilities) == list(SPEECH)
    assert predictor.predict_audio(pcm, RATE) == filed
    assert predictor.predict_audio(pcm.astype(np.float64) / 32768, RATE) == filed
    assert predictor.predict_audio(np.stack([pcm, pcm], axis=1), RATE) == filed
    faster = predictor.predict_audio(np.repeat(pcm, 3), 3 * RATE)
    assert faster is not None
    assert len(faster.windows) == len(filed.windows)


def test_a_picture_cut_off_is_refused(predictor: EmotionPredictor, portrait: Image, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "whole.jpg"), portrait)
    with pytest.raises(MediaError, match=r"whole\.jpg"):
        predictor.predict_from_file(image_path=cut_off(tmp_path / "whole.jpg", 0.4))


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "grey.jpg", "a.webp"])
def test_a_picture_and_its_array_give_the_same_faces(
    predictor: EmotionPredictor, portrait: Image, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    pixels = cv2.cvtColor(portrait, cv2.COLOR_RGB2GRAY if name.startswith("grey") else cv2.COLOR_RGB2BGR)
    assert cv2.imwrite(str(path), pixels)
    array = cv2.imread(str(path), cv2.IMREAD_ANYCOLOR)
    assert array is not None
    faces = predictor.predict_from_file(image_path=path).faces
    assert faces
    assert faces == predictor.predict_image(array if array.ndim == 2 else array[..., ::-1])


def test_tiles_of_a_photo_show_the_face_of_the_whole(predictor: EmotionPredictor, shared_cases: Path) -> None:
    whole = predictor.predict_from_file(image_path=shared_cases / "big.png").faces
    tiled = predictor.predict_from_file(image_path=shared_cases / "grid.heic").faces
    assert whole is not None
    assert tiled is not None
    assert [face.box for face in tiled] == [pytest.approx(face.box, abs=0.01) for face in whole]


def test_a_too_large_array_is_refused(predictor: EmotionPredictor) -> None:
    with pytest.raises(DataError, match="20000 × 20000 pixels in one picture are more than the 134 million"):
        predictor.predict_image(np.broadcast_to(np.uint8(0), (20_000, 20_000)))
