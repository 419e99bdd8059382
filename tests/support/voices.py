"""Sounds for tests: something the voice detector takes for speech, silence, and files of RAVDESS made of them."""

from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
RATE = 16000


def voice(seconds: float, pitch: float = 120.0, level: float = 0.1) -> Floats:
    """A vowel: the harmonics of a pitch under three formants, with syllables of a quarter of a second."""
    t = np.arange(round(seconds * RATE)) / RATE
    sound = np.zeros_like(t)
    for harmonic in range(1, int(3800 / pitch)):
        frequency = harmonic * pitch
        strength = sum(np.exp(-(((frequency - formant) / 150) ** 2)) for formant in (600, 1200, 2600))
        sound += (strength + 0.02) * np.sin(2 * np.pi * frequency * t)
    syllables = 0.6 + 0.4 * np.sin(2 * np.pi * 4 * t)
    return (level * sound * syllables / np.abs(sound).max()).astype(np.float32)


def silence(seconds: float, seed: int = 0) -> Floats:
    """The hiss of a quiet room, 70 dB below full scale."""
    noise = np.random.default_rng(seed).normal(0, 3e-4, round(seconds * RATE))
    return noise.astype(np.float32)


def write(path: Path, samples: Floats, rate: int = RATE, channels: int = 1) -> None:
    """Write a wav file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    layout = "mono" if channels == 1 else "stereo"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=rate, layout=layout)
        pcm = np.repeat((samples * 32767).astype(np.int16), channels)[None]
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout=layout)
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def ravdess(folder: Path, actors: tuple[int, ...], emotions: tuple[int, ...] = tuple(range(1, 9))) -> Path:
    """A small RAVDESS: one clip an actor and emotion, each emotion with a pitch of its own."""
    for actor in actors:
        for emotion in emotions:
            sound = np.concatenate([silence(0.5, actor), voice(0.8, 90 + 25 * emotion), silence(0.5, emotion)])
            write(folder / f"Actor_{actor:02d}" / f"03-01-{emotion:02d}-01-01-01-{actor:02d}.wav", sound)
    return folder
