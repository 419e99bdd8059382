"""Windows of speech, cut from sound: the same in a stream and in training.

The grid is the multiples of `hop` in running time. At each of its points the hop that ends there gives one event:
a `Window`, if it held speech, or a `Silence`. So the next point is known beforehand, in speech and in silence, and
may be promised as watermark at once.
"""

import math

import msgspec
import numpy as np

from emopipe.models.envelope import envelope
from emopipe.models.speech.features import Floats, MfccSpec, StreamingMfcc
from emopipe.models.speech.vad import AGGRESSIVENESS, FRAME_SAMPLES, VoiceActivity
from emopipe.pipeline.clock import SECOND

TOLERANCE_NS = 20_000_000  # ns: containers round pts to a ms; more than this is lost or repeated sound
_MIN_LEVEL_DB = -120.0  # dB: digital silence has no logarithm


class Window(msgspec.Struct, frozen=True, eq=False):
    """The speech up to one point of the grid.

    Attributes:
        pts: the point of the grid (ns); `end` unless the sound stopped before it.
        duration: to the next point of the grid (ns).
        start, end: the span it covers (ns), `window` long at most, of one utterance.
        mfcc: float32 [frames, 40].
        audio: float32 [n], the sound of the span.
        voiced: the fraction of the span in which the detector heard speech, 0..1.
        level: root mean square of the span in dB relative to full scale.
        samples: how many samples came since the last event.
        envelope: float32 [steps], the level of those of them that the span holds (`models.envelope`).
    """

    pts: int
    duration: int
    start: int
    end: int
    mfcc: Floats
    audio: Floats
    voiced: float
    level: float
    samples: int
    envelope: Floats


class Silence(msgspec.Struct, frozen=True):
    """No window at the points of the grid from `pts` on, for `duration` (ns); `samples` as in `Window`."""

    pts: int
    duration: int
    samples: int


