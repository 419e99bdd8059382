"""RAVDESS speech: its file names, its sounds, and folds that never share an actor.

Livingstone & Russo (2018), The Ryerson Audio-Visual Database of Emotional Speech and Song, PLOS ONE 13(5).
A clip is recognised by its name alone, `03-01-EE-II-SS-RR-AA.wav` or `.flac`, in any folder or a zip.
"""

import hashlib
import io
import logging
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import av
import numpy as np
import numpy.typing as npt

from emopipe.models.speech.features import Floats, MfccSpec, mfcc
from emopipe.models.speech.windower import SpeechWindower, Window
from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.errors import DataError
from emopipe.training.speech import cache as corpora
from emopipe.training.speech.clips import Clip, Corpus, Name

__all__ = ["FOLDS", "Clip", "Corpus", "Name", "decode", "folds", "parse_name", "read"]

logger = logging.getLogger(__name__)

FOLDS = ((2, 5, 14, 15, 16), (3, 6, 7, 13, 18), (10, 11, 12, 19, 20), (8, 17, 21, 23, 24), (1, 4, 9, 22))
"""The actors of each test fold, as in Luna-Jiménez et al. (2021), Sensors 21(22):7665: balanced, never shared."""

_NOT_SPEECH = "not speech alone (expected a name that starts with 03-01)"
_SOUNDS = (".wav", ".flac")
_NAME = re.compile(r"(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)")
_RANGES = {"modality": 3, "channel": 2, "emotion": 8, "intensity": 2, "statement": 2, "repetition": 2, "actor": 24}


def parse_name(stem: str) -> Name:
    """Read a file name without its ending.

    Raises:
        DataError: it is not a RAVDESS name, or a code in it does not exist.
    """
    match = _NAME.fullmatch(stem)
    if match is None:
        raise DataError("not a RAVDESS file name (expected seven two-digit codes such as 03-01-05-02-01-01-12)")
    codes = [int(code) for code in match.groups()]
    for (field, highest), code in zip(_RANGES.items(), codes, strict=True):
        if not 1 <= code <= highest:
            raise DataError(f"{field} {code:02d} does not exist (expected 01 to {highest:02d})")
    return Name(*codes)


def folds(actors: Sequence[int]) -> list[tuple[int, ...]]:
    """The test actors of each usual fold that has any among `actors`.

    Raises:
        DataError: fewer than two folds are left, so that nobody unseen could be tested on.
    """
    present = [tuple(actor for actor in fold if actor in actors) for fold in FOLDS]
    present = [fold for fold in present if fold]
    if len(present) < 2:
        raise DataError(
            f"only actors {', '.join(map(str, actors))}: at least two of the five folds of actors are needed "
            "to test on people who were not trained on; get the whole of RAVDESS speech"
        )
    return present


def read(
    data: Path, spec: MfccSpec | None = None, speeds: Sequence[float] = (1.0,), cache: Path = Path(".cache")
) -> dict[float, Corpus]:
    """Read all clips under `data` (a folder or a zip), once for each playing speed.

    A sound that cannot be used is skipped, named in the log, and kept in `Corpus.skipped`. What was computed is kept
    in `cache`, by the checksums of the sounds and the settings of the features.

    Raises:
        DataError: `data` is missing, is a damaged zip, or holds no RAVDESS speech.
    """
    spec = spec or MfccSpec()
    key = corpora.fingerprint([(path, _checksum(content)) for path, content in _sounds(data)], spec)
    found = corpora.load(cache, key, speeds)
    if found is None:
        found = _read(data, spec, speeds)
        corpora.keep(cache, key, found)
    _tell(data, next(iter(found.values())))
    return found


def _read(data: Path, spec: MfccSpec, speeds: Sequence[float]) -> dict[float, Corpus]:
    clips: dict[float, list[Clip]] = {speed: [] for speed in speeds}
    skipped: dict[str, str] = {}
    seen: dict[Name, str] = {}
    digest = hashlib.sha256()
    for path, content in _sounds(data):
        try:
            if isinstance(content, Exception):
                raise DataError(f"damaged archive member ({content})")
            name = parse_name(PurePosixPath(path).stem)
            if name.modality != 3 or name.channel != 1:
                raise DataError(_NOT_SPEECH)
            if name in seen:
                raise DataError(f"the same clip as {seen[name]}")
            clip = _clip(name, decode(content), spec)
            versions = {speed: _at_speed(clip, content, speed, spec) if speed != 1 else clip for speed in speeds}
        except DataError as error:
            skipped[path] = str(error)
            continue
        seen[name] = path
        digest.update(PurePosixPath(path).name.encode() + hashlib.sha256(content).digest())
        for speed, clip in versions.items():
            clips[speed].append(clip)
    if not seen:
        reasons = "; ".join(f"{path}: {reason}" for path, reason in list(skipped.items())[:3])
        raise DataError(
            f"{data}: no RAVDESS speech in it ({len(skipped)} sounds skipped{': ' if reasons else ''}{reasons}); "
            "expected files such as Actor_01/03-01-05-02-01-01-01.wav, as in Audio_Speech_Actors_01-24.zip"
        )
    return {speed: Corpus(found, skipped, digest.hexdigest()) for speed, found in clips.items()}


