"""The work itself, without a pipeline: decode, detect, crop, classify; windows of speech, MFCC, classify."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from emopipe.models.face_detection.detection import FaceDetector, crop, frame_face
from emopipe.models.facial.model import FacialModel
from emopipe.models.loading import set_torch_threads
from emopipe.models.speech.model import SpeechModel
from emopipe.models.speech.windower import SpeechWindower, Window
from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.errors import MediaError
from emopipe.stages.media.recording import Recording
from emopipe.stages.types import AudioBlock, VideoFrame

FACE_KERNELS = ("detect", "crop", "classify face")  # what lies between the capture of a picture and its fusion


class Kernels:
    """The kernels in a loop in this process, timed piece by piece.

    A context manager. MediaPipe brings threads of its own, so the loop uses more than one core.

    Attributes:
        times: wall seconds of each call, by kernel.
        faces_found: how many there were so far.
    """

    def __init__(self) -> None:
        import cv2

        self.detector = FaceDetector()
        self.facial = FacialModel.load()
        self.speech = SpeechModel.load()
        set_torch_threads(1)  # as the inference stages do
        cv2.setNumThreads(1)  # as face-detection does
        self.times: dict[str, list[float]] = {}
        self.faces_found = 0

    def __enter__(self) -> "Kernels":
        return self

    def __exit__(self, *_: object) -> None:
        self.detector.close()

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.times.setdefault(name, []).append(time.perf_counter() - began)

    def warm_up(self, clip: Path) -> None:
        """Go through the recording once, without keeping the times.

        Raises:
            MediaError: there is no face in it.
        """
        self.loop(clip, 1)
        self.times.clear()
        if not self.faces_found:
            raise MediaError(
                f"{clip}: no face is found in it, so most of the work would not be done; "
                "choose a recording of somebody who speaks"
            )

    def loop(self, clip: Path, times: int, *, realtime: bool = False) -> int:
        """Go through the recording, `times` over, with `realtime` at its own pace; the number of frames."""
        frames = 0
        start = 0
        for _ in range(times):
            windower = SpeechWindower()
            began = time.monotonic_ns()
            with Recording(str(clip)) as recording:
                items = iter(recording)
                while True:
                    with self.timed("decode"):
                        item = next(items, None)
                    if item is None:
                        break
                    if realtime:
                        time.sleep(max(0, began + item.pts - time.monotonic_ns()) / SECOND)
                    if isinstance(item.payload, VideoFrame):
                        frames += 1
                        self.faces(item.payload, start + item.pts)
                    elif isinstance(item.payload, AudioBlock):
                        self.voice(windower, item.payload, item.pts)
            start += recording.duration + SECOND
        return frames

    def faces(self, frame: VideoFrame, pts: int) -> None:
        with self.timed("detect"):
            found = self.detector.detect(frame.small, pts)
        self.faces_found += len(found)
        height, width = frame.luma.shape
        for face in found:
            with self.timed("crop"):
                cut = crop(frame.luma, frame_face(face, width, height))
            with self.timed("classify face"):
                self.facial.probabilities(cut[None])

    def voice(self, windower: SpeechWindower, block: AudioBlock, pts: int) -> None:
        with self.timed("speech windows"):
            events = windower.push(block.samples, pts)
        for event in events:
            if isinstance(event, Window):
                with self.timed("classify window"):
                    self.speech.probabilities([self.speech.row(event)])


def measured(work: Callable[[], int]) -> tuple[int, float, float]:
    """Frames, wall seconds and CPU seconds of `work`."""
    wall, cpu = time.perf_counter(), time.process_time()
    frames = work()
    return frames, time.perf_counter() - wall, time.process_time() - cpu
