"""What integers of 8 bits cost the shipped network for faces in answers, and what they save in time.

    python -m benchmarks.studies.faces.eight_bits fer2013.zip rafdb-train.zip

On FER2013's PublicTest and RAF-DB's validation tenth, which nothing was trained on: the network in 8 bits, as ONNX
Runtime computes it on a CPU, beside the same in single precision. FER2013's labels are not what people see, so its
accuracy is low for both; how often both say the same is what counts there.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.figures import table
from emopipe.models import checkpoint
from emopipe.models.calibration import softmax, temperature_at
from emopipe.models.facial.compiled import CompiledNetwork
from emopipe.models.facial.graphs import custom_cnn
from emopipe.models.facial.quantised_graph import RANGES
from emopipe.training.evaluation.metrics import summarise
from emopipe.training.facial import class_folders, fer2013

WEIGHTS = checkpoint.WEIGHTS_DIR / "facial.safetensors"
SPLITS = {"fer2013": "PublicTest", "rafdb": "validation"}
CALLS = 200


def faces_of(data: Path) -> tuple[str, NDArray[np.uint8], NDArray[np.int64]]:
    """Name, crops [N, 48, 48] and targets [N] of what a corpus keeps aside."""
    corpus = class_folders.corpus_of(data)
    split = SPLITS[corpus]
    part = fer2013.load(data).split(split) if corpus == "fer2013" else class_folders.load(data, split)
    return f"{corpus} {split}", part.images, part.targets


def milliseconds(run: Callable[[NDArray[np.uint8]], object], crops: NDArray[np.uint8]) -> float:
    """CPU of this thread for a face, the median of some calls."""
    taken = []
    for _ in range(CALLS):
        began = time.thread_time()
        run(crops)
        taken.append(time.thread_time() - began)
    return 1000 * float(np.median(taken)) / len(crops)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    given = parser.parse_args()
    weights, card = checkpoint.load_arrays(WEIGHTS, "facial")
    single = {name: array for name, array in weights.items() if name != RANGES}
    networks = {"single precision": CompiledNetwork(custom_cnn(single)), "8 bits": CompiledNetwork(custom_cnn(weights))}
    rows: list[dict[str, object]] = []
    for data in given.data:
        name, crops, targets = faces_of(data)
        reference = None
        for how, network in networks.items():
            judged = network(crops)
            logits, temperatures = judged[:, :-1], temperature_at(card.temperatures, judged[:, -1])
            said = softmax(logits, temperatures)
            reference = said if reference is None else reference
            rated = torch.from_numpy(logits), torch.from_numpy(targets)
            figures = summarise(*rated, card.labels, torch.from_numpy(temperatures))
            rows.append(
                {
                    "faces": name,
                    "network": how,
                    **{f"{key}_percent": 100 * figures[key] for key in ("accuracy", "uar", "ece")},
                    "nll": f"{figures['nll']:.4f}",
                    "same_label_percent": 100 * float((said.argmax(1) == reference.argmax(1)).mean()),
                    "points_off": 100 * float(np.abs(said - reference).mean()),
                    "ms_alone": milliseconds(network, crops[:1]),
                    "ms_of_8": milliseconds(network, crops[:8]),
                }
            )
    print(table(rows))


if __name__ == "__main__":
    main()