def _tell(data: Path, corpus: Corpus) -> None:
    """Name what was skipped, but count what only does not belong here (songs, films)."""
    others = sum(reason == _NOT_SPEECH for reason in corpus.skipped.values())
    for path, reason in corpus.skipped.items():
        if reason != _NOT_SPEECH:
            logger.warning("%s: skipped: %s", path, reason)
    if others:
        logger.warning("%s: %d recordings are songs or films; left out: %s", data, others, _NOT_SPEECH)
    if corpus.skipped:
        total = len(corpus.skipped) + len(corpus.clips)
        logger.warning("%s: %d of %d sounds skipped", data, len(corpus.skipped), total)


def _checksum(content: bytes | Exception) -> str:
    return str(content) if isinstance(content, Exception) else hashlib.sha256(content).hexdigest()


def decode(content: bytes, speed: float = 1.0) -> Floats:
    """Decode a sound to mono float32 at 16 kHz, as capture does: libswresample through PyAV, in 16 bits.

    With a `speed` above 1 it plays faster and higher, as from a tape: a speaker who is not in the data.

    Raises:
        DataError: the sound is damaged, or holds nothing but zeros.
    """
    rate = round(16000 / speed)
    blocks: list[npt.NDArray[np.int16]] = []
    try:
        with av.open(io.BytesIO(content), "r") as container:
            if not container.streams.audio:
                raise DataError("no sound in it")
            resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
            for frame in container.decode(audio=0):
                blocks += [block.to_ndarray()[0] for block in resampler.resample(frame)]
            blocks += [block.to_ndarray()[0] for block in resampler.resample(None)]
    except av.error.FFmpegError as error:
        raise DataError(f"damaged sound ({error.strerror})") from None
    samples = np.concatenate(blocks) if blocks else np.empty(0, np.int16)
    if not samples.any():
        raise DataError("silent: every sample is zero")
    return samples.astype(np.float32) / np.float32(32768)


def _clip(name: Name, samples: Floats, spec: MfccSpec) -> Clip:
    windower = SpeechWindower(spec=spec)
    events = windower.push(samples, 0) + windower.flush()
    frame = spec.hop * SECOND // spec.sample_rate
    windows = [
        (event.start // frame, event.start // frame + len(event.mfcc)) for event in events if isinstance(event, Window)
    ]
    frames = _frames(samples, spec)
    return Clip(name, frames, windows, (windows[0][0], windows[-1][1]) if windows else (0, len(frames)))


def _at_speed(clip: Clip, content: bytes, speed: float, spec: MfccSpec) -> Clip:
    """The same clip, played at `speed`; it has no windows, since it is there to train on."""
    frames = _frames(decode(content, speed), spec)
    first, end = (min(round(frame / speed), len(frames)) for frame in clip.speech)
    return Clip(clip.name, frames, [], (min(first, len(frames) - 1), end))


def _frames(samples: Floats, spec: MfccSpec) -> Floats:
    frames = mfcc(samples, spec)
    if not len(frames):
        raise DataError(f"too short: {len(samples)} samples at 16 kHz (expected at least {spec.window})")
    return frames


def _sounds(data: Path) -> Iterator[tuple[str, bytes | Exception]]:
    """Path inside `data` and content of each sound, in the order of the file names."""
    if data.is_dir():
        files = {str(path.relative_to(data)): path for path in data.rglob("*") if path.is_file()}
        for name in _sorted_sounds(files):
            yield name, files[name].read_bytes()
    elif data.is_file():
        try:
            archive = zipfile.ZipFile(data)
        except zipfile.BadZipFile as error:
            raise DataError(f"{data}: not a whole zip ({error}); download it again") from None
        with archive:
            for name in _sorted_sounds(archive.namelist()):
                try:
                    content: bytes | Exception = archive.read(name)
                except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError) as error:
                    content = error
                yield name, content
    else:
        raise DataError(f"{data}: no such file or folder; expected a folder or zip of RAVDESS speech")


def _sorted_sounds(names: Iterable[str]) -> list[str]:
    sounds = (PurePosixPath(name) for name in names if PurePosixPath(name).suffix.lower() in _SOUNDS)
    return [str(path) for path in sorted(sounds, key=lambda path: (path.name, path))]
