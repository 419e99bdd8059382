"""EmotionPredictor: what pictures, sounds and films express, from Python, without a graph or processes of one's own.

    from emopipe import EmotionPredictor

    predictor = EmotionPredictor()
    predictor.predict_from_file(image_path="face.jpg", audio_path="voice.wav").fused
    predictor.predict_images([rgb, another])
    predictor.predict_audio(samples, sample_rate=44_100).emotion

It stands above the stages and is made of their parts: the same reading, detector, framing, windows and models, so that
a clip gives the same distributions by both ways.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from numpy.typing import NDArray

from emopipe.models.calibration import Prior, prior_problem
from emopipe.models.fusion.model import FaceObservation, FusionModel
from emopipe.models.fusion.opinion_pool import shared
from emopipe.models.labels import FACE, SPEECH, unfused
from emopipe.models.thresholds import DEFAULT_RISK
from emopipe.pipeline.errors import EmopipeError
from emopipe.predictor import film
from emopipe.predictor.faces import FacePredictor
from emopipe.predictor.inputs import audio_chunks, image_frame, read_audio, read_image
from emopipe.predictor.options import Options, read_settings, torch_threads
from emopipe.predictor.prediction import EmotionPrediction, FacePrediction, Prediction, VoicePrediction
from emopipe.predictor.voice import Speech, VoicePredictor
from emopipe.stages.media.damage import Damage

if TYPE_CHECKING:
    from emopipe.models.speech.speaker import SpeakerStatistics

log = logging.getLogger(__name__)


class EmotionPredictor:
    """Predicts what is expressed in files and arrays. Each model is loaded when it is first needed.

    Several threads may share one: files are read side by side, and whoever detects or infers waits for the others.
    After a fork (`os.fork`, multiprocessing's `fork`) parent and child both go on with theirs; with `device="cuda"` the
    child cannot, as CUDA does not survive it: start it by `spawn`. A child of `os.fork` itself has to end with
    `os._exit`, as those of multiprocessing do: at an ordinary exit ONNX Runtime waits in it for a thread of its parent.

    Args:
        facial, speech, fusion: files of weights made by `emopipe train`; by default the shipped ones.
        device: where faces and voices are inferred: auto (the default), cpu, cuda.
        backend: what computes the faces' network: auto (the default: onnxruntime on a CPU, torch on a GPU) or one of
            these.
        prior: how common each label is where this is used (see `models.calibration`), by name or as a table of shares
            of `emopipe.models.labels.FACE`; it holds for voices too.
        risk: the share of wrong answers tolerated among those that are not `uncertain`; 1: never uncertain. By
            default 0.3, or 1 where the weights have no table of risks.
        min_confidence: of the face detector, 0..1.
        threads: of the CPU while inferring; one, the default, gives the same bits as the stages.
        settings: all other settings of the stages that this stands for, as graphs have them (docs/stages.md):
            `{"face-detection": {"max_faces": 20, "margin": 1.1}, "speech-windows": {"hop": 0.25}}`. What is given above
            comes before them; what is about streams (tracking, batches, smoothing, fusion's method) holds for films.

    Raises:
        EmopipeError: something given is wrong; raised when it is first needed.
    """

    def __init__(
        self,
        *,
        facial: Path | None = None,
        speech: Path | None = None,
        fusion: Path | None = None,
        device: str | None = None,
        backend: str | None = None,
        prior: Prior | None = None,
        risk: float | None = None,
        min_confidence: float | None = None,
        threads: int | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        if risk is not None and not 0 < risk <= 1:
            raise EmopipeError(f"risk: {risk:g} is not above 0 and at most 1")
        if prior is not None and (problem := prior_problem(prior, FACE)):
            raise EmopipeError(f"prior: {problem}")
        model = {"device": device, "threads": threads}
        shares = None if prior is None or isinstance(prior, str) else dict(prior)
        given: dict[str, dict[str, Any]] = {
            "face-detection": {"min_confidence": min_confidence},
            "facial-inference": {
                **model,
                "backend": backend,
                "weights": facial and str(facial),
                "prior": shares or prior,
            },
            "speech-inference": {**model, "weights": speech and str(speech), "prior": None if shares else prior},
            "fusion": {"weights": fusion and str(fusion), "risk": risk},
        }
        self._tables = {name: dict(table) for name, table in (settings or {}).items()}
        for name, table in given.items():
            chosen = {key: value for key, value in table.items() if value is not None}
            self._tables[name] = self._tables.get(name, {}) | chosen
        self._face_prior = shares
        each = read_settings(self._tables)
        self._risk: float | None = self._tables["fusion"].get("risk")
        facial_options, speech_options = (
            Options(stage.device, stage.prior, self._risk, stage.threads) for stage in (each.facial, each.speech)
        )
        facial_weights = _path(each.facial.weights)
        self._faces = FacePredictor(facial_weights, facial_options, each.detection, each.facial)
        self._voices = VoicePredictor(_path(each.speech.weights), speech_options, each.windows, each.speech, shares)
        self._fusion_weights = _path(each.fusion.weights)
        self._options = facial_options
        self._fusion: FusionModel | None = None
        self._told: set[str] = set()  # why something is not fused

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the face detector's threads; it is made anew where it is needed again."""
        self._faces.close()

    # -- files -----------------------------------------------------------------------------------------------------

    def predict_from_file(
        self,
        image_path: Path | str | None = None,
        audio_path: Path | str | None = None,
        video_path: Path | str | None = None,
        *,
        whole: bool = False,
    ) -> Prediction:
        """What a picture, a sound, both together, or a film expresses.

        A film is played through the default graph, in a process of its own, which takes some seconds to start:
        `predict_videos` does so once for several.

        Args:
            whole: the picture is a face already, framed as FER2013's are: look for none in it.

        Raises:
            EmopipeError: no file was named, or one cannot be read; nothing in it is of the kind expected.
        """
        if video_path is not None:
            if image_path is not None or audio_path is not None:
                raise EmopipeError("a film has its own pictures and sound; give it alone")
            return self.predict_videos([Path(video_path)])[0]
        if image_path is None and audio_path is None:
            raise EmopipeError("nothing to predict: give an image, a sound, both, or a video")
        damage: list[Damage] = []
        faces, speech = None, None
        if image_path is not None:
            (faces,) = self._faces.predict([read_image(Path(image_path))], whole)
        if audio_path is not None:
            speech = self._voices.predict(read_audio(Path(audio_path), damage.append))
        if faces is not None and audio_path is not None:
            result = self._predict(faces, speech)
        else:
            result = Prediction(faces=faces, voice=speech.prediction if speech else None)
        result.image, result.audio = str(image_path or ""), str(audio_path or "")
        result.damage = [str(place) for place in damage]
        return result

    def predict_videos(
        self,
        paths: Sequence[Path],
        graph: Path | None = None,
        overrides: Sequence[str] = (),
        play: film.Play = film.play,
    ) -> list[Prediction]:
        """The time lines of films, in the order of `paths`; see `Prediction.moments`.

        Args:
            graph: to play them through, by default the one that `emopipe run` plays.
            overrides: of keys of it, such as `stages.fusion.smoothing=0`; this predictor's settings come after them.
            play: runs a graph; `emopipe.playing.play` shows progress.

        Raises:
            EmopipeError: one cannot be opened.
        """
        return film.predict(paths, graph, overrides, self._adapt, play)

    # -- arrays ----------------------------------------------------------------------------------------------------

    def predict_image(self, image: NDArray[Any], *, whole: bool = False) -> list[FacePrediction]:
        """The faces of one picture: RGB [H, W, 3] or grey [H, W], uint8 or uint16. See `predict_images`."""
        return self.predict_images([image], whole=whole)[0]

    def predict_images(self, images: Iterable[NDArray[Any]], *, whole: bool = False) -> list[list[FacePrediction]]:
        """The faces of each picture, from left to right; all faces are inferred in batches.

        Raises:
            DataError: an array is no picture.
        """
        return self._faces.predict((image_frame(image) for image in images), whole)

    def predict_audio(self, samples: NDArray[Any], sample_rate: int) -> VoicePrediction | None:
        """What a voice expresses: sound [n] or [n, channels], float in -1..1 or int16. None where nobody speaks.

        Raises:
            DataError: the array is no sound.
        """
        speech = self._voices.predict(audio_chunks(samples, sample_rate))
        return speech.prediction if speech else None

    def predict(self, image: NDArray[Any], samples: NDArray[Any], sample_rate: int) -> Prediction:
        """What a picture and a sound express, each and together; see `predict_image` and `predict_audio`."""
        return self._predict(self.predict_image(image), self._voices.predict(audio_chunks(samples, sample_rate)))

    # -- one voice -------------------------------------------------------------------------------------------------

    @property
    def speaker(self) -> "SpeakerStatistics | None":
        """What is known of the one who speaks in all sounds from now on; `save` and `load` keep it in a file."""
        return self._voices.speaker

    def calibrate(self, paths: Iterable[Path]) -> "SpeakerStatistics":
        """Learn the voice of one speaker from recordings, of whatever was said in them; adds to what is known.

        Voices differ more between people than between emotions: see `emopipe.models.speech.speaker`. `forget` ends it.

        Raises:
            MediaError: one cannot be read.
        """
        return self._voices.calibrate(read_audio(path) for path in paths)

    def load_speaker(self, path: Path) -> None:
        """Take a speaker's profile, as `speaker.save` writes it.

        Raises:
            DataError: the file is missing, damaged, or of other features.
        """
        self._voices.speaker = self._voices.unknown_speaker().load(path)

    def forget(self) -> None:
        """The sounds that follow are of somebody unknown."""
        self._voices.speaker = None

    # -- how it is done --------------------------------------------------------------------------------------------

    def _predict(self, faces: list[FacePrediction], speech: Speech | None) -> Prediction:
        result = Prediction(faces=faces, voice=speech.prediction if speech else None)
        problems = [
            unfused("faces", tuple(faces[0].probabilities), FACE) if faces else "",
            unfused("speech", tuple(speech.prediction.probabilities), SPEECH) if speech else "",
        ]
        if any(problems):  # only emotions are fused
            self._tell(problems if faces and speech else [])
            return result
        looks = [[FaceObservation(0.0, list(face.probabilities.values()), face.quality)] for face in faces]
        observations = speech.observations if speech else []
        if looks or observations:
            with torch_threads(self._options.threads):
                if self._fusion is None:
                    self._fusion = FusionModel.load(self._fusion_weights)
                rows = [shared(self._fusion.fuse(look, observations).tolist()) for look in looks or [[]]]
            # Of weights with labels of one's own no share of wrong answers is promised, as in a graph.
            own = (self._faces.own and bool(looks)) or (self._voices.own and bool(observations))
            assumed = 1 - (DEFAULT_RISK if self._risk is None else self._risk)
            least = assumed if own else self._options.threshold(self._fusion.selective)
            result.fused = [EmotionPrediction.of(FACE, row, least) for row in rows]
        return result

    def _tell(self, problems: Iterable[str]) -> None:
        """Say once, of both halves that are there, why they are not fused."""
        for problem in problems:
            if problem and problem not in self._told:
                self._told.add(problem)
                log.warning("%s", problem)

    def _adapt(self, stages: dict[str, dict[str, Any]]) -> None:
        """Give the stages of a graph's table, by what they use, the settings of this predictor."""
        for stage in stages.values():
            name = str(stage.get("use"))
            stage.update(self._tables.get(name, {}))
            if name == "speech-inference" and self._face_prior is not None:
                prior = self._voices.prior()
                stage["prior"] = prior if isinstance(prior, str) else dict(prior)


def _path(text: str) -> Path | None:
    return Path(text) if text else None
