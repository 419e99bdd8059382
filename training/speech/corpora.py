"""Corpora of emotional speech: their sounds, as clips with features, read once and kept.

One path holds one corpus or several, in a folder or a zip; `emopipe.training.speech.layouts` says how each is known by
its file names. Several paths make one corpus together. Speakers belong to their corpus, so two halves of one corpus
share theirs, and no fold ever tests somebody who was trained on.
"""

import contextlib
import hashlib
import io
import logging
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from emopipe.models.speech.embedding import Embedder
from emopipe.models.speech.features import Floats, MfccSpec, mfcc
from emopipe.models.speech.windower import SpeechWindower, Window
from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.errors import DataError
from emopipe.training.speech import cache as kept
from emopipe.training.speech import non_voices
from emopipe.training.speech.clips import Clip, Corpus, Halves, Name
from emopipe.training.speech.degradation import degrade
from emopipe.training.speech.layouts import LAYOUTS, NoClass, NotSpeech, parse

logger = logging.getLogger(__name__)

_SOUNDS = (".wav", ".flac")
_COPY = "the same clip as "
_BABBLERS = 20  # clips of each path that babble
_DEGRADED_EVERY = 6
"""Of one clip in six it is learnt what mishaps change: what they do is alike for all."""


def read(
    data: Path | Sequence[Path],
    spec: MfccSpec | None = None,
    speeds: Sequence[float] = (1.0,),
    cache: Path = Path(".cache"),
    embedder: Embedder | None = None,
) -> dict[float, Corpus]:
    """Read all clips under `data` (folders or zips), once for each playing speed.

    A sound that cannot be used is skipped, named in the log, and kept in `Corpus.skipped`. What was computed is kept
    in `cache`, by the checksums of the sounds and the settings of the features.

    Args:
        data: one path or several.
        spec: of the MFCC.
        speeds: how fast the clips are played.
        cache: a folder.
        embedder: makes the clips' vectors, at the speed 1; without one they are empty.

    Raises:
        DataError: a path is missing, is a damaged zip, holds no corpus that is known, or nothing but another path's
            clips.
    """
    spec, paths = spec or MfccSpec(), [data] if isinstance(data, Path) else list(data)
    key = kept.fingerprint(
        [(path, _checksum(content)) for root in paths for path, content in _sounds(root)],
        spec,
        embedder.fingerprint if embedder else "",
    )
    found = kept.load(cache, key, speeds)
    if found is None:
        found = _read(paths, spec, speeds, embedder)
        kept.keep(cache, key, found)
    _tell(next(iter(found.values())))
    return found


