"""What a picture costs on one machine, as `emopipe bench live` measures it with one camera."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.live.measurement import BESIDE
from emopipe.pipeline.errors import EmopipeError

DEFAULT = Path(__file__).with_name("live.json")
"""What `emopipe bench live CLIP --layout stages --json live.json` has measured: `--streams 1 2 4 8` and, six minutes
later, `--streams 3 6`, put together."""

STAGES_PASSED = {"faces": "faces", "facial": "facial", "fusion": "fusion", "publish": "sink"}
"""The stages between capture and subscriber, and what they are called here."""

SOUND = ("windows", "speech")
NORMAL_P95 = 1.645  # standard deviations


class Costs(NamedTuple):
    """What a picture, and the sound that comes with it, costs.

    Attributes:
        decode: ms of CPU, where pictures come encoded.
        work: ms that a stage takes for it where nothing else runs; of sound ms of CPU.
        beside: ms of CPU that its process takes besides, as for reports and for sound.
        hop: ms that a process takes to take a message in.
        spread: of the logarithm of a stage's time.
        speaking: the share of a conversation in which somebody speaks, which is all work of `speech`.
        turn_s: from one beginning of that to the next.
        warm: what all this takes, of its time, on cores that are not idle in between.
    """

    decode: float
    work: Mapping[str, float]
    beside: Mapping[str, float]
    hop: float
    spread: float
    speaking: float
    turn_s: float
    warm: float

    @property
    def cpu(self) -> dict[str, float]:
        """ms of CPU by stage, without decoding."""
        hops = dict.fromkeys((*STAGES_PASSED.values(), BESIDE), self.hop)
        parts = (self.work, self.beside, hops)
        return {name: sum(part.get(name, 0.0) for part in parts) for name in {**self.work, **self.beside}}

    def times(self, factor: float) -> "Costs":
        """On a machine that takes so much longer for all."""
        work = {name: ms * factor for name, ms in self.work.items()}
        beside = {name: ms * factor for name, ms in self.beside.items()}
        return self._replace(decode=self.decode * factor, work=work, beside=beside, hop=self.hop * factor)


def measured(found: Mapping[str, Any]) -> Costs:
    """Costs from what `emopipe bench live --json` has written of one camera, and others where they are.

    Raises:
        EmopipeError: it says nothing of one camera, or stages shared processes.
    """
    try:
        row, cpu = found["streams"]["1"], dict(found["process_cpu_ms"]["1"])
        hops = {hop["stage"]: hop for hop in found["hops_ms"] if hop["streams"] == 1}
        on_the_way = {name: hops[stage]["worked p50"] for stage, name in STAGES_PASSED.items()}
        waits = [hops[stage]["waited p50"] for stage in STAGES_PASSED]
        cpu = {STAGES_PASSED.get(name, name): ms for name, ms in cpu.items()} | {"capture": cpu["captures"]}
        sound = {name: cpu[name] for name in SOUND}
        warm = _warm(found["streams"], sum(sound.values()))
        speaking, turn = found["speaking"]["share"], found["speaking"]["loop_s"]
        decode, convert = found["kernel_ms"]["decode"], found["kernel_ms"]["convert"]
    except KeyError as error:
        remedy = "measure with `emopipe bench live CLIP --streams 1 2 3 4 6 8 --layout stages --json FILE`"
        raise EmopipeError(f"nothing of {error} in what was measured; {remedy}") from None
    hop = sum(waits) / len(waits)
    capture = row["p50_ms"] - sum(on_the_way.values()) - sum(waits) - hop
    work = {"capture": capture, **on_the_way}
    own = work | {name: ms + hop for name, ms in on_the_way.items()} | {BESIDE: hop}
    beside = {name: max(0.0, cpu[name] - ms) for name, ms in own.items()}
    slow = hops["faces"]["worked p95"] / hops["faces"]["worked p50"]
    spread = math.log(slow) / NORMAL_P95
    return Costs(max(0.0, decode - convert), work | sound, beside, hop, spread, speaking, turn, warm)


def _warm(rows: Mapping[str, Mapping[str, float]], sound: float) -> float:
    """What work takes with the most cameras, of what it takes with one, of which `sound` is that of the sound.

    Pictures are left out there, and sound is not.
    """
    one, most = rows["1"], rows[max(rows, key=int)]
    pictures, cameras = most["results_per_s"], most["offered_per_s"] / one["offered_per_s"]
    cold = pictures * (one["cpu_ms_a_result"] - sound) + cameras * one["results_per_s"] * sound
    return min(1.0, pictures * most["cpu_ms_a_result"] / cold)


def read(file: Path) -> dict[str, Any]:
    """What was measured, from a file.

    Raises:
        EmopipeError: it cannot be read, or is none.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise EmopipeError(f"{file}: {error.strerror}") from None
    except ValueError as error:
        raise EmopipeError(f"{file}: is not what `emopipe bench live --json` writes: {error}") from None
    if not isinstance(found, dict):
        raise EmopipeError(f"{file}: is not what `emopipe bench live --json` writes: no table")
    return found


def default() -> Costs:
    """Those of the machine that docs/cluster.md speaks of."""
    return measured(read(DEFAULT))


def rate(found: Mapping[str, Any], streams: int) -> float:
    """The pictures that a camera has offered a second."""
    return float(found["streams"][str(streams)]["offered_per_s"]) / streams
