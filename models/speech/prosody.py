"""How a stretch of speech is said, in numbers: pitch, loudness, rhythm, and the voice's colour, as functionals.

The classic description of an expressive voice (Eyben et al. 2016, The Geneva minimalistic acoustic parameter set),
worked out with NumPy. Loudness is relative to the stretch itself: how far away a microphone stands says nothing.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emopipe.models.speech.features import Floats, power_spectra, row_products

SAMPLE_RATE = 16000
HOP = 160  # samples from one frame to the next
_LONG = 640  # samples of a frame in which pitch and loudness are measured
_SHORT = 400  # … and the spectrum, in its middle
_FFT = 512
_LAGS = 16, 133  # of the autocorrelation at 8 kHz: 500 to 60 Hz
_VOICED = 0.5  # of the normalised autocorrelation
_LOUD_DB = 35.0  # below its loudest frames a stretch is silent
_MELS, _CEPSTRA = 40, 20
FUNCTIONALS = 129

Matrix = NDArray[np.floating]


def _hann(size: int) -> Floats:
    window: Floats = np.hanning(size + 2)[1:-1].astype(np.float32)
    return window


def _mel_filters() -> Floats:
    """Triangles on the mel scale from 60 to 7,600 Hz, [mels, bins]."""
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (60, 7600))
    edges = 700 * (10 ** (np.linspace(low, high, _MELS + 2) / 2595) - 1)
    rising = (_HERTZ - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - _HERTZ) / np.diff(edges)[1:, None]
    filters: Floats = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    return filters


_HERTZ = np.arange(_FFT // 2 + 1) * SAMPLE_RATE / _FFT
_FILTERS = _mel_filters()
_DCT = np.sqrt(2 / _MELS) * np.cos(np.pi / _MELS * np.outer(np.arange(_CEPSTRA), np.arange(_MELS) + 0.5))
_DCT = _DCT.astype(np.float32)
_SPECTRUM_WINDOW, _PITCH_WINDOW = _hann(_SHORT), _hann(_LONG // 2)


def _autocorrelation(frames: Floats) -> Matrix:
    result: Matrix = np.fft.irfft(power_spectra(frames, _FFT), _FFT)[..., : _LAGS[1] + 2]
    return result


_OF_WINDOW = _autocorrelation(_PITCH_WINDOW)
_OF_WINDOW = (_OF_WINDOW / _OF_WINDOW[0]).astype(np.float32)


def pitch(samples: Floats, frames: int) -> tuple[Matrix, Matrix]:
    """Semitones above 100 Hz, and how periodic the sound is (0..1), of each frame of 40 ms.

    The highest peak of the autocorrelation, divided by that of the window (Boersma 1993, Accurate short-term analysis
    of the fundamental frequency), at 8 kHz; higher pitches are preferred a little, against octaves too low.
    """
    low, high = _LAGS
    even = samples[: len(samples) // 2 * 2]
    half = (even[::2] + even[1::2]) / 2
    cut = np.lib.stride_tricks.sliding_window_view(half, _LONG // 2)[:: HOP // 2][:frames]
    correlation = _autocorrelation((cut - cut.mean(1, keepdims=True)) * _PITCH_WINDOW)
    correlation = correlation / (correlation[:, :1] + 1e-9) / _OF_WINDOW
    near = correlation[:, low:high]
    peaks = (near[:, 1:-1] >= near[:, :-2]) & (near[:, 1:-1] > near[:, 2:])
    cost = 0.01 * np.log2(np.arange(low + 1, high - 1) / low)
    lag = np.where(peaks, near[:, 1:-1] - cost, -1).argmax(1) + low + 1
    row = np.arange(frames)
    before, at, after = correlation[row, lag - 1], correlation[row, lag], correlation[row, lag + 1]
    between = np.clip((before - after) / (2 * (before - 2 * at + after) - 1e-9), -0.5, 0.5)
    return 12 * np.log2(SAMPLE_RATE / 2 / (lag + between) / 100), np.clip(at, 0, 1)


def functionals(samples: Floats) -> Floats:
    """Mono sound float32 [n] in -1..1 at 16 kHz -> float32 [129]; zeros stand for what is not there."""
    if len(samples) < 2 * _SHORT:
        samples = np.pad(samples, (0, 2 * _SHORT - len(samples)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, _LONG)[::HOP]
    margin = (_LONG - _SHORT) // 2
    power = power_spectra(frames[:, margin : margin + _SHORT] * _SPECTRUM_WINDOW, _FFT) + np.float32(1e-10)
    semitones, periodic = pitch(samples, len(frames))
    level = 10 * np.log10(frames.var(1) + 1e-10)
    top = np.percentile(level, 95)
    loud = level > top - _LOUD_DB
    voiced = (periodic > _VOICED) & loud
    if voiced.sum() > 3:  # a pitch more than an octave from the others is none
        voiced &= np.abs(semitones - np.median(semitones[voiced])) < 14
    logs = np.log(row_products(power, _FILTERS) + np.float32(1e-8))
    parts: list[ArrayLike] = [
        _pitch_functionals(semitones, voiced),
        [voiced.mean(), _mean(periodic[loud]), _mean(periodic[voiced]), _deviation(periodic[voiced])],
        _level_functionals(level - top, loud),
        _rhythm(voiced, level, top),
        _colour(power, logs, voiced, loud),
        _cepstra(row_products(logs, _DCT), voiced, loud),
    ]
    return np.nan_to_num(np.concatenate([np.asarray(part) for part in parts]).astype(np.float32))


def _mean(values: Matrix) -> float:
    return float(values.mean()) if len(values) else 0.0


def _deviation(values: Matrix) -> float:
    return float(values.std()) if len(values) else 0.0


def _distribution(values: Matrix) -> list[float]:
    """Mean, deviation, three percentiles and the range between them."""
    if not len(values):
        return [0.0] * 6
    low, middle, high = np.percentile(values, [10, 50, 90])
    return [_mean(values), _deviation(values), low, middle, high, high - low]


def _pitch_functionals(semitones: Matrix, voiced: NDArray[np.bool_]) -> list[float]:
    heard = semitones[voiced]
    steps = np.diff(semitones)[voiced[1:] & voiced[:-1]]
    steps = steps[np.abs(steps) < 3]
    trend = [0.0, 0.0, 0.0]
    if len(heard) > 6:
        places = np.flatnonzero(voiced)
        times = (places - places.mean()) / 100
        part = max(1, len(heard) // 4)
        slope = float((times * (heard - heard.mean())).sum() / (times**2).sum())
        trend = [slope, _mean(heard[-part:]) - _mean(heard), _mean(heard[:part]) - _mean(heard)]
    return [*_distribution(heard), _mean(np.abs(steps)), _mean(steps), _deviation(steps), *trend]


def _level_functionals(relative: Matrix, loud: NDArray[np.bool_]) -> list[float]:
    steps = np.diff(relative)
    ends = [steps.max(), steps.min()] if len(steps) else [0.0, 0.0]
    return [*_distribution(relative[loud]), _mean(np.abs(steps)), _deviation(steps), *ends, loud.mean()]


def _rhythm(voiced: NDArray[np.bool_], level: Matrix, top: float) -> list[float]:
    """Voiced stretches and gaps, and peaks of loudness (syllables), a second."""
    seconds = len(level) / 100
    edges = np.flatnonzero(np.diff(np.concatenate([[0], voiced.astype(int), [0]])))
    lengths, gaps = (edges[1::2] - edges[::2]) / 100, (edges[2::2] - edges[1:-1:2]) / 100
    smooth = np.convolve(level, np.ones(7) / 7, "same")
    peaks = (smooth[1:-1] > smooth[:-2]) & (smooth[1:-1] >= smooth[2:]) & (smooth[1:-1] > top - 20)
    longest = [values.max() if len(values) else 0.0 for values in (lengths, gaps)]
    return [len(lengths) / seconds, _mean(lengths), longest[0], _mean(gaps), longest[1], peaks.sum() / seconds]


def _colour(power: Matrix, logs: Matrix, voiced: NDArray[np.bool_], loud: NDArray[np.bool_]) -> list[float]:
    """Where the energy lies in the spectrum: the voice's effort and breath."""
    total = power.sum(1)
    low = power[:, (_HERTZ >= 50) & (_HERTZ < 1000)].sum(1)
    middle = power[:, (_HERTZ >= 1000) & (_HERTZ < 5000)]
    below, above = power[:, _HERTZ < 2000], power[:, (_HERTZ >= 2000) & (_HERTZ < 5000)]
    centroid = (power * _HERTZ).sum(1) / total / 1000
    high = 10 * np.log10(power[:, _HERTZ >= 4000].sum(1) / total + 1e-6)
    tracks = [
        10 * np.log10(middle.sum(1) / low + 1e-6),
        10 * np.log10(below.max(1) / above.max(1) + 1e-6),
        centroid,
        high,
        np.log(np.exp(np.log(power).mean(1)) / power.mean(1) + 1e-6),
    ]
    chosen = voiced if voiced.sum() > 3 else loud
    result = [value for track in tracks for value in (_mean(track[chosen]), _deviation(track[chosen]))]
    breath = loud & ~voiced
    result += [_mean(track[breath]) if breath.sum() > 2 else 0.0 for track in (centroid, high)]
    change = np.sqrt((np.diff(logs, axis=0) ** 2).mean(1))
    return [*result, _mean(change), _deviation(change)]


def _cepstra(cepstra: Matrix, voiced: NDArray[np.bool_], loud: NDArray[np.bool_]) -> Matrix:
    padded = np.pad(cepstra, ((2, 2), (0, 0)), mode="edge")
    change = (2 * (padded[4:] - padded[:-4]) + (padded[3:-1] - padded[1:-3])) / 10
    heard = loud if loud.sum() > 3 else np.ones_like(loud)
    spoken = cepstra[voiced if voiced.sum() > 3 else loud][:, 1:13]
    parts = [cepstra[heard][:, 1:].mean(0), cepstra[heard][:, 1:].std(0), change[heard].std(0)]
    return np.concatenate([*parts, spoken.mean(0), spoken.std(0)])
