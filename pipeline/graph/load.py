"""A graph from its TOML file: read, checked, and put in order.

    graph = load_graph("pipeline.toml", ["stages.capture.uri=clip.mp4"])
    for spec in graph.stages.values():
        print(spec.name, spec.use, spec.settings)

The file's format is described in docs/graph.md.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emopipe.pipeline.errors import GraphError, Problem
from emopipe.pipeline.graph.check import ask, check, texts
from emopipe.pipeline.graph.overrides import override
from emopipe.pipeline.graph.parse import ParsedStage, PipelineSettings, Problems, fit_inputs, read_pipeline, read_stages
from emopipe.pipeline.graph.process_layout import cores, share_processes
from emopipe.pipeline.graph.registry import import_path, instantiate, make_importable, resolve
from emopipe.pipeline.graph.remote import read_remote
from emopipe.pipeline.graph.shards import check_shards
from emopipe.pipeline.graph.spec import Graph, Link, OutputRef, Remote, StageSpec
from emopipe.pipeline.port import Queue

__all__ = [
    "Graph",
    "Link",
    "OutputRef",
    "Queue",
    "StageSpec",
    "check_unimported",
    "graph_from_table",
    "instantiate",
    "load_graph",
    "make_importable",
    "overridden",
    "read_table",
    "resolve",
]


def load_graph(path: str | Path, overrides: Sequence[str] = ()) -> Graph:
    """The graph in a TOML file, with `overrides` such as `stages.capture.uri=clip.mp4` applied.

    Paths in settings are relative to the current folder, as a user of a command line expects. Modules of stages
    are looked for beside the file and in the current folder.

    Raises:
        GraphError: everything that is wrong, one line each, beginning with the file's name.
    """
    return graph_from_table(read_table(path), path, overrides)


def read_table(path: str | Path) -> dict[str, Any]:
    """The table in a TOML file, as it is: for those who change it before `graph_from_table`.

    Raises:
        GraphError: the file cannot be read, or is not TOML.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
        return tomllib.loads(text)
    except FileNotFoundError:
        problem = "no such file; expected a graph in TOML"
    except IsADirectoryError:
        problem = "this is a folder; expected a graph in TOML"
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}"
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problem = f"line {line}: this is not UTF-8 text; expected a graph in TOML (`emopipe replay` plays recordings)"
    except tomllib.TOMLDecodeError as error:
        problem = _syntax(str(error), text)
    except RecursionError:
        problem = "tables or lists are nested too deeply"
    except ValueError as error:  # the parser's own: a null byte in the path, a number of thousands of digits
        problem = str(error)
    raise GraphError([Problem(text=problem)], str(path))


def overridden(table: Mapping[str, Any], origin: str | Path, overrides: Sequence[str]) -> dict[str, Any]:
    """A copy of a parsed TOML table with `overrides` applied, for those who change it further.

    Raises:
        GraphError: one cannot be applied.
    """
    problems = Problems()
    changed = override(table, overrides, problems)
    if found := problems.sorted([]):
        raise GraphError(found, str(origin))
    return changed


def graph_from_table(table: Mapping[str, Any], origin: str | Path, overrides: Sequence[str] = ()) -> Graph:
    """The graph that a parsed TOML table describes; `origin` is the file it is said to be from.

    Raises:
        GraphError: everything that is wrong, one line each, beginning with `origin`.
    """
    path = Path(origin)
    make_importable(import_path(path))
    pipeline, parsed, order, remote = _checked(table, origin, overrides, own_code=True)
    stages = {}
    for name in order:
        each = parsed[name]
        if each.cls is not None and each.settings is not None:
            stages[name] = StageSpec(
                name=name,
                use=each.use,
                cls=each.cls,
                settings=each.settings,
                table=each.table,
                inputs=each.inputs,
                queues=each.queues,
                process=each.process,
                supervision=each.supervision,
                gpus=each.gpus,
            )
    budget = pipeline.latency_budget if pipeline.mode == "live" else None
    return Graph(
        pipeline.name or path.stem,
        pipeline.mode,
        stages,
        path,
        budget,
        monitoring=pipeline.monitoring,
        remote=remote,
        layout=pipeline.layout,
        shards=pipeline.shards,
    )


def check_unimported(path: str | Path, overrides: Sequence[str] = ()) -> dict[str, str]:
    """Check the graph in a file as far as it goes without importing any code but that of emopipe.

    Returns:
        What `use` says of the stages that were not looked into, by their names.

    Raises:
        GraphError: everything that is wrong.
    """
    _, parsed, *_ = _checked(read_table(path), path, overrides, own_code=False)
    return {name: each.use for name, each in parsed.items() if each.cls is None}


def _checked(
    table: Mapping[str, Any], origin: str | Path, overrides: Sequence[str], *, own_code: bool
) -> tuple[PipelineSettings, dict[str, ParsedStage], list[str], Remote]:
    """The tables of a graph in which nothing is wrong, its stages in topological order, and what runs elsewhere."""
    problems = Problems()
    try:
        table = override(table, overrides, problems)
        pipeline = read_pipeline(table, problems)
        parsed = read_stages(table, pipeline, problems, own_code=own_code)
        fit_inputs(parsed)
        remote = read_remote(pipeline.control, table.get("processes", {}), parsed, problems)
        if pipeline.layout == "auto":
            _share_processes(parsed, pipeline.shards, problems)
        order = check(parsed, pipeline, problems)
        check_shards(parsed, pipeline, remote, problems)
    except RecursionError:
        raise GraphError([Problem(text="tables or lists are nested too deeply")], str(origin)) from None
    if found := problems.sorted(parsed):
        raise GraphError(found, str(origin))
    return pipeline, parsed, order, remote


def _share_processes(stages: Mapping[str, ParsedStage], shards: int, problems: Problems) -> None:
    """Put the stages into processes as suits the cores that each shard has, as far as the graph leaves that open.

    Those that serve an address together have no choice, and are put into one first.
    """
    serving: dict[str, list[ParsedStage]] = {}
    for stage in stages.values():
        for endpoint in ask(stage, "serves", texts, problems) or []:
            serving.setdefault(endpoint, []).append(stage)
    for together in serving.values():
        process = next((stage.process for stage in together if stage.fixed), together[0].process)
        for stage in together:
            stage.process = stage.process if stage.fixed else process
    fixed = {stage.process for stage in stages.values() if stage.fixed or stage.remote}
    for process, names in share_processes(stages, fixed, max(1, cores() // shards)).items():
        for name in names:
            stages[name].process = process


def _syntax(message: str, text: str) -> str:
    """`line 3, column 7: …` from the parser's `… (at line 3, column 7)`."""
    message, _, place = message.removesuffix(")").partition(" (at ")
    if not re.fullmatch(r"line \d+, column \d+", place):  # "end of document"
        lines = text.splitlines() or [""]
        place = f"line {len(lines)}, column {len(lines[-1]) + 1}"
    return f"{place}: not valid TOML: {message[:1].lower()}{message[1:]}"
