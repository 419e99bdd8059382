"""One split, held in memory, in batches."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from models.facial import prepare
from training import fer2013


class Batches:
    """Batches of one split, held as one tensor: no decoding and no copy from disk while training."""

    def __init__(self, split: fer2013.Split, size: int, device: torch.device, shuffle: bool) -> None:
        self.images = torch.from_numpy(split.images).to(device)
        self.targets = torch.from_numpy(split.targets).to(device)
        self.size, self.shuffle = size, shuffle

    def __len__(self) -> int:
        whole, rest = divmod(len(self.images), self.size)
        # A last batch that is nearly empty would spoil the batch norm's statistics: training leaves it out.
        return max(whole, 1) if self.shuffle else whole + (rest > 0)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        count = len(self.images)
        order = torch.randperm(count) if self.shuffle else torch.arange(count)
        for index in torch.split(order.to(self.images.device), self.size)[: len(self)]:
            yield self.images[index], self.targets[index]


@torch.inference_mode()
def predict(network: nn.Module, split: fer2013.Split) -> Tensor:
    """Logits [N, classes] of a network in evaluation mode."""
    device = next(network.parameters()).device
    return torch.cat([network(prepare(images)).cpu() for images, _ in Batches(split, 256, device, shuffle=False)])
