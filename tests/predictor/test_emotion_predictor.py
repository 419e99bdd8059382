"""EmotionPredictor: the same numbers as the pipeline's, from files and arrays of all kinds."""

import asyncio
import re
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from emopipe import EmotionPredictor
from emopipe.graphs.ready import default_graph
from emopipe.graphs.replay import replay_table
from emopipe.models.fusion.opinion_pool import shared
from emopipe.models.labels import FACE, SPEECH
from emopipe.pipeline.errors import DataError, EmopipeError, MediaError, ModelError
from emopipe.pipeline.graph.load import graph_from_table, read_table
from emopipe.pipeline.runtime.supervisor import Supervisor
from emopipe.predictor.faces import FacePredictor
from emopipe.predictor.options import Options
from emopipe.predictor.prediction import Prediction
from emopipe.stages.faces.detection import FaceDetection
from emopipe.stages.media.recording import Recording
from emopipe.stages.types import VideoFrame
from tests.support.media import cut_off, every, make
from tests.support.random_weights import facial_weights, fusion_weights, speech_weights
from tests.support.voices import RATE, silence, voice, write

Image = NDArray[np.uint8]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    return {
        "facial": facial_weights(folder / "facial.safetensors"),
        "speech": speech_weights(folder / "speech.safetensors"),
        "fusion": fusion_weights(folder / "fusion.safetensors"),
    }


@pytest.fixture(scope="module")
def predictor(weights: dict[str, Path]) -> EmotionPredictor:
    return EmotionPredictor(**weights, device="cpu")


@pytest.fixture(scope="module")
def portrait() -> Image:
    """A real face, in RGB."""
    skimage_data = pytest.importorskip("skimage.data")
    picture: Image = skimage_data.astronaut()[:320, :480]
    return picture


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    return np.concatenate([silence(0.3), voice(1.4), silence(0.6)])


