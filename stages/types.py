"""The payload types of the links between stages. Boxes are relative to the frame: 0..1, origin top left."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from emopipe.pipeline.message import Payload


class VideoFrame(Payload):
    """One decoded frame, upright, in the two forms that the next stages need and no others.

    `luma` is the decoder's own grey plane, uint8 [H, W]; face crops are cut from it. `small` is a reduced RGB
    image of the same view, uint8 [h, w, 3], for the detector. `truth` names what a test source drew, if it did.
    """

    raw = True
    large = True

    luma: NDArray[np.uint8]
    small: NDArray[np.uint8]
    truth: str = ""


class AudioBlock(Payload):
    """16 kHz mono sound, float32 in -1..1, [samples]; the message's pts is that of the first sample."""

    raw = True

    samples: NDArray[np.float32]
    truth: str = ""


class FaceGeometry(Payload):
    """How a face is held and what moves in it (docs/geometry.md); right and left are the person's own.

    Angles are in degrees, as the picture shows them: yaw to its right, pitch upwards, roll clockwise; head and gaze are
    against the line of sight from the camera to the face. Openings are between the lids in widths of the eye, and
    between the lips in distances between the outer corners of the eyes. `brow_raise`, `smile` and `closed` (both eyes)
    are 0..1 as a network sees them. `blinks` counts those since the face came. What is `uncertain` is of a face that is
    too small or too far turned away.
    """

    roll: float
    pitch: float
    yaw: float
    gaze_pitch: float
    gaze_yaw: float
    right_eye: float
    left_eye: float
    mouth: float
    brow_raise: float
    smile: float
    closed: float
    blinks: int
    uncertain: bool


class Face(Payload):
    """One face in a frame: who (`id`, stable while the face is followed), where, and a crop to classify."""

    raw = True

    id: int
    box: tuple[float, float, float, float]  # left, top, width, height
    score: float  # the detector's, 0..1
    quality: float  # 0..1: how far the crop can be trusted (size, sharpness, pose)
    crop: NDArray[np.uint8]  # [48, 48], framed as FER2013's are
    mouth: float | None = None  # how fast it opens and closes (`models.face_detection.mouth`); none if unknown
    picture: NDArray[np.uint8] | None = None  # the same in RGB, [side, side, 3], where `picture` asks for it
    geometry: FaceGeometry | msgspec.UnsetType = msgspec.UNSET  # by the stage `face-geometry`, where it saw the face


class Faces(Payload):
    """All faces of one frame; an empty list says that there is none."""

    raw = True

    faces: list[Face]


class FaceEmotion(Payload):
    """What one face expresses: a distribution over the labels of `FaceEmotions`; the rest as in `Face`."""

    id: int
    box: tuple[float, float, float, float]
    score: float
    quality: float
    probabilities: list[float]
    mouth: float | None = None
    geometry: FaceGeometry | msgspec.UnsetType = msgspec.UNSET


class FaceEmotions(Payload):
    """All faces of one frame, each with its distribution: calibrated, over `emopipe.models.labels.FACE`.

    A model of another maker names its `labels`, also where they are these; of its calibration nothing is known.
    """

    faces: list[FaceEmotion]
    labels: list[str] = []  # noqa: RUF012


class Marker(Payload):
    """Something that happened, as another program says it: the stimulus of an experiment, the press of a key.

    `sender` is where it came from, and `sent` the time that was given to it there, in s of the sender's own clock.
    """

    value: str
    sender: str
    sent: float


class SpeechWindow(Payload):
    """One window of speech, as MFCC and as sound; the message's pts is the window's end on the hop grid.

    `start` and `end` are the true span in ns of running time (at the end of a recording `end` may lie before
    the grid), `mfcc` is float32 [frames, 40], `audio` 16 kHz mono float32 [samples] in -1..1, `voiced` the fraction of
    the window that held speech, and `level` its root mean square in dB relative to full scale. `envelope` says how loud
    the newest hop was, step by step up to `end` (float32 [steps], `emopipe.models.envelope`).
    """

    raw = True

    start: int
    end: int
    mfcc: NDArray[np.float32]
    audio: NDArray[np.float32]
    voiced: float
    level: float
    envelope: NDArray[np.float32] = msgspec.field(default_factory=lambda: np.empty(0, np.float32))


class SpeechEmotion(Payload):
    """What the voice expresses in one window: a calibrated distribution over `emopipe.models.labels.SPEECH`.

    `timbre` is how the window sounds, float32 [120] (`emopipe.models.fusion.model.timbre`), and `envelope` as in
    `SpeechWindow`; each is empty where nobody knows. `labels` as in `FaceEmotions`.
    """

    start: int
    end: int
    voiced: float
    level: float
    probabilities: list[float]
    timbre: NDArray[np.float32] = msgspec.field(default_factory=lambda: np.empty(0, np.float32))
    envelope: NDArray[np.float32] = msgspec.field(default_factory=lambda: np.empty(0, np.float32))
    labels: list[str] = []  # noqa: RUF012


class Modality(Payload):
    """One modality's part in a result, in the labels both share (`emopipe.models.labels.FACE`), or in labels of its own
    where its model knows others: it is not fused with the other modality then.

    `weight` is its part in the fused distribution, 0..1: in the pool its share; of a trained network, how far the
    distribution would move without it (total variation), as a share of how far it would without either. `age` is how
    much older than the result it is, in ns. `uncertain` says that by itself it would be: its highest probability lies
    below the threshold of its own model for the risk that the fusion's settings allow.
    """

    probabilities: dict[str, float]
    weight: float
    age: int
    uncertain: bool


class Voice(Modality):
    """The voice's part, with the window it came from (ns of running time)."""

    start: int
    end: int


class PersonEmotion(Payload):
    """What one face, with the voice where there is one, expresses.

    `emotion` is the most probable label of the fused and smoothed `probabilities`, `confidence` its probability, and
    `uncertain` says that it lies below the threshold for the risk that the fusion's settings allow. `speaking` is the
    probability that the voice is this face's, and 0 where there is no voice; what the faces' add up to less than 1 is
    that of somebody who is not in view. `geometry` is there where a stage `face-geometry` saw the face.
    """

    id: int
    box: tuple[float, float, float, float]
    emotion: str
    confidence: float
    probabilities: dict[str, float]
    face: Modality
    uncertain: bool = False
    speaking: float = 0.0
    geometry: FaceGeometry | msgspec.UnsetType = msgspec.UNSET


class VoiceEmotion(Payload):
    """What the voice alone expresses, when no face is in view; fields as in `PersonEmotion`."""

    emotion: str
    confidence: float
    probabilities: dict[str, float]
    uncertain: bool = False


class Emotions(Payload):
    """The result at one moment: of a frame (`source` is `face`), or of a window of speech while no face is in view
    (`source` is `voice`).

    `faces` is empty where no face was found. `voice` is the newest speech window not older than the fusion's
    `hold`, and none where nobody spoke. `forced` says that a live deadline passed before everything was known.
    """

    source: str
    faces: list[PersonEmotion]
    voice: Voice | None
    alone: VoiceEmotion | None
    forced: bool