def read_non_voices(data: Path | Sequence[Path], embedder: Embedder, each: int, seed: int) -> Halves:
    """Vectors [M, D] of sounds that are no voice (`emopipe.training.speech.non_voices`), babble of the data's clips
    among them."""
    paths = [data] if isinstance(data, Path) else list(data)
    voices: list[Floats] = []
    for root in paths:
        sounds = [content for _, content in _sounds(root) if not isinstance(content, Exception)]
        for content in sounds[:: max(1, len(sounds) // _BABBLERS)]:
            with contextlib.suppress(DataError):
                voices.append(decode(content))
    return non_voices.vectors(embedder, voices, each, seed).astype(np.float16)


def _read(
    paths: Sequence[Path], spec: MfccSpec, speeds: Sequence[float], embedder: Embedder | None
) -> dict[float, Corpus]:
    clips: dict[float, list[Clip]] = {speed: [] for speed in speeds}
    skipped: dict[str, str] = {}
    seen: dict[tuple[str, str, str], str] = {}
    digest = hashlib.sha256()
    for root in paths:
        reasons: dict[str, str] = {}
        before = len(seen)
        for path, content in _sounds(root):
            try:
                if isinstance(content, Exception):
                    raise DataError(f"damaged archive member ({content})")
                name = parse(path)
                if (twin := seen.get(key := (name.corpus, name.speaker, name.stem))) is not None:
                    raise DataError(f"{_COPY}{twin}")
                samples = decode(content)
                random = np.random.default_rng(len(seen)) if len(seen) % _DEGRADED_EVERY == 0 else None
                clip = _clip(name, samples, spec, embedder, random)
                versions = {speed: _at_speed(clip, content, speed, spec) if speed != 1 else clip for speed in speeds}
            except DataError as error:
                reasons[path] = str(error)
                continue
            seen[key] = path
            digest.update(PurePosixPath(path).name.encode() + hashlib.sha256(content).digest())
            for speed, clip in versions.items():
                clips[speed].append(clip)
        if len(seen) == before:
            raise _empty(root, reasons)
        skipped |= {path if len(paths) == 1 else f"{root.name}/{path}": reason for path, reason in reasons.items()}
    for found in clips.values():
        found.sort(key=lambda clip: (clip.name.corpus, clip.name.stem))
    return {speed: Corpus(found, skipped, digest.hexdigest()) for speed, found in clips.items()}


def _empty(data: Path, skipped: dict[str, str]) -> DataError:
    """Why nothing in `data` is of use."""
    if skipped and all(reason.startswith(_COPY) for reason in skipped.values()):
        return DataError(f"{data}: all of its {len(skipped)} clips are in the data before it; give each corpus once")
    reasons = "; ".join(f"{path}: {reason}" for path, reason in list(skipped.items())[:3])
    known = ", ".join(f"{layout.title} ({layout.example})" for layout in LAYOUTS)
    return DataError(
        f"{data}: no emotional speech of a known corpus in it ({len(skipped)} sounds skipped"
        f"{': ' if reasons else ''}{reasons}); expected files named as in {known}"
    )


def _tell(corpus: Corpus) -> None:
    """Name what was skipped, but count what only does not belong here (songs, films, emotions without a class)."""
    others = Counter[str]()
    for path, reason in corpus.skipped.items():
        kind = next((kind for kind in (NotSpeech.REASON, NoClass.REASON) if reason.endswith(kind)), None)
        if kind is None:
            logger.warning("%s: skipped: %s", path, reason)
        else:
            others[reason] += 1
    for reason, count in others.items():
        logger.warning("%d clips left out: %s", count, reason)
    if corpus.skipped:
        total = len(corpus.skipped) + len(corpus.clips)
        logger.warning("%d of %d sounds skipped", len(corpus.skipped), total)


def _checksum(content: bytes | Exception) -> str:
    return str(content) if isinstance(content, Exception) else hashlib.sha256(content).hexdigest()


def decode(content: bytes, speed: float = 1.0) -> Floats:
    """Decode a sound to mono float32 at 16 kHz, as capture does: libswresample through PyAV, in 16 bits.

    With a `speed` above 1 it plays faster and higher, as from a tape: a speaker who is not in the data.

    Raises:
        DataError: the sound is damaged, or holds nothing but zeros.
    """
    import av

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


def _clip(
    name: Name, samples: Floats, spec: MfccSpec, embedder: Embedder | None, random: np.random.Generator | None
) -> Clip:
    """A clip, with vectors if there is an embedder, and with one of it degraded if there is `random`."""
    windower = SpeechWindower(spec=spec)
    events = windower.push(samples, 0) + windower.flush()
    windows = [event for event in events if isinstance(event, Window)]
    hop = spec.hop * SECOND // spec.sample_rate
    spans = [(window.start // hop, window.start // hop + len(window.mfcc)) for window in windows]
    frames = _frames(samples, spec)
    clip = Clip(name, frames, spans, (spans[0][0], spans[-1][1]) if spans else (0, len(frames)))
    if embedder is not None:
        ends = [time * spec.sample_rate // SECOND for time in (windows[0].start, windows[-1].end)] if windows else []
        speech = samples[slice(*ends)] if ends else samples
        clip.vectors = np.stack([embedder(each) for each in (speech, *(window.audio for window in windows))])
        clip.vectors = clip.vectors.astype(np.float16)
        if random is not None:
            clip.degraded = embedder(degrade(speech, random)).astype(np.float16)
    return clip


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
        raise DataError(f"{data}: no such file or folder; expected a folder or zip of emotional speech")


def _sorted_sounds(names: Iterable[str]) -> list[str]:
    sounds = (PurePosixPath(name) for name in names if PurePosixPath(name).suffix.lower() in _SOUNDS)
    return [str(path) for path in sorted(sounds, key=lambda path: (path.name, path))]
