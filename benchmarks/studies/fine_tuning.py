"""What a folder of few pictures teaches: a new last layer, the whole network at a low rate, a network from scratch.

    python -m benchmarks.studies.fine_tuning rafdb-train.zip

The pictures are RAF-DB's tenth that the shipped network was not trained on, so many of each class to learn from, all
others to test on; who is in them nobody knows, but pictures of the web mostly show somebody else each. Beside them the
shipped network as it is, which knows these classes. Figures are UAR, means over draws; whole and from scratch one draw.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from emopipe.fine_tuning.classifier import fit_head
from emopipe.fine_tuning.facial import embed, replace_head
from emopipe.models.facial.base import FaceNetwork
from emopipe.models.facial.networks import NETWORKS, CustomCNN
from emopipe.models.labels import FACE
from emopipe.models.loading import load_network
from emopipe.training.facial import class_folders
from emopipe.training.facial.augment import degrade, frame
from emopipe.training.facial.settings import Augmentation

DECAY, DRAWS, BATCH = 0.01, 5, 32


def train(network: FaceNetwork, images: NDArray[np.uint8], targets: Tensor, epochs: int, rate: float) -> FaceNetwork:
    """Train all layers, with augmentation and a cosine schedule (AdamW)."""
    torch.manual_seed(0)
    pictures, how = torch.from_numpy(images)[:, None].float(), Augmentation()
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    network.train()
    for _ in range(epochs):
        for rows in torch.split(torch.randperm(len(targets)), BATCH):
            if len(rows) >= BATCH // 4:
                views = degrade(frame(pictures[rows], how, 48), how)
                optimizer.zero_grad()
                F.cross_entropy(network(network.prepare(views)), targets[rows]).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        schedule.step()
    return network.eval()


@torch.inference_mode()
def said(network: FaceNetwork, images: NDArray[np.uint8]) -> Tensor:
    """What a network says of pictures, [N]."""
    parts = torch.split(torch.from_numpy(images), 256)
    return torch.cat([network.judge(network.prepare(part)).people for part in parts]).argmax(1)


def uar(answers: Tensor, targets: Tensor) -> float:
    """The mean recall of the classes, in per cent."""
    recalls = [(answers[targets == label] == label).double().mean() for label in range(len(FACE))]
    return 100 * float(torch.stack(recalls).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rafdb", type=Path, help="RAF-DB's training part, a folder or a zip")
    parser.add_argument("--each", type=int, nargs="+", default=[10, 20], help="pictures of each class to learn from")
    parser.add_argument("--head-only", action="store_true", help="leave out what trains in steps, which takes minutes")
    args = parser.parse_args()
    found = class_folders.load(args.rafdb, "validation")
    images, targets = found.images, torch.from_numpy(found.targets)

    def shipped() -> FaceNetwork:
        return load_network(None, "facial", NETWORKS)[0]

    embedded, _ = embed(shipped(), images)
    known = said(shipped(), images)
    for each in args.each:
        figures: dict[str, list[float]] = {}
        for draw in range(DRAWS):
            random = np.random.default_rng(draw)
            places = [random.permutation(np.flatnonzero(found.targets == label))[:each] for label in range(len(FACE))]
            chosen = np.concatenate(places)
            rest = np.setdiff1d(np.arange(len(images)), chosen)
            head = fit_head(embedded[chosen], targets[chosen], len(FACE), DECAY)
            learnt = (embedded[rest] @ head[:-1] + head[-1]).argmax(1)
            figures.setdefault("shipped", []).append(uar(known[rest], targets[rest]))
            figures.setdefault("new head", []).append(uar(learnt, targets[rest]))
            if draw == 0 and not args.head_only:
                with_head = shipped()
                replace_head(with_head, head)
                for name, network, epochs, rate in (
                    ("whole network", with_head, 15, 1e-4),
                    ("from scratch", CustomCNN(), 30, 2e-3),
                ):
                    trained = train(network, images[chosen], targets[chosen], epochs, rate)
                    figures[name] = [uar(said(trained, images[rest]), targets[rest])]
        words = ", ".join(f"{name} {np.mean(values):.1f} %" for name, values in figures.items())
        print(f"{each} pictures of each class: {words}", flush=True)


if __name__ == "__main__":
    main()
