"""How far faces' rows from CUDA graphs are from PyTorch's own, network by network: needs a GPU of NVIDIA's.

    python -m benchmarks.studies.cuda_parity

Networks have random weights; batches fill a graph wholly, in part, or go into several. Prints the largest difference of
a logit or distance; the exit code is 1 where one is beyond `--tolerance`, and 2 where there is no such GPU. With
`--device cpu` it compares torch face by face with torch in batches, which shows that the study itself works.
"""

import argparse
import sys

import numpy as np
import torch

from benchmarks.figures import table
from emopipe.models.facial.base import FaceNetwork, prepare
from emopipe.models.facial.crops import SIZE
from emopipe.models.facial.networks import NETWORKS
from emopipe.models.facial.rows import DeviceNetwork, RowNetwork
from emopipe.models.loading import pick_device
from emopipe.pipeline.errors import ModelError

BATCH_SIZES = (1, 3, 8, 100, 256, 300)
TOLERANCE = 0.02  # of a logit: a GPU multiplies in TF32, and chooses kernels by the size of the batch
WRONG = 1


@torch.inference_mode()
def difference(network: FaceNetwork, device: str) -> float:
    """The largest one between both ways, over all batches."""
    eager, graphs = RowNetwork(network).to(device), DeviceNetwork(network, device)
    crops = np.random.default_rng(0).integers(0, 256, (max(BATCH_SIZES), SIZE, SIZE), dtype=np.uint8)
    found = []
    for size in BATCH_SIZES:
        expected = eager(prepare(torch.from_numpy(crops[:size]).to(device))).cpu().numpy()
        found.append(np.abs(graphs(crops[:size]) - expected).max())
    return float(np.max(found))  # nan where one is none


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="(default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NETWORK")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="(default: %(default)g)")
    given = parser.parse_args(arguments)
    try:
        device = pick_device(given.device)
    except ModelError as error:
        print(f"cuda_parity: {error}", file=sys.stderr)
        return error.exit_code
    rows: list[dict[str, object]] = []
    for name in given.only:
        torch.manual_seed(0)
        most = difference(NETWORKS[name]().eval(), device)
        rows.append({"network": name, "largest difference": f"{most:.2g}", "within": most <= given.tolerance})
    print(table(rows))
    return 0 if all(row["within"] for row in rows) else WRONG


if __name__ == "__main__":
    sys.exit(main())
