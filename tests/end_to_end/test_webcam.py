"""configs/webcam.toml in processes of its own, with a recording played to a virtual camera and microphone."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.slow("plays a camera in real time")

CLIP = "ravdess/Actor_01/01-01-08-01-01-02-01.mp4"
PATIENCE = 150.0  # s: loading takes ten on an idle machine
PLAYING = 6.0  # s


def devices(clip: Path) -> list[str]:
    """What plays the clip, again and again, to the graph's camera and microphone."""
    settings = {
        "stages.camera.format": "lavfi",
        "stages.camera.device": f"movie={clip}:loop=0,setpts=N/(30*TB),realtime",
        "stages.microphone.format": "lavfi",
        "stages.microphone.device": f"amovie={clip}:loop=0,asetpts=N/SR/TB,arealtime",
    }
    return [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT is sent")
def test_a_face_and_a_voice_are_read_until_ctrl_c(shared_media: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.txt"
    command = [sys.executable, "-m", "emopipe", "run", str(ROOT / "configs/webcam.toml"), *devices(shared_media / CLIP)]
    with results.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT)
        try:
            until = time.monotonic() + PATIENCE
            while process.poll() is None and b"webcam" not in results.read_bytes() and time.monotonic() < until:
                time.sleep(0.2)
            time.sleep(PLAYING)
            process.send_signal(signal.SIGINT)
            code = process.wait(60)
        finally:
            process.kill()
    said = results.read_text()
    assert code == 0, said
    assert "webcam  ended" in said
    seen = re.search(r"(\d[\d ]*) frames?: (\d[\d ]*) with a face", said)
    assert seen is not None, said
    assert int(seen[2].replace(" ", "")) > 20
    heard = re.search(r"([\d.]+) s of sound: (\d+) windows? of speech", said)
    assert heard is not None, said
    assert float(heard[1]) > PLAYING / 2
    assert int(heard[2]) >= 1