@pytest.fixture(scope="module")
def clip(portrait: Image, speech: NDArray[np.float32], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The face and the voice, with sound that begins after the picture: its windows lie on the film's grid."""
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"

    def draw(number: int) -> Image:
        return np.ascontiguousarray(np.roll(portrait, 3 * number, axis=1))

    sound = speech.astype(np.float64)
    return make(path, pictures=every(8, 2.2), draw=draw, sound=sound, audio="flac", sound_at=0.2, gop=1)


@pytest.fixture(scope="module")
def film(weights: dict[str, Path], clip: Path) -> Prediction:
    predictor = EmotionPredictor(facial=weights["facial"], speech=weights["speech"], device="cpu")
    return predictor.predict_from_file(video_path=clip)


def rounded(values: Any) -> list[float]:
    return [round(float(value), 6) for value in values]


def test_a_film_gives_what_a_replay_of_it_writes(
    film: Prediction, clip: Path, weights: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "results.jsonl"
    table = replay_table(read_table(default_graph()), [str(clip)], [out], realtime=False)
    settings = [f'stages.{name}.weights="{weights[name]}"' for name in ("facial", "speech")]
    asyncio.run(Supervisor(graph_from_table(table, default_graph(), settings)).run())
    assert film.moments == [msgspec.json.decode(line) for line in out.read_bytes().splitlines()]
    assert sum(len(moment["faces"]) for moment in film.moments) >= 17


def test_each_frame_as_a_picture_gives_what_the_film_says_of_it(
    film: Prediction, clip: Path, weights: dict[str, Path]
) -> None:
    with Recording(clip) as recording:
        frames = [item.payload for item in recording if isinstance(item.payload, VideoFrame)]
    faces = FacePredictor(weights["facial"], Options("cpu", "training", None, 1), FaceDetection.Settings())
    alone = [face for found in faces.predict(frames, whole=False) for face in found]
    faces.close()
    filmed = [face for moment in film.moments if moment["source"] == "face" for face in moment["faces"]]
    assert len(alone) == len(filmed) >= 17
    for one, other in zip(alone, filmed, strict=True):
        assert rounded(one.probabilities.values()) == list(other["face"]["probabilities"].values())
        assert rounded(one.box) == other["box"]


def test_the_sound_alone_gives_the_windows_of_the_film(
    film: Prediction, predictor: EmotionPredictor, clip: Path
) -> None:
    answer = predictor.predict_from_file(audio_path=clip).voice
    assert answer is not None
    alone = [(w.start, w.end, rounded(shared(list(w.probabilities.values())))) for w in answer.windows]
    voices = [moment["voice"] for moment in film.moments if moment["voice"]]
    filmed = {(v["start"] / 1e9, v["end"] / 1e9): list(v["probabilities"].values()) for v in voices}
    assert len(alone) >= 3
    assert [(start, end) for start, end, _ in alone if (start, end) in filmed] == sorted(filmed)
    for start, end, row in alone:
        assert filmed.get((start, end), row) == row


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


def test_many_pictures_give_what_each_gives_alone(predictor: EmotionPredictor, portrait: Image) -> None:
    empty = np.full((200, 300, 3), 128, np.uint8)
    two = np.hstack([portrait[20:260, 110:350]] * 2)
    pictures = [portrait, empty, np.ascontiguousarray(portrait[:, ::-1]), two]
    together = predictor.predict_images(pictures)
    assert [len(faces) for faces in together] == [1, 0, 1, 2]
    assert together == [predictor.predict_image(picture) for picture in pictures]
    assert predictor.predict_images([]) == []


def test_a_whole_picture_may_be_a_face(predictor: EmotionPredictor, weights: dict[str, Path]) -> None:
    from emopipe.models.facial.model import FacialModel

    crop = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    (face,) = predictor.predict_image(crop, whole=True)
    expected = FacialModel.load(weights["facial"], "cpu").probabilities(crop[None])[0]
    np.testing.assert_allclose(list(face.probabilities.values()), expected, atol=1e-6)
    assert predictor.predict_image(crop) == []


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


def test_where_nobody_speaks_there_is_no_voice(predictor: EmotionPredictor) -> None:
    assert predictor.predict_audio(silence(2.0), RATE) is None
    assert predictor.predict_audio(np.empty(0, np.float32), RATE) is None


def test_a_picture_and_a_sound_are_fused(
    predictor: EmotionPredictor, portrait: Image, speech: NDArray[np.float32]
) -> None:
    both = predictor.predict(portrait, speech, RATE)
    (fused,) = both.fused
    assert list(fused.probabilities) == list(FACE)
    assert sum(fused.probabilities.values()) == pytest.approx(1)
    assert fused.confidence == max(fused.probabilities.values()) == fused.probabilities[fused.emotion]
    (face_only,) = predictor.predict(portrait, silence(1.0), RATE).fused
    (voice_only,) = predictor.predict(np.zeros((64, 64), np.uint8), speech, RATE).fused
    assert len({str(rounded(a.probabilities.values())) for a in (fused, face_only, voice_only)}) == 3
    assert predictor.predict(np.zeros((64, 64), np.uint8), silence(1.0), RATE).fused == []


def test_a_real_face_is_the_more_neutral_the_more_common_neutral_faces_are(portrait: Image) -> None:
    neutral, others = [], []
    for share in (0.1, 0.3, 0.6, 0.9):
        with EmotionPredictor(device="cpu", prior={"neutral": share}) as shipped:
            (face,) = shipped.predict_image(portrait)
        neutral.append(face.probabilities["neutral"])
        others.append(face.probabilities["sad"] / face.probabilities["happy"])
    assert neutral == sorted(set(neutral))
    assert others == pytest.approx([others[0]] * 4, rel=1e-3)


def test_a_prior_holds_for_voices_too(weights: dict[str, Path], speech: NDArray[np.float32]) -> None:
    resting = []
    for share in (0.1, 0.5, 0.9):
        answer = EmotionPredictor(**weights, prior={"neutral": share}).predict_audio(speech, RATE)
        assert answer is not None
        resting.append(answer.probabilities["neutral"] + answer.probabilities["calm"])
    assert resting == sorted(set(resting))


def test_a_speaker_who_is_known_is_heard_otherwise_and_can_be_kept(
    weights: dict[str, Path], speech: NDArray[np.float32], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emopipe.models.speech.model.MIN_CLIPS", 0.0)  # in use it takes 50 s of speech
    write(tmp_path / "other.wav", np.concatenate([silence(0.2), voice(2.5, pitch=180), silence(0.4)]))
    predictor = EmotionPredictor(**weights)
    strange = predictor.predict_audio(speech, RATE)
    predictor.calibrate([tmp_path / "other.wav"]).save(tmp_path / "speaker.json")
    known = predictor.predict_audio(speech, RATE)
    assert known != strange
    predictor.forget()
    assert predictor.predict_audio(speech, RATE) == strange
    predictor.load_speaker(tmp_path / "speaker.json")
    assert predictor.predict_audio(speech, RATE) == known


def test_what_is_wrong_is_said(predictor: EmotionPredictor, weights: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(EmopipeError, match="nothing to predict"):
        predictor.predict_from_file()
    with pytest.raises(EmopipeError, match="a film has its own"):
        predictor.predict_from_file(image_path="a", video_path="b")
    with pytest.raises(MediaError, match=r"none\.jpg: no such file"):
        predictor.predict_from_file(image_path=tmp_path / "none.jpg")
    write(tmp_path / "sound.wav", voice(0.5))
    with pytest.raises(MediaError, match="holds no picture"):
        predictor.predict_from_file(image_path=tmp_path / "sound.wav")
    make(tmp_path / "mute.mkv", pictures=every(5, 1))
    with pytest.raises(MediaError, match="holds no sound"):
        predictor.predict_from_file(audio_path=tmp_path / "mute.mkv")
    with pytest.raises(DataError, match=r"an image is uint8 .* but this is float64 \[4, 4\]"):
        predictor.predict_image(np.zeros((4, 4)))
    with pytest.raises(DataError, match=r"sound is float or int16"):
        predictor.predict_audio(np.zeros((4, 4, 4)), RATE)
    with pytest.raises(DataError, match="no numbers"):
        predictor.predict_audio(np.full(1000, np.nan), RATE)
    with pytest.raises(DataError, match="a sample rate of 16 Hz"):
        predictor.predict_audio(np.zeros(1000), 16)
    with pytest.raises(EmopipeError, match=r"risk: 1\.5 is not above 0"):
        EmotionPredictor(risk=1.5)
    with pytest.raises(EmopipeError, match='prior: "calm" is no label'):
        EmotionPredictor(prior={"calm": 0.5})
    with pytest.raises(ModelError, match="have no table of risks"):
        EmotionPredictor(**weights, risk=0.2).predict_image(np.zeros((48, 48), np.uint8), whole=True)


def test_a_picture_cut_off_is_refused(predictor: EmotionPredictor, portrait: Image, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "whole.jpg"), portrait)
    with pytest.raises(MediaError, match=r"whole\.jpg"):
        predictor.predict_from_file(image_path=cut_off(tmp_path / "whole.jpg", 0.4))


def test_the_settings_of_the_stages_hold_for_pictures_and_sounds(portrait: Image, speech: NDArray[np.float32]) -> None:
    two = np.hstack([portrait[20:260, 110:350]] * 2)
    few = {"face-detection": {"max_faces": 1}, "speech-windows": {"hop": 0.25}}
    wide = {"face-detection": {"margin": 1.3}}
    with EmotionPredictor() as usual, EmotionPredictor(settings=few) as one, EmotionPredictor(settings=wide) as wider:
        assert [len(predictor.predict_image(two)) for predictor in (usual, one, wider)] == [2, 1, 2]
        assert wider.predict_image(portrait)[0].probabilities != usual.predict_image(portrait)[0].probabilities
        rare, often = (predictor.predict_audio(speech, RATE) for predictor in (usual, one))
    assert rare is not None
    assert often is not None
    assert len(often.windows) > len(rare.windows)


def test_what_is_given_by_itself_comes_before_the_settings(portrait: Image) -> None:
    settings = {"face-detection": {"min_confidence": 1.0}, "facial-inference": {"prior": {"neutral": 0.9}}}
    with EmotionPredictor(settings=settings, min_confidence=0.5) as mixed, EmotionPredictor(prior="training") as plain:
        (resting,), (usual,) = mixed.predict_image(portrait), plain.predict_image(portrait)
    assert resting.probabilities["neutral"] > usual.probabilities["neutral"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"face-detecton": {}}, 'no stage "face-detecton" in a predictor; did you mean "face-detection"?'),
        ({"face-detection": {"max_face": 3}}, 'face-detection: max_face: unknown setting; did you mean "max_faces"?'),
        ({"face-detection": {"max_faces": 200}}, "face-detection: max_faces: 200 is not between 1 and 100"),
        ({"speech-windows": {"hop": "often"}}, "speech-windows: hop: expected a number of seconds"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, dict[str, Any]], message: str) -> None:
    with pytest.raises(EmopipeError, match=re.escape(message)):
        EmotionPredictor(settings=settings)


# -- a file and the array of it ----------------------------------------------------------------------------------------


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
