"""One split, held in memory, in batches."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from emopipe.models.facial.base import prepare
from emopipe.training.facial import fer2013


class FaceBatches:
    """Batches of one split, held as one tensor: no decoding and no copy from disk while training.

    Several GPUs share each batch: of every `world` images in it, rank r gets the r-th. So a config means the same
    steps on one GPU and on several, and between them the ranks see each image once an epoch.

    Args:
        split: its images.
        size: images in a batch, over all ranks together.
        device: where the batches are made.
        seed: of the images' order, with `epoch`; none leaves them as they are, as validation does.
        rank: which share of each batch is ours.
        world: how many share it; the images of a batch that do not go round are left out.
    """

    def __init__(
        self,
        split: fer2013.Split,
        size: int,
        device: torch.device,
        seed: int | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.images = torch.from_numpy(split.images).to(device)
        self.targets = torch.from_numpy(split.targets).to(device)
        self.size, self.seed, self.rank, self.world = size, seed, rank, world
        self.epoch = 0  # to be set before each

    def __len__(self) -> int:
        whole, rest = divmod(len(self.images), self.size)
        # A last batch that is nearly empty would spoil the batch norm's statistics: training leaves it out.
        return whole + (rest > 0) if self.seed is None else max(whole, 1)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.arange(len(self.images))
        if self.seed is not None:
            random = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
            order = order[torch.randperm(len(order), generator=random)]
        for batch in torch.split(order, self.size)[: len(self)]:
            index = batch[: len(batch) - len(batch) % self.world][self.rank :: self.world].to(self.images.device)
            yield self.images[index], self.targets[index]


@torch.inference_mode()
def predict(network: nn.Module, split: fer2013.Split) -> Tensor:
    """Logits [N, classes] of a network in evaluation mode."""
    device = next(network.parameters()).device
    return torch.cat([network(prepare(images)).cpu() for images, _ in FaceBatches(split, 256, device)])