class SpeechWindower:
    """Turns one stream's sound into windows, with MFCC computed once for each frame.

    An utterance begins `pre_roll` before its first voiced frame, once it has `min_speech` of them, and ends
    when none came for `hangover`. A window reaches back to the utterance's start, or `window`, whichever is
    shorter: it never mixes in older silence or another utterance. The events depend on the samples and their
    pts alone, not on how they are cut into chunks.

    Where sound is missing (a pts later than the samples say) what is held is flushed and all state is reset;
    sound that came before (a pts earlier) is dropped. `lost` and `repeated` count the samples of either. What an event
    holds of a hop that another event has already ended counts for the next one.

    Args:
        window, hop, hangover, min_speech, pre_roll: seconds.
        aggressiveness: of the detector, 0 to 3.
        spec: of the MFCC.
    """

    def __init__(
        self,
        window: float = 3.0,
        hop: float = 0.5,
        aggressiveness: int = AGGRESSIVENESS,
        hangover: float = 0.3,
        min_speech: float = 0.1,
        pre_roll: float = 0.2,
        spec: MfccSpec | None = None,
    ) -> None:
        self._spec = spec or MfccSpec()
        self._rate = self._spec.sample_rate
        self.hop = round(hop * SECOND)  # ns
        self._window = round(window * self._rate)
        self._hangover = round(hangover * self._rate)
        self._min_speech = round(min_speech * self._rate)
        self._pre_roll = round(pre_roll * self._rate)
        self._vad = VoiceActivity(aggressiveness)
        self._mfcc = StreamingMfcc(self._spec)
        self._point = self.hop  # the next point of the grid
        self.lost = 0
        self.repeated = 0
        self._until: int | None = None  # when the last sample ended
        self._unreported = 0  # samples since the last event
        self._restart(0)

    @property
    def watermark(self) -> int:
        """No event that follows has a smaller pts (ns): the next point of the grid."""
        return self._point

    def push(self, samples: Floats, pts: int) -> "list[Window | Silence]":
        """Take mono samples in [-1, 1], float32 [n], the first of them at `pts` ns; give the events they complete."""
        events: list[Window | Silence] = []
        if not len(samples):
            return events
        if self._until is not None:
            off = pts - self._until
            if off > TOLERANCE_NS:
                self.lost += self._samples(off)
            elif off < -TOLERANCE_NS:
                repeated = min(len(samples), self._samples(-off))
                self.repeated += repeated
                samples, pts = samples[repeated:], self._until
        events += self.skip(pts)
        if self._count == 0:
            self._restart(pts)
            events += self._pass_points(pts)
        while len(samples):
            size = min(len(samples), self._samples(self._point - self._anchor) - self._count)
            self._consume(samples[:size])
            samples = samples[size:]
            if self._count == self._samples(self._point - self._anchor):
                events.append(self._event())
        self._until = self._time(self._count)
        return events

    def skip(self, pts: int) -> "list[Window | Silence]":
        """Learn that no sound comes before `pts` ns; give the events up to there."""
        if pts - self._time(self._count) <= TOLERANCE_NS:
            return []
        events = self.flush()
        self._restart(pts)
        return events + self._pass_points(pts)

    def flush(self) -> "list[Window | Silence]":
        """The sound has ended: the event of the last, partial hop, if it holds a sample."""
        return [self._event()] if self._unreported else []

    def _pass_points(self, pts: int) -> "list[Window | Silence]":
        """Pass the points of the grid up to `pts`, at which there is nothing."""
        if pts < self._point:
            return []
        missing = (pts - self._point) // self.hop + 1
        silence = Silence(self._point, missing * self.hop, 0)
        self._point += missing * self.hop
        return [silence]

    def _restart(self, pts: int) -> None:
        """Start over, with sample 0 at `pts`."""
        self._anchor = pts
        self._vad.reset()
        self._mfcc.reset()
        self._count = 0  # samples so far
        # What a window may reach back to, and the index of its first sample, frame and voiced frame.
        self._kept = np.empty(0, np.float32)
        self._frames = np.empty((0, self._spec.coefficients), np.float32)
        self._voiced = np.empty(0, np.bool_)
        self._kept_from = 0
        # The utterance, in samples: its first and last voiced ones, how many between them were.
        self._onset: int | None = None
        self._last_voiced = 0
        self._speech = 0
        self._earliest = 0  # where the utterance before it ended
        self._speech_start: int | None = None  # where the newest utterance heard since the last event starts

    def _consume(self, samples: Floats) -> None:
        """Consume samples of one hop."""
        at = self._kept_from + len(self._voiced) * FRAME_SAMPLES
        answers = self._vad.push(samples)
        for voiced in answers:
            self._track(at, voiced)
            at += FRAME_SAMPLES
        self._voiced = np.concatenate([self._voiced, np.array(answers, np.bool_)])
        self._frames = np.concatenate([self._frames, self._mfcc.push(samples)])
        self._kept = np.concatenate([self._kept, samples])
        self._count += len(samples)
        self._unreported += len(samples)

    def _track(self, at: int, voiced: bool) -> None:
        """Move the utterance on by the frame that starts at sample `at`."""
        if voiced:
            if self._onset is None:
                self._onset, self._speech = at, 0
            self._speech += FRAME_SAMPLES
            self._last_voiced = at + FRAME_SAMPLES
        if self._onset is None:
            return
        if self._speech >= self._min_speech:
            self._speech_start = max(self._onset - self._pre_roll, self._earliest)
        if at + FRAME_SAMPLES - self._last_voiced >= self._hangover:
            self._earliest = at + FRAME_SAMPLES if self._speech >= self._min_speech else self._earliest
            self._onset = None

    def _event(self) -> "Window | Silence":
        """Close the hop: what it held, from the samples taken so far."""
        pts, samples, speech_start = self._point, self._unreported, self._speech_start
        self._point += self.hop
        self._unreported = 0
        self._speech_start = None
        self._trim()
        if speech_start is None:
            return Silence(pts, self.hop, samples)
        start = max(speech_start, self._count - self._window, 0)
        return self._cut(pts, start, samples)

    def _cut(self, pts: int, start: int, samples: int) -> "Window | Silence":
        first = math.ceil(start / self._spec.hop) - self._kept_from // self._spec.hop
        mfcc = self._frames[first:].copy()
        if not len(mfcc):  # the recording ended within its first frame
            return Silence(pts, self.hop, samples)
        audio = self._kept[start - self._kept_from :].copy()
        power = float(np.mean(audio.astype(np.float64) ** 2))
        voiced = self._voiced[(start - self._kept_from) // FRAME_SAMPLES :]
        return Window(
            pts=pts,
            duration=self.hop,
            start=self._time(start),
            end=min(pts, self._time(self._count)),
            mfcc=mfcc,
            audio=audio,
            voiced=min(1.0, float(voiced.sum()) * FRAME_SAMPLES / len(audio)),
            level=max(_MIN_LEVEL_DB, 10 * math.log10(power)) if power else _MIN_LEVEL_DB,
            samples=samples,
            envelope=envelope(self._kept[max(start - self._kept_from, len(self._kept) - samples) :]),
        )

    def _trim(self) -> None:
        """Drop what no window can reach back to any more."""
        grain = math.lcm(FRAME_SAMPLES, self._spec.hop)
        until = max(0, self._count - self._window - self._pre_roll) // grain * grain
        drop = until - self._kept_from
        if drop > 0:
            self._kept = self._kept[drop:].copy()
            self._voiced = self._voiced[drop // FRAME_SAMPLES :].copy()
            self._frames = self._frames[drop // self._spec.hop :].copy()
            self._kept_from = until

    def _time(self, sample: int) -> int:
        """Running time of a sample in ns."""
        return self._anchor + sample * SECOND // self._rate

    def _samples(self, duration: int) -> int:
        """The number of samples that start within a duration in ns."""
        return -(-duration * self._rate // SECOND)
