"""Every setting of a training of the face classifier, and its default; configs/training/facial.toml overrides them."""

from typing import Annotated, Any, Literal

import msgspec

from emopipe.models.facial.networks import NETWORKS
from emopipe.pipeline.errors import EmopipeError
from emopipe.training.trainer.settings import Count, Fraction, NotNegative, Positive, Precision, Share, parse_settings

TEACHER = "hsemotion"

CHANGEABLE_ON_RESUME = ("epochs", "threads", "devices", "validate_every", "patience")
"""The settings that may differ when a run is resumed, since they do not change what a step does."""


class Augmentation(msgspec.Struct, kw_only=True):
    """What is varied in each image: how much at most, or how often. All zero (with `flip` off) leaves it as it is."""

    flip: bool = True  # mirror every other image
    rotation: Annotated[float, msgspec.Meta(ge=0, le=180)] = 12.0  # degrees, either way
    scale: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.15  # larger or smaller, as a logarithm
    shift: Fraction = 0.07  # of the image, each way
    aspect: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.06  # wider or narrower, as a logarithm
    contrast: Fraction = 0.4  # more or less contrast, as a logarithm
    brightness: Fraction = 0.1  # lighter or darker, of the range of grey levels
    gamma: Fraction = 0.5  # of the power that half of the images are raised to, as a logarithm
    side_light: Fraction = 0.1  # how often light comes from one side
    dark: Fraction = 0.04  # how often a picture is nearly black
    blur: Fraction = 0.15  # how often it is blurred
    low_resolution: Fraction = 0.055  # how often it has half the pixels
    noise: Fraction = 0.15  # how often it has a sensor's noise
    jpeg: Fraction = 0.1  # how often it is compressed
    cover: Fraction = 0.2  # how often a rectangle covers a part of the face
    cover_size: Fraction = 0.45  # the rectangle's sides, at most, as a fraction of the image's


class Settings(Augmentation, kw_only=True, forbid_unknown_fields=True):
    """What is trained, from what it starts, what it learns from besides FER2013's labels, and how."""

    network: str = "custom"  # a name in `NETWORKS` of `emopipe.models.facial.networks`, or hsemotion, a teacher
    dropout: Share = 0.2  # before the last layer
    init: str = ""  # weights of ours to start from, to fine-tune; of hsemotion its weights.npz
    imagenet: str = ""  # torchvision's ImageNet weights to start from; not for custom
    votes: str = ""  # FER+'s votes on FER2013's images, Parquet or csv
    rafdb: str = ""  # RAF-DB, a folder or a zip; its training part but for a tenth is trained on
    teachers: tuple[str, ...] = ()  # out-of-fold answers of teachers (.npz, from `folds`), whose mean is learnt
    folds: Annotated[int, msgspec.Meta(ge=0, le=20)] = 0  # >1: write out-of-fold answers to --out, not weights
    label_share: Fraction = 0.4  # of FER2013's label against the teachers' answer
    vote_share: Fraction = 0.5  # of FER+'s votes, or RAF-DB's label, against the teachers' answer
    balance: Fraction = 0.4  # how far RAF-DB's rare classes are drawn more often: n^-balance; 0: not at all
    seed: Annotated[int, msgspec.Meta(ge=0)] = 1  # of the weights, the order of the images and their augmentation
    epochs: Count = 170  # passes over the Training images
    batch_size: Annotated[int, msgspec.Meta(ge=2)] = 512  # images a step, over all GPUs together
    optimizer: Literal["sgd", "adamw"] = "sgd"  # sgd with Nesterov momentum
    learning_rate: Positive = 0.2  # peak of the one-cycle schedule
    warmup: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.15  # fraction of the steps until the peak
    momentum: Share = 0.9  # of SGD; AdamW's first beta
    weight_decay: NotNegative = 5e-4  # on weights, not on biases and norms
    gradient_clip: NotNegative = 0.0  # largest norm of the gradient; 0: none
    label_smoothing: Share = 0.0  # probability of labels that is spread evenly over the classes
    mixup: NotNegative = 0.0  # alpha of the Beta distribution of blends of two faces; 0: none
    ema_decay: Share = 0.998  # of the averaged weights, each step; these are saved
    validate_every: Count = 10  # epochs
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
    if settings.network not in (*NETWORKS, TEACHER):
        raise EmopipeError(f"network: {settings.network!r} is unknown; the networks are {', '.join(NETWORKS)}")
    if settings.network == TEACHER and not (settings.init and settings.folds):
        raise EmopipeError("network: hsemotion is a teacher: name its weights.npz in init, and say how many folds")
    if settings.folds == 1:
        raise EmopipeError("folds: 1 leaves nothing to train on; give 2 or more, or 0 to train one network on all")
    if settings.init and settings.imagenet:
        raise EmopipeError("init and imagenet: both say where to start; leave one of them empty")
    return settings
