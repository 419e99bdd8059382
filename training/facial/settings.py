"""Every setting of a training of the face classifier, and its default; configs/training/facial.toml overrides them."""

from typing import Annotated, Any, Literal

import msgspec

from emopipe.models.facial.base import SIZE
from emopipe.models.facial.networks import NETWORKS
from emopipe.pipeline.errors import EmopipeError
from emopipe.training.trainer.settings import Count, Fraction, NotNegative, Positive, Precision, Share, parse_settings

Pixels = Annotated[int, msgspec.Meta(ge=24, le=SIZE)]

CHANGEABLE_ON_RESUME = ("epochs", "threads", "devices", "validate_every", "patience")
"""The settings that may differ when a run is resumed, since they do not change what a step does."""


class Augmentation(msgspec.Struct, kw_only=True):
    """Random changes of each image, at most. All zero (with `flip` off) leaves a batch as it is."""

    flip: bool = True  # mirror every other image
    rotation: Annotated[float, msgspec.Meta(ge=0, le=180)] = 10.0  # degrees, either way
    scale: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.1  # larger or smaller by this fraction
    shift: Fraction = 0.06  # of the image, each way
    contrast: Fraction = 0.15  # more or less contrast, by this fraction; and brightness, in standard deviations
    erasing: Fraction = 0.15  # probability of greying out a rectangle
    erasing_size: Fraction = 0.33  # its sides, as a fraction of the image's


class Settings(Augmentation, kw_only=True, forbid_unknown_fields=True):
    """The network, its start, and the training."""

    network: str = "custom"  # a name in `emopipe.models.facial.networks.NETWORKS`
    dropout: Share = 0.2  # before the last layer
    init: str = ""  # weights of ours to start from, to fine-tune
    imagenet: str = ""  # torchvision's ImageNet weights to start from; not for custom
    teachers: tuple[str, ...] = ()  # weights of ours to learn from besides the labels (distillation)
    teacher_weight: Fraction = 0.7  # of the teachers' loss; the labels' has the rest
    teacher_temperature: Positive = 3.0  # softens the teachers' probabilities
    seed: Annotated[int, msgspec.Meta(ge=0)] = 1  # of the weights, the order of the images and their augmentation
    epochs: Count = 36  # passes over the Training images
    batch_size: Annotated[int, msgspec.Meta(ge=2)] = 128  # images a step, over all GPUs together
    optimizer: Literal["sgd", "adamw"] = "sgd"  # sgd with Nesterov momentum
    learning_rate: Positive = 0.1  # peak of the one-cycle schedule
    warmup: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.2  # fraction of the steps until the peak
    momentum: Share = 0.9  # of SGD; AdamW's first beta
    weight_decay: NotNegative = 5e-4  # on weights, not on biases and norms
    gradient_clip: NotNegative = 0.0  # largest norm of the gradient; 0: none
    label_smoothing: Share = 0.1  # probability spread evenly over the classes
    mixup: NotNegative = 0.0  # alpha of the Beta distribution of blends of two faces; 0: none
    ema_decay: Share = 0.995  # of the averaged weights, each step; these are saved
    sizes: Annotated[tuple[Pixels, ...], msgspec.Meta(min_length=1)] = (32, 40, 48)  # in equal shares of the epochs
    validate_every: Count = 3  # epochs
    patience: Annotated[int, msgspec.Meta(ge=0)] = 0  # validations without a lower NLL until it stops; 0: never
    threads: Count = 2  # CPU threads of torch
    devices: Count | Literal["auto"] = "auto"  # GPUs that share each batch
    precision: Precision = "32-true"  # mixed ones need a GPU


def read_settings(config: dict[str, Any]) -> Settings:
    """Settings from a table.

    Raises:
        EmopipeError: a key or the network is unknown, a value is out of range, or two do not go together.
    """
    settings = parse_settings(config, Settings)
    if settings.network not in NETWORKS:
        raise EmopipeError(f"network: {settings.network!r} is unknown; the networks are {', '.join(NETWORKS)}")
    if settings.init and settings.imagenet:
        raise EmopipeError("init and imagenet: both say where to start; leave one of them empty")
    return settings
