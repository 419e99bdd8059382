"""Sounds that are no voice, made by formulas: what the gate learns to turn away.

Sirens and alarms, engines and hum, noise and rain, typing and knocks, applause, music, calls of animals, telephones;
and many voices at once, of which none can be followed. They are rough likenesses, and enough: a gate that learned from
these alone lets no sampled instrument through (docs/models/speech.md).
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from emopipe.models.speech.embedding import Embedder
from emopipe.models.speech.features import Floats
from emopipe.models.speech.windower import SpeechWindower, Window

RATE_HZ = 16000
SECONDS = 5.0
_HIGHEST_HZ = 7800.0

Sound = NDArray[np.float64]
Random = np.random.Generator
Partials = list[tuple[int, float]]


def make(kind: str, random: Random, seconds: float = SECONDS) -> Floats:
    """One sound of a kind in `KINDS`, mono float32 at 16 kHz in -1..1, 1 to 30 dB below full scale."""
    count = int(seconds * RATE_HZ)
    sound = KINDS[kind](count, random)
    if random.random() < 0.3:
        sound = sound / (sound.std() + 1e-9) + random.uniform(0.02, 0.3) * _noise_of(
            count, random.uniform(0, 2), random
        )
    return _levelled(sound, random)


def babble(voices: Sequence[Floats], random: Random, seconds: float = SECONDS) -> Floats:
    """Six to twenty voices at once."""
    count = int(seconds * RATE_HZ)
    sound = np.zeros(count)
    for place in random.integers(len(voices), size=random.integers(6, 20)):
        voice = np.roll(np.resize(voices[place].astype(np.float64), count), random.integers(count))
        sound += voice / (voice.std() + 1e-6) * random.uniform(0.6, 1)
    return _levelled(sound, random)


def vectors(embedder: Embedder, voices: Sequence[Floats], each: int, seed: int) -> NDArray[np.float32]:
    """What the embedder makes of a window of each sound in which the voice detector hears speech, [M, D].

    There are `each` sounds of every kind, and twice as many of music and of babble.
    """
    random = np.random.default_rng(seed)
    sounds = [make(kind, random) for kind in KINDS for _ in range(each * (2 if kind == "music" else 1))]
    sounds += [babble(voices, random) for _ in range(2 * each)] if voices else []
    found = []
    for sound in sounds:
        windower = SpeechWindower()
        events = windower.push(sound, 0) + windower.flush()
        windows = [event for event in events if isinstance(event, Window)]
        if windows:
            found.append(embedder(windows[random.integers(len(windows))].audio))
    return np.stack(found)


def _levelled(sound: Sound, random: Random) -> Floats:
    level = 10 ** (-random.uniform(1, 30) / 20)
    result: Floats = (sound / (np.abs(sound).max() + 1e-9) * level).astype(np.float32)
    return result


def _times(count: int) -> Sound:
    return np.arange(count) / RATE_HZ


def _noise_of(count: int, slope: float, random: Random) -> Sound:
    """Noise whose power falls with frequency ** slope: 0 white, 1 pink, 2 brown."""
    hertz = np.fft.rfftfreq(count, 1 / RATE_HZ)
    hertz[0] = hertz[1]
    sound = np.fft.irfft(np.fft.rfft(random.normal(size=count)) * hertz ** (-slope / 2), count)
    result: Sound = sound / sound.std()
    return result


def _band(sound: Sound, low: float, high: float) -> Sound:
    hertz = np.fft.rfftfreq(len(sound), 1 / RATE_HZ)
    gain = 1 / (1 + (low / np.maximum(hertz, 1)) ** 8) / (1 + (hertz / high) ** 8)
    result: Sound = np.fft.irfft(np.fft.rfft(sound) * gain, len(sound))
    return result


def _drift(count: int, rate: float, random: Random) -> Sound:
    """A slow random course, some `rate` changes a second."""
    knots = random.normal(size=int(count / RATE_HZ * rate) + 3)
    return np.interp(np.linspace(0, len(knots) - 1.001, count), np.arange(len(knots)), knots)


def _tone(hertz: Sound | float, count: int, partials: Partials, random: Random, vibrato: float = 0.0) -> Sound:
    course = np.broadcast_to(hertz, count) * (1 + vibrato * np.sin(2 * np.pi * random.uniform(4, 7) * _times(count)))
    phase = 2 * np.pi * np.cumsum(course) / RATE_HZ
    highest = course.max()
    sound = np.zeros(count)
    for number, strength in partials:
        if highest * number < _HIGHEST_HZ:
            sound += strength * np.sin(number * phase + random.uniform(0, 2 * np.pi))
    return sound


def _partials(random: Random, count: int = 12) -> Partials:
    fall, hollow = random.uniform(0.5, 2), random.random() < 0.3
    strengths = [number**-fall * random.uniform(0.3, 1) for number in range(1, count + 1)]
    return [(n, s * (0.05 if hollow and n % 2 == 0 else 1)) for n, s in enumerate(strengths, 1)]


def _siren(count: int, random: Random) -> Sound:
    low, high = np.sort(random.uniform(350, 1800, 2))
    phase = (_times(count) * random.uniform(0.15, 5)) % 1
    course = (
        0.5 - 0.5 * np.cos(2 * np.pi * phase),
        (phase < 0.5).astype(float),
        phase,
        np.minimum(1, 1.3 * np.abs(2 * phase - 1)),
    )[random.integers(4)]
    span = max(high, 1.3 * low) - low
    return _tone(low + span * course, count, _partials(random, int(random.integers(1, 9))), random)


def _alarm(count: int, random: Random) -> Sound:
    times, hertz = _times(count), random.uniform(500, 3500)
    on = (times * random.uniform(1, 8)) % 1 < random.uniform(0.3, 0.8)
    course = np.where((times * random.uniform(0.5, 10)) % 1 < 0.5, hertz, hertz * random.uniform(0.7, 1.3))
    return _tone(course, count, _partials(random, 4), random) * on


def _engine(count: int, random: Random) -> Sound:
    turns = random.uniform(20, 160) * np.exp(0.25 * _drift(count, random.uniform(0.2, 1.5), random))
    fall = random.uniform(0.02, 0.15)
    sound = _tone(turns, count, [(n, random.uniform(0.1, 1) * np.exp(-n * fall)) for n in range(1, 40)], random)
    sound /= sound.std()
    return sound + random.uniform(0.05, 0.8) * _noise_of(count, random.uniform(0, 2), random)


def _hum(count: int, random: Random) -> Sound:
    hertz = random.choice([50, 60, 100, 120]) * random.uniform(0.9, 1.1)
    sound = _tone(hertz, count, [(n, random.uniform(0, 1) / n) for n in range(1, 25)], random)
    return sound + random.uniform(0, 0.5) * _noise_of(count, 1, random)


def _noise(count: int, random: Random) -> Sound:
    sound = _noise_of(count, random.uniform(-0.5, 2.2), random)
    if random.random() < 0.4:
        low = random.uniform(50, 2500)
        sound = _band(sound, low, low * random.uniform(1.3, 6))
    if random.random() < 0.5:
        sound = sound * np.exp(random.uniform(0.2, 1.2) * _drift(count, random.uniform(0.3, 6), random))
    return sound


def _strokes(count: int, random: Random, rate: float, stroke: Callable[[], Sound]) -> Sound:
    """Single sounds at random, `rate` a second."""
    sound, time = np.zeros(count + RATE_HZ), 0.0
    while True:
        time += random.exponential(1 / rate) + random.uniform(0, 0.04)
        start = int(time * RATE_HZ)
        if start >= count:
            return sound[:count]
        each = stroke()
        sound[start : start + len(each)] += each * random.uniform(0.3, 1)


def _ring(seconds: float, hertz: Sound, fade: float, random: Random) -> Sound:
    times = _times(int(seconds * RATE_HZ))
    waves = [np.sin(2 * np.pi * each * times + random.uniform(0, 6)) * random.uniform(0.3, 1) for each in hertz]
    result: Sound = np.sum(waves, axis=0) * np.exp(-times / fade)
    return result


def _thud(seconds: float, fade: float, random: Random) -> Sound:
    times = _times(int(seconds * RATE_HZ))
    return random.normal(size=len(times)) * np.exp(-times / fade)


def _typing(count: int, random: Random) -> Sound:
    keys, fade = random.uniform(800, 6000, 4), random.uniform(0.003, 0.02)

    def key() -> Sound:
        ring = _ring(0.08, keys * random.uniform(0.9, 1.1, 4), fade, random)
        return ring + random.uniform(0.3, 1.5) * _thud(0.08, fade, random)

    return _strokes(count, random, random.uniform(3, 12), key)


def _knocks(count: int, random: Random) -> Sound:
    wood, fade = random.uniform(60, 900, 4), random.uniform(0.02, 0.12)

    def knock() -> Sound:
        ring = _ring(0.4, wood * random.uniform(0.95, 1.05, 4), fade, random)
        return ring + random.uniform(0, 0.6) * _thud(0.4, 0.01, random)

    return _strokes(count, random, random.uniform(1, 6), knock)


def _applause(count: int, random: Random) -> Sound:
    def clap() -> Sound:
        return _band(
            _thud(0.05, random.uniform(0.003, 0.012), random), random.uniform(400, 900), random.uniform(1500, 4500)
        )

    return _strokes(count, random, random.uniform(25, 220), clap) + 0.02 * random.normal(size=count)


def _rain(count: int, random: Random) -> Sound:
    def drop() -> Sound:
        return _ring(0.02, random.uniform(1000, 7000, 1), random.uniform(0.002, 0.006), random)

    wash = _band(_noise_of(count, random.uniform(0, 1), random), 300, 7000)
    return _strokes(count, random, random.uniform(40, 300), drop) + random.uniform(0.1, 1) * wash


def _calls(count: int, random: Random) -> Sound:
    """Barks, chirps, squeaks: harmonic calls that glide, the deeper ones rough and with one formant."""
    sound, time = np.zeros(count + 2 * RATE_HZ), random.uniform(0, 0.5)
    deep = random.random() < 0.5
    hertz = random.uniform(150, 700) if deep else random.uniform(800, 4000)
    seconds, glide, formant = random.uniform(0.05, 0.7), random.normal(0, 0.5), random.uniform(500, 2500)
    partials = _partials(random, int(random.integers(1, 14)))
    while time < count / RATE_HZ:
        size = max(200, int(seconds * random.uniform(0.8, 1.2) * RATE_HZ))
        way = np.linspace(0, 1, size)
        arc = np.sin(np.pi * way)
        course = hertz * random.uniform(0.9, 1.1) * np.exp(glide * (way - 0.5) + 0.3 * arc * np.sign(glide))
        call = _tone(course, size, partials, random) * np.sqrt(np.maximum(arc, 0))
        if deep:
            call = call + 0.4 * random.normal(size=size) * arc
            call = call + 2 * _band(call, 0.7 * formant, 1.4 * formant)
        start = int(time * RATE_HZ)
        sound[start : start + size] += call[: len(sound) - start]
        time += seconds + random.exponential(0.5) + 0.05
    return sound[:count]


def _telephone(count: int, random: Random) -> Sound:
    times, kind = _times(count), random.integers(3)
    if kind == 0:  # ringing tone
        pair = sum(np.sin(2 * np.pi * hertz * times) for hertz in (random.uniform(380, 480), random.uniform(430, 520)))
        return np.asarray(pair) * ((times % random.uniform(1, 4)) < random.uniform(0.4, 2))
    if kind == 1:  # dialling
        each = random.uniform(0.08, 0.3)
        key = (times / each).astype(int)
        rows = random.choice([697, 770, 852, 941], key[-1] + 1)[key]
        columns = random.choice([1209, 1336, 1477], key[-1] + 1)[key]
        both: Sound = np.sin(2 * np.pi * rows * times) + np.sin(2 * np.pi * columns * times)
        return both * ((times / each) % 1 < 0.6)
    bell = np.sin(2 * np.pi * random.uniform(600, 2200) * times) * np.sin(2 * np.pi * random.uniform(10, 30) * times)
    return np.asarray(bell * ((times % 3) < 1.2))


_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 3, 5, 7, 10), (0, 2, 4, 7, 9))


def _music(count: int, random: Random) -> Sound:
    """Chords, a melody, a drum and a bass, or some of these."""
    sound = np.zeros(count + 4 * RATE_HZ)
    root, scale, beat = random.uniform(36, 60), _SCALES[random.integers(4)], 60 / random.uniform(60, 170)
    chords, melody, drum, bass = random.random(4) < (0.7, 0.7, 0.6, 0.4)
    timbres = [_partials(random, size) for size in (12, 12, 6)]
    fades, vibratos = (random.uniform(0.1, 3), random.uniform(0.1, 1.5), 1.0), random.uniform(0, 0.01, 2)

    def play(time: float, degree: int, beats: float, part: int, octave: float = 1.0) -> None:
        note = 440 * octave * 2 ** ((root + 12 * (degree // len(scale)) + scale[degree % len(scale)] - 69) / 12)
        size = int(beats * beat * RATE_HZ)
        vibrato = float(vibratos[part]) if part < 2 else 0.0
        tone = _tone(note, size, timbres[part], random, vibrato) * np.exp(-_times(size) / fades[part])
        add(time, tone * np.minimum(1, _times(size) / 0.015))

    def add(time: float, part: Sound, loudness: float = 0.7) -> None:
        start = int(time * RATE_HZ)
        if start < count:
            sound[start : start + len(part)] += loudness * (part / (np.abs(part).max() + 1e-9))[: len(sound) - start]

    for number in range(int(count / RATE_HZ / beat) + 1):
        time = number * beat
        if (chords and number % 4 == 0) or not (chords or melody or drum or bass):
            base = int(random.integers(0, 7))
            for step in (0, 2, 4, 7)[: random.integers(2, 5)]:
                play(time, base + step, 4, 0)
        if melody and random.random() < 0.8:
            play(time, int(random.integers(5, 17)), float(random.choice([0.5, 1, 1.5])), 1)
        if bass:
            play(time, int(random.integers(0, 5)), 1, 2, 0.5)
        if drum:
            add(time, _ring(0.3, np.array([55.0]), 0.12, random) if number % 2 == 0 else _thud(0.3, 0.07, random), 1.0)
            add(time + beat / 2, _band(_thud(0.1, 0.02, random), 4000, 7900), 0.3)
    return sound[:count]


KINDS: dict[str, Callable[[int, Random], Sound]] = {
    "siren": _siren,
    "alarm": _alarm,
    "engine": _engine,
    "hum": _hum,
    "noise": _noise,
    "typing": _typing,
    "knocks": _knocks,
    "applause": _applause,
    "rain": _rain,
    "calls": _calls,
    "telephone": _telephone,
    "music": _music,
}
