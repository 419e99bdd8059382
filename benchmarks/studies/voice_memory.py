"""Memory of the voice's model over windows of many lengths: what a new length costs, and whether that ever ends.

    python -m benchmarks.studies.voice_memory [--windows 1600] [--weights models/weights/speech.safetensors]

Hears noise in windows of 0.5 to 3 s, as `speech-windows` cuts them, and prints the resident memory eight times. Two
windows a second come of somebody who never stops: 7,200 are an hour.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.figures import machine, table
from emopipe.models.speech.features import Floats, MfccSpec
from emopipe.models.speech.model import SpeechModel
from emopipe.pipeline.telemetry.usage import Usage

FRAME_SAMPLES = 160  # 10 ms
MIN_FRAMES, MAX_FRAMES = 50, 300
LINES = 8


class _Window(NamedTuple):
    mfcc: Floats
    audio: Floats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=1600, help="(default: %(default)s)")
    parser.add_argument("--weights", type=Path, help="(default: those that are shipped)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = SpeechModel.load(given.weights, "cpu")
    usage = Usage()
    random = np.random.default_rng(1)
    sound: Floats = random.uniform(-0.1, 0.1, MAX_FRAMES * FRAME_SAMPLES).astype(np.float32)
    mfcc: Floats = random.standard_normal((MAX_FRAMES, MfccSpec().coefficients)).astype(np.float32)
    rows: list[dict[str, object]] = []
    for number in range(1, given.windows + 1):
        frames = int(random.integers(MIN_FRAMES, MAX_FRAMES + 1))
        model.probabilities([model.row(_Window(mfcc[:frames], sound[: frames * FRAME_SAMPLES]))])
        if number % (given.windows // LINES) == 0:
            rows.append({"windows": number, "MB": usage.sample().memory / 1e6})
    print(f"{type(model.spec).__name__}, {machine()}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
