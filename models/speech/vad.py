"""Voice activity, 10 ms at a time: WebRTC's detector on 16 kHz speech."""

import numpy as np
import numpy.typing as npt

SAMPLE_RATE_HZ = 16000
FRAME_SAMPLES = 160
"""Samples in a frame: 10 ms, the hop of the MFCC too."""

AGGRESSIVENESS = 2
"""0 calls most frames speech, 3 the fewest. At 3 whole quiet clips of RAVDESS go unheard, at 1 room noise is speech."""


class VoiceActivity:
    """Voice activity of a stream, 10 ms at a time.

    The frames are counted from the first sample pushed, however the samples are cut into chunks; the detector
    adapts to the noise, so it has to be given silence too.
    """

    def __init__(self, aggressiveness: int = AGGRESSIVENESS) -> None:
        self._aggressiveness = aggressiveness
        self.reset()

    def reset(self) -> None:
        """Forget the past: the next sample is sample 0, and the noise is unknown."""
        import webrtcvad

        self._detector = webrtcvad.Vad(self._aggressiveness)
        self._pending = np.empty(0, np.float32)

    def push(self, samples: npt.NDArray[np.float32]) -> list[bool]:
        """Take mono samples in [-1, 1], float32 [n]; one answer for each frame they complete."""
        self._pending = np.concatenate([self._pending, samples])
        count = len(self._pending) // FRAME_SAMPLES
        pcm = (np.clip(self._pending[: count * FRAME_SAMPLES], -1.0, 1.0) * 32767.0).astype("<i2")
        self._pending = self._pending[count * FRAME_SAMPLES :].copy()
        return [
            self._detector.is_speech(frame.tobytes(), SAMPLE_RATE_HZ) for frame in pcm.reshape(count, FRAME_SAMPLES)
        ]
