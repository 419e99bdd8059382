"""Many streams through one graph of the real stages: they come and go for as long as you like, and nothing grows."""

import asyncio
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from emopipe.models.face_detection.detection import Detection
from emopipe.models.labels import FACE, SPEECH
from emopipe.pipeline.clock import MS
from emopipe.pipeline.counters import REMEMBERED
from emopipe.pipeline.port import Port
from emopipe.pipeline.runtime.host import StageHost
from emopipe.pipeline.source import Source
from emopipe.stages.faces.detection import FaceDetection
from emopipe.stages.faces.inference import FacialInference
from emopipe.stages.fusion.stage import Fusion
from emopipe.stages.inference import Inference
from emopipe.stages.sinks.console import Terminal
from emopipe.stages.sinks.jsonl import JsonLines
from emopipe.stages.sinks.publish import Publish
from emopipe.stages.speech.inference import SpeechInference
from emopipe.stages.speech.windows import SpeechWindows
from emopipe.stages.types import AudioBlock, VideoFrame
from tests.support.local_graph import names_held, play_together

pytestmark = pytest.mark.slow("replays real recordings")

VISITORS = 2000
AT_ONCE = 20
BLOCK = 64 * MS
LINKS = {
    "faces.video": "visits.video",
    "facial.faces": "faces.faces",
    "windows.audio": "visits.audio",
    "speech.windows": "windows.windows",
    "fusion.faces": "facial.emotions",
    "fusion.speech": "speech.emotions",
    "publish.emotions": "fusion.emotions",
    "console.emotions": "fusion.emotions",
    "file.emotions": "fusion.emotions",
}
BLOCKING = ["windows.audio"]  # so that visitors leave before too many others have come
PICTURE = VideoFrame(luma=np.full((90, 160), 99, np.uint8), small=np.full((90, 160, 3), 99, np.uint8))
SILENCE = AudioBlock(samples=np.zeros(1024, np.float32))


class Visits(Source):
    """Visitors who are seen and heard for a moment: some are silent, some unseen, some leave and come back."""

    name = "visits"
    outputs: ClassVar[dict[str, Port]] = {"video": Port(VideoFrame, "pictures"), "audio": Port(AudioBlock, "sound")}

    async def run(self) -> None:
        for first in range(0, VISITORS, AT_ONCE):
            async with asyncio.TaskGroup() as visits:
                for number in range(first, first + AT_ONCE):
                    visits.create_task(self._visit(f"visitor-{number}", number))

    async def _visit(self, stream: str, number: int) -> None:
        await self._appear(stream, number)
        if number % 7 == 0:
            self.new_epoch(stream)
            await self._appear(stream, number)
        await self.end(stream)
        if number % 5 == 0:
            await self._appear(stream, number)
            await self.end(stream)

    async def _appear(self, stream: str, number: int) -> None:
        self.count("appeared", stream)
        if number % 3:
            await self.emit("video", PICTURE, stream=stream, pts=0, duration=BLOCK, watermark=BLOCK)
        if number % 4:
            await self.emit("audio", SILENCE, stream=stream, pts=0, duration=BLOCK, watermark=BLOCK)


class OneFace:
    """Sees the same face in every picture."""

    def __init__(self, *_: object) -> None:
        pass

    def detect(self, picture: object, pts: int) -> list[Detection]:
        eyes = (0.4, 0.4), (0.6, 0.4)
        return [Detection((0.3, 0.2, 0.4, 0.6), 0.9, *eyes, (0.5, 0.5), (0.5, 0.6), (0.3, 0.4), (0.7, 0.4))]

    def close(self) -> None:
        pass


def stub(cls: type[Inference[Any]], labels: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> Inference[Any]:
    """An inference stage that loads nothing, and finds everything equally likely."""
    monkeypatch.setattr(cls, "open", lambda self: None)
    monkeypatch.setattr(cls, "infer", lambda self, model, rows: [[1 / len(labels)] * len(labels) for _ in rows])
    return cls(label=cls.Settings.task)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, StageHost]:
    folder: Path = tmp_path_factory.mktemp("visits")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("emopipe.stages.faces.detection.FaceDetector", OneFace)
        monkeypatch.setattr(SpeechWindows, "_warm_up", lambda self: None)  # nobody speaks: no MFCC
        stages = [
            Visits(label="visits"),
            FaceDetection(label="faces"),
            stub(FacialInference, FACE, monkeypatch),
            SpeechWindows(label="windows"),
            stub(SpeechInference, SPEECH, monkeypatch),
            Fusion(label="fusion"),
            Publish(Publish.Settings(endpoint=f"ipc://{folder}/results"), label="publish"),
            Terminal(Terminal.Settings(style="lines"), label="console"),
            JsonLines(JsonLines.Settings(path=str(folder / "results.jsonl")), label="file"),
        ]
        return asyncio.run(asyncio.wait_for(play_together(stages, LINKS, BLOCKING), 240))


def test_every_stage_has_seen_everybody_out(hosts: dict[str, StageHost]) -> None:
    appeared = hosts["visits"].report().counters["appeared"]
    assert appeared == VISITORS + -(-VISITORS // 7) + VISITORS // 5
    for name, host in hosts.items():
        report = host.report()
        assert report.ended, name
        for link, counts in report.links.items():
            assert counts.sent == counts.received + sum(counts.dropped.values()), link
            assert counts.in_flight == 0
    written = hosts["file"].report().counters
    assert written["frames_with_face"] > 0


def test_nothing_is_left_of_them_but_the_last_few(hosts: dict[str, StageHost]) -> None:
    for name, host in hosts.items():
        held = names_held(host, r"visitor-\d+")
        assert len(held) <= 2 * REMEMBERED, f"{name} holds {sorted(held)[:5]} … and {len(held)} in all"
        old = [each for each in held if int(each.partition("-")[2]) <= VISITORS - 10 * REMEMBERED]
        assert not old, f"{name} holds {old}"
