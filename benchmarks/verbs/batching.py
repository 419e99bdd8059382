"""Faces a second through facial inference, by the size of its batches, beside a bare loop over the same network.

In turn, on the same crops, a face a message and then a crowd in each; `--backend` computes both. On a GPU also beside
PyTorch alone: the bare loop plays CUDA graphs, as the stage does. Then crops of `--streams` at 30 a second each, in
live mode: how long a face waits for its answer, and how many had to be dropped.
"""

import argparse
import asyncio
import time
from typing import Any, get_args

import numpy as np

from benchmarks.chart import Bar
from benchmarks.clips import above_zero, add_rounds_argument, at_least
from benchmarks.commands import ROOT
from benchmarks.outcome import Outcome, add_output_arguments, spread, spread_table
from emopipe.models.facial.crops import SIZE
from emopipe.models.facial.model import FacialModel
from emopipe.models.loading import Backend, set_torch_threads
from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.graph.load import graph_from_table
from emopipe.pipeline.runtime.result import RunResult
from emopipe.pipeline.runtime.supervisor import Supervisor
from emopipe.pipeline.text import count

HELP = "faces a second by the size of batches, beside a bare loop over the same network"
BATCH_SIZES = (1, 8, 64)
RATE_HZ = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--faces", type=at_least(128), default=512, metavar="N", help="a size and round (default: %(default)s)"
    )
    parser.add_argument(
        "--crowd",
        type=at_least(2),
        default=8,
        metavar="N",
        help="faces in a frame, for the last row (default: %(default)s)",
    )
    parser.add_argument("--streams", type=at_least(1), default=4, metavar="N", help="live (default: %(default)s)")
    parser.add_argument("--seconds", type=above_zero, default=4.0, help="live (default: %(default)g)")
    parser.add_argument(
        "--backend",
        choices=get_args(Backend),
        default="auto",
        help="what computes the network (default: onnxruntime on a CPU, torch on a GPU)",
    )
    add_rounds_argument(parser)
    add_output_arguments(parser)


def measure(arguments: argparse.Namespace) -> Outcome:
    backend = arguments.backend
    model = FacialModel.load(backend=backend)
    set_torch_threads(1)  # as the stage does
    rounds: list[dict[str, float]] = []
    for _ in range(arguments.rounds):
        row: dict[str, float] = {}
        for size in BATCH_SIZES:
            bare, stage = bare_loop(model, size, arguments.faces), through_stage(size, arguments.faces, backend)
            row |= {f"bare_{size}_per_s": bare, f"stage_{size}_per_s": stage, f"stage_over_bare_{size}": stage / bare}
        crowd = through_stage(size, arguments.faces, backend, arguments.crowd)
        row |= {f"crowd_{size}_per_s": crowd, f"crowd_over_bare_{size}": crowd / bare}
        if model.device != "cpu":
            eager = torch_loop(model.device, size, arguments.faces)
            row |= {
                f"torch_{size}_per_s": eager,
                f"stage_over_torch_{size}": stage / eager,
                f"crowd_over_torch_{size}": crowd / eager,
            }
        rounds.append(row)
    found = spread(rounds)
    result = play(
        "live",
        max(BATCH_SIZES),
        {"count": round(arguments.seconds * RATE_HZ), "streams": arguments.streams, "rate": RATE_HZ},
        backend,
    )
    age = result.reports["answers"].age
    dropped = sum(
        sum(counts.dropped.values()) for report in result.reports.values() for counts in report.links.values()
    )
    live = {
        "live_streams": arguments.streams,
        "live_p50_ms": age.percentile(50) / MS,
        "live_p95_ms": age.percentile(95) / MS,
        "live_dropped": dropped,
    }
    return Outcome(
        f"Faces on {model.device} by {model.backend}, {arguments.faces} a size of batch; "
        f"{count(arguments.rounds, 'round')} in turn",
        {
            "device": model.device,
            "backend": model.backend,
            **{name: median for name, (median, _, _) in found.items()},
            **live,
            "rounds": rounds,
            "spread": found,
        },
        [
            ("Faces a second, and the stage's over the bare loop's", spread_table(found)),
            (f"Crops of {arguments.streams} streams, {RATE_HZ:g} a second each", [live]),
        ],
        [
            Bar(f"{who}, batches of {size}", median, low, high, "faces/s")
            for size in BATCH_SIZES
            for who, name in (
                ("bare loop", f"bare_{size}_per_s"),
                ("PyTorch alone", f"torch_{size}_per_s"),
                ("stage", f"stage_{size}_per_s"),
                (f"stage, frames of {arguments.crowd}", f"crowd_{size}_per_s"),
            )
            if name in found
            for median, low, high in [found[name]]
        ],
    )


def bare_loop(model: FacialModel, size: int, faces: int) -> float:
    """Faces a second of the network alone, in batches of `size`."""
    crops = np.random.default_rng(0).integers(0, 256, (size, SIZE, SIZE), dtype=np.uint8)
    model.probabilities(crops)  # warm-up
    began = time.perf_counter()
    for _ in range(faces // size):
        model.probabilities(crops)
    return faces // size * size / (time.perf_counter() - began)


def torch_loop(device: str, size: int, faces: int) -> float:
    """Faces a second of the network as PyTorch runs it on a GPU, kernel by kernel, from crops to probabilities."""
    import torch

    from emopipe.models.facial.base import prepare
    from emopipe.models.facial.networks import NETWORKS
    from emopipe.models.facial.rows import RowNetwork
    from emopipe.models.loading import load_network

    network, card = load_network(None, "facial", NETWORKS)
    rows = RowNetwork(network).to(device)
    crops = np.random.default_rng(0).integers(0, 256, (size, SIZE, SIZE), dtype=np.uint8)

    @torch.inference_mode()
    def probabilities() -> None:
        judged = rows(prepare(torch.from_numpy(crops).to(device)))
        torch.softmax(judged[:, :-1] / card.temperature, dim=1).cpu()

    probabilities()  # warm-up
    began = time.perf_counter()
    for _ in range(faces // size):
        probabilities()
    return faces // size * size / (time.perf_counter() - began)


def through_stage(size: int, faces: int, backend: str, frame: int = 1) -> float:
    """Faces a second through the stage, `frame` of them in a message, with batches of up to `size`."""
    source = {"count": faces // frame, "faces": frame}
    counters = play("replay", size, source, backend).reports["answers"].counters
    return counters["after_first"] / ((counters["last_ns"] - counters["first_ns"]) / SECOND)


def play(mode: str, size: int, source: dict[str, Any], backend: str) -> RunResult:
    """Crops through facial inference, all in one process."""
    table = {
        "pipeline": {"mode": mode},
        "stages": {
            "crops": {"use": "benchmarks.batching.stages:Crops", **source},
            "facial": {
                "use": "facial-inference",
                "batch_size": size,
                "backend": backend,
                "inputs": {"faces": "crops.faces"},
                "queue": {"faces": {"size": 2 * max(BATCH_SIZES)}},
            },
            "answers": {"use": "benchmarks.batching.stages:Answers", "inputs": {"emotions": "facial.emotions"}},
        },
    }
    return asyncio.run(Supervisor(graph_from_table(table, ROOT / "batching.toml").in_one_process()).run())
