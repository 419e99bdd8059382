"""The walk of docs/formats.md, each command and each line of Python as written, in a new user's folder."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from tests.support.paths import ROOT

CLIPS = ("01-01-01-01-01-01-01", "01-01-08-01-01-02-01")


@pytest.mark.slow("a replay of two recordings, then what the walk says")
def test_the_walk_from_recordings_to_corrections(shared_media: Path, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    for name in CLIPS:
        shutil.copy(shared_media / "ravdess" / "Actor_01" / f"{name}.mp4", tmp_path / "clips")
    walk = (ROOT / "docs" / "formats.md").read_text().split("\n## ")[1]
    blocks = re.findall(r"```(sh|python)\n(.*?)```", walk, re.DOTALL)
    assert [language for language, _ in blocks] == ["sh", "python", "python", "sh"]
    said, program = [], 'import matplotlib\n\nmatplotlib.use("agg")\n'
    for language, text in blocks:
        if language == "python":  # what follows goes on with what was made before
            program += text
            (tmp_path / "walk.py").write_text(program)
            command = [sys.executable, "walk.py"]
        else:
            lines = [line for line in text.splitlines() if not line.startswith("pip ")]
            shell = "\n".join(f"{sys.executable} -m {line}" if line.startswith("emopipe ") else line for line in lines)
            command = ["bash", "-euc", shell]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    assert all(name in said[1] for name in CLIPS)
    assert "face 0 fused" in said[-1]
    assert "100.0 %" in said[-1]  # nobody has corrected anything yet
    figure = cv2.imread(str(tmp_path / "surprise.png"))
    assert figure is not None
    assert figure.std() > 5
