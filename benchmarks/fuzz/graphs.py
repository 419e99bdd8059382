"""Mutated graphs: every answer is a graph or problems in words, soon."""

import copy
import resource
import time
import tomllib
from collections.abc import Iterable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.fuzz.cases import Findings, mutate, random_of
from emopipe.graphs.ready import default_graph, ready_graphs
from emopipe.pipeline.errors import GraphError
from emopipe.pipeline.graph.load import graph_from_table, load_graph

KEPT: tuple[int, ...] = ()
MAX_CASE_S = 20.0  # of processor time
MAX_GROWTH_MB = 100.0

ODD_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 2**63, -(2**70), 1e308, float("nan"), float("inf"), "", "\0", "\udcff", "x" * 10_000,
    "capture.video", "fusion.emotions", ".", "a.b.c", "../../x", "file-capture", "face_detection", "stages:Stage",
    "emopipe.pipeline:Stage", "no.such:Thing", ":", [], {}, [[]], {"a": {}}, [{}] * 50, ["capture.video"] * 50,
    {"size": -1}, {"size": 10**9, "policy": "drop"}, object(),
)  # fmt: skip


def fuzz(seed: int, cases: Iterable[int]) -> Findings:
    """Try the cases of these numbers."""
    found = Findings()
    texts = [path.read_bytes() for path in (default_graph(), *ready_graphs().values())]
    _try(texts[0], Random(0), Path("warm.toml"))
    memory = _peak_mb()
    with TemporaryDirectory() as folder:
        for case in cases:
            random = random_of(seed, case)
            began = time.process_time()
            try:
                found.refused += not _try(random.choice(texts), random, Path(folder) / "graph.toml")
            except Exception as error:
                found.wrong.append(f"case {case}: {type(error).__name__}: {error}")
            if time.process_time() - began > MAX_CASE_S:
                found.wrong.append(f"case {case}: took {time.process_time() - began:.0f} s")
            found.tried += 1
    found.growth_mb = _peak_mb() - memory
    if found.growth_mb > MAX_GROWTH_MB:
        found.wrong.append(f"grew by {found.growth_mb:.0f} MB")
    return found


def _try(text: bytes, random: Random, path: Path) -> bool:
    """Whether a graph came of one mutation; one that is refused is refused in lines that can be printed."""
    try:
        if random.random() < 0.5:
            path.write_bytes(mutate(text, random))
            load_graph(path)
        else:
            graph_from_table(mutate_table(tomllib.loads(text.decode()), random), path)
    except GraphError as error:
        lines = str(error).split("\n")
        if not error.problems or not all(line.isprintable() and line.startswith(str(path)) for line in lines):
            raise AssertionError(f"refused with {str(error)!r}") from error
        return False
    return True


def mutate_table(table: dict[str, Any], random: Random) -> dict[str, Any]:
    """A copy of a graph's table with one to six changes: keys that go, come, are misspelt or renamed, odd values."""
    changed = copy.deepcopy(table)
    for _ in range(random.randint(1, 6)):
        tables = list(_tables(changed))
        here = random.choice(tables)
        key = random.choice(list(here)) if here else "x"
        match random.randrange(6):
            case 0:
                here.pop(key, None)
            case 1:
                here[key] = random.choice(ODD_VALUES)
            case 2:
                here[random.choice(["use", "inputs", "queue", "process", "", "a b", "\x1b[31m", key + "s"])] = (
                    random.choice(ODD_VALUES)
                )
            case 3 if here:
                here[key[::-1]] = here.pop(key)
            case 4:
                here[key] = copy.deepcopy(random.choice(tables))
            case 5 if isinstance(here.get(key), str):
                here[key] = mutate(here[key].encode(errors="replace"), random).decode(errors="replace")
    if random.random() < 0.1:
        here[key] = _nested(random.choice([3, 50, 5000]))
    return changed


def _tables(table: dict[str, Any]) -> Iterable[dict[str, Any]]:
    waiting = [table]
    while waiting:
        here = waiting.pop()
        yield here
        waiting += [value for value in here.values() if isinstance(value, dict)]


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
