"""The cost of each network: ms a face, a window of speech and a moment of both, on one core, as the stages run them.

    python -m benchmarks.models [--rounds 20] [--only custom head …]

All networks take turns, `--rounds` times over, and the median counts: so a machine that slows down slows all. What is
counted is the process's CPU time, all threads together. Weights are random, which costs the same, but the head's:
it hears a window from its sound to its distribution, the voice encoder and functionals with it; the other networks for
voices start from the MFCC that the stream has already. `alone`: one at a time; `of 16`: each in a batch of 16.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from torch import Tensor, nn

from emopipe.models import checkpoint
from emopipe.models.facial import networks as facial_networks
from emopipe.models.facial.base import prepare
from emopipe.models.facial.compiled import CompiledNetwork
from emopipe.models.facial.crops import SIZE
from emopipe.models.facial.model import FacialModel
from emopipe.models.facial.rows import trace
from emopipe.models.fusion import networks as fusion_networks
from emopipe.models.fusion.model import FaceObservation, FusionModel, SpeechObservation, make_moment
from emopipe.models.labels import FACE, SPEECH
from emopipe.models.speech import networks as speech_networks
from emopipe.models.speech.features import MfccSpec
from emopipe.models.speech.files import FALLBACK
from emopipe.models.speech.heads import Head
from emopipe.models.speech.model import SpeechModel
from emopipe.models.speech.vad import SAMPLE_RATE_HZ
from emopipe.models.speech.windower import Window
from emopipe.pipeline.errors import ModelError

BATCH_SIZE = 16
WINDOW_S = 3.0  # the longest window of a stream


@dataclass(frozen=True)
class Candidate:
    """A network of one kind: how many parameters, multiplications a piece (none: not counted), and how to run it."""

    kind: str
    name: str
    parameters: int
    macs: float | None
    run: Callable[[int], object]


def macs(network: nn.Module, x: Tensor) -> float:
    """Multiplications that convolutions, linear layers and LSTMs do for `x`, a batch of one."""
    total = 0.0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += output.numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            total += output.numel() * module.in_features
        elif isinstance(module, nn.LSTM):
            total += inputs[0].shape[1] * sum(p.numel() for name, p in module.named_parameters() if "weight" in name)

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    with torch.inference_mode():
        network.eval()(x)
    for hook in hooks:
        hook.remove()
    return total


def candidates(only: list[str]) -> Iterator[Candidate]:
    """Every network of `models`, or those named."""
    random = np.random.default_rng(0)
    torch.manual_seed(0)
    faces = random.integers(0, 256, (BATCH_SIZE, SIZE, SIZE), dtype=np.uint8)
    for name, build in facial_networks.NETWORKS.items():
        if only and name not in only:
            continue
        face_network = build()
        face_model = FacialModel(CompiledNetwork(trace(face_network)), FACE, 1.0)
        yield Candidate(
            "face",
            name,
            parameters(face_network),
            macs(face_network, prepare(faces[:1])),
            partial(_faces, face_model, faces),
        )

    if not only or "head" in only:
        head = SpeechModel.load(device="cpu")
        if not isinstance(head.network, Head):
            raise ModelError("the voice encoder is not to be had: run `make setup`")
        sound = 0.05 * random.standard_normal(round(WINDOW_S * SAMPLE_RATE_HZ)).astype(np.float32)
        yield Candidate(
            "window",
            "head",
            sum(array.size for array in head.network.weights.values()),
            None,
            partial(_sounds, head, sound),
        )

    spec = MfccSpec()
    windows = list(
        random.standard_normal((BATCH_SIZE, spec.frames(round(WINDOW_S * spec.sample_rate)), spec.coefficients)).astype(
            "f4"
        )
    )
    _, shipped = checkpoint.load(FALLBACK, "speech")
    for name, network in speech_networks.NETWORKS.items():
        if only and name not in only:
            continue
        options = shipped.options if shipped.network == name else {}
        if name == "ensemble" and not options:
            options = {"members": list(speech_networks.SINGLE_NETWORKS)}
        voice_network = network(**options)
        voice_model = SpeechModel(voice_network, spec, SPEECH, 1.0)
        yield Candidate(
            "window",
            name,
            parameters(voice_network),
            macs(voice_network, torch.zeros(1, len(windows[0]), 3 * spec.coefficients)),
            partial(_windows, voice_model, windows),
        )

    seen = [FaceObservation(age=step / 30, probabilities=random.dirichlet(np.ones(len(FACE)))) for step in range(60)]
    heard = [SpeechObservation(0.1, WINDOW_S, random.dirichlet(np.ones(len(SPEECH))))]
    both = make_moment(seen, heard)
    for name, fusion in fusion_networks.NETWORKS.items():
        if only and name not in only:
            continue
        rule = fusion()
        weights = rule.initial(random)
        fusion_model = FusionModel(rule, weights, 1.0)
        yield Candidate(
            "moment",
            name,
            sum(value.size for value in weights.values()),
            None,
            partial(_moments, fusion_model, both),
        )


def _faces(model: FacialModel, faces: NDArray[np.uint8], count: int) -> None:
    model.logits(faces[:count])


def _windows(model: SpeechModel, windows: list[NDArray[np.float32]], count: int) -> None:
    model.logits(windows[:count])


def _sounds(model: SpeechModel, sound: NDArray[np.float32], count: int) -> None:
    window = Window(0, 0, 0, 0, np.empty((0, 0), np.float32), sound, 1.0, 0.0, 0, np.empty(0, np.float32))
    rows = [model.row(window) for _ in range(count)]
    model.voice(rows)
    model.probabilities(rows)


def _moments(model: FusionModel, one: fusion_networks.Moment, count: int) -> None:
    for _ in range(count):
        model.logits(one)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="how often each takes its turn (%(default)s)")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="names of networks")
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error("--rounds: at least 1")
    torch.set_num_threads(1)
    chosen = list(candidates(args.only))
    if not chosen:
        parser.error(f"--only: no network is named {', '.join(args.only)}")
    took: dict[tuple[int, int], list[float]] = {}
    for turn in range(args.rounds + 1):
        for number, candidate in enumerate(chosen):
            for count in (1, BATCH_SIZE):
                began = time.process_time()
                candidate.run(count)
                if turn:  # the first is the warm-up
                    took.setdefault((number, count), []).append((time.process_time() - began) * 1000 / count)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, one used · Python {platform.python_version()} · "
        f"torch {torch.__version__} · torchvision {torchvision.__version__} · "
        f"median of {args.rounds} rounds, CPU time\n"
    )
    print("| one | network | parameters | MACs | ms alone | ms, of 16 |\n|---|---|---|---|---|---|")
    for number, candidate in enumerate(chosen):
        alone, batched = (statistics.median(took[number, count]) for count in (1, BATCH_SIZE))
        products = "–" if candidate.macs is None else f"{candidate.macs / 1e6:.1f} M"
        size = f"{candidate.parameters / 1e6:.2f} M" if candidate.parameters > 100_000 else f"{candidate.parameters:,}"
        print(f"| {candidate.kind} | {candidate.name} | {size} | {products} | {alone:.2f} | {batched:.2f} |")


if __name__ == "__main__":
    main()
