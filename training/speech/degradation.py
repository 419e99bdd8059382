"""What rooms, microphones, telephones and noise do to a clip, at random: what a classifier must not listen to."""

import numpy as np
from numpy.typing import NDArray

from emopipe.models.speech.features import Floats

Sound = NDArray[np.float64]

_RATE_HZ = 16000
_KNOTS_HZ = (60, 150, 400, 1000, 2500, 5000, 8000)


def degrade(samples: Floats, random: np.random.Generator) -> Floats:
    """The same speech, a little faster or slower, coloured, mostly in noise, often in a room or over a telephone.

    Half of the clips are cut to 0.8 to 3 s, as the windows of a stream are.
    """
    if random.random() < 0.5:
        length = int(random.uniform(0.8, 3.0) * _RATE_HZ)
        start = int(random.integers(0, max(1, len(samples) - length)))
        samples = samples[start : start + length]
    speed = np.exp(random.uniform(-0.16, 0.16))
    sound = np.interp(np.arange(int(len(samples) / speed)) * speed, np.arange(len(samples)), samples)
    sound = _coloured(sound, random)
    if random.random() < 0.4:
        sound = _in_a_room(sound, random)
    if random.random() < 0.6:
        sound = _in_noise(sound, random)
    result: Floats = (sound / (np.abs(sound).max() + 1e-9) * 10 ** (-random.uniform(1, 25) / 20)).astype(np.float32)
    return result


def _coloured(sound: Sound, random: np.random.Generator) -> Sound:
    """A random equaliser of some dB; in three of ten clips with the band of a telephone or a small loudspeaker."""
    hertz = np.fft.rfftfreq(len(sound), 1 / _RATE_HZ)
    octaves = np.log2(_KNOTS_HZ)
    decibel = random.normal(0, 4, len(octaves)) + random.normal(0, 3) * (octaves - octaves.mean()) / 2
    gain = 10 ** (np.interp(np.log2(np.maximum(hertz, 1)), octaves, decibel) / 20)
    if random.random() < 0.3:
        low, high = random.uniform(80, 350), random.uniform(3000, 6500)
        gain /= (1 + (low / np.maximum(hertz, 1)) ** 6) * (1 + (hertz / high) ** 10)
    result: Sound = np.fft.irfft(np.fft.rfft(sound) * gain, len(sound))
    return result


def _in_a_room(sound: Sound, random: np.random.Generator) -> Sound:
    """Exponentially decaying noise as a room's answer, 0.05 to 0.4 s long."""
    seconds = random.uniform(0.05, 0.4)
    times = np.arange(int(seconds * _RATE_HZ)) / _RATE_HZ
    answer = random.normal(size=len(times)) * np.exp(-6.9 * times / seconds)
    size = len(sound) + len(answer)
    echo = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(answer, size), size)[: len(sound)]
    result: Sound = sound + random.uniform(0.1, 0.6) * echo / (echo.std() + 1e-9) * sound.std()
    return result


def _in_noise(sound: Sound, random: np.random.Generator) -> Sound:
    """Noise between white and pink, 8 to 35 dB below."""
    hertz = np.maximum(np.fft.rfftfreq(len(sound), 1 / _RATE_HZ), 20)
    spectrum = np.fft.rfft(random.normal(size=len(sound))) * hertz ** -random.uniform(0, 1)
    noise = np.fft.irfft(spectrum, len(sound))
    result: Sound = sound + noise / (noise.std() + 1e-9) * sound.std() * 10 ** (-random.uniform(8, 35) / 20)
    return result
