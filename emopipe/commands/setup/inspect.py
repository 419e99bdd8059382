"""List the stages, or show one: what comes in, what goes out, and its settings with units, defaults and ranges."""

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.graph.registry import built_in, make_importable, resolve
from emopipe.pipeline.graph.schema import graph_schema
from emopipe.pipeline.stage import Stage
from emopipe.pipeline.text import show
from emopipe.tables import stages as reference

HELP = "show the stages and their settings"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("stage", nargs="?", help="a stage's name, or my_module:MyStage; without it all are listed")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="as Markdown; without a stage the whole reference page")
    form.add_argument(
        "--schema",
        action="store_true",
        help="the JSON schema of a graph's file, for editors; with a stage of your own this one is in it",
    )


def main(arguments: argparse.Namespace) -> int:
    console = Console(highlight=False)
    if arguments.stage is not None:
        make_importable([Path.cwd()])
        cls = resolve(arguments.stage)
        if arguments.schema:
            _print_schema({arguments.stage: cls})
        elif arguments.markdown:
            print("\n".join([f"## {cls.name}", "", *reference.stage_markdown(cls)]).rstrip())
        else:
            _show(cls, console)
        return 0
    if arguments.schema:
        _print_schema({})
        return 0
    stages, broken = built_in()
    if arguments.markdown:
        _need_whole(broken)
        print(reference.markdown(stages), end="")
        return 0
    rows = [[name, _ports(cls), reference.summary(cls)] for name, cls in stages.items()]
    _table(console, ["stage", "inputs → outputs", "what it does"], rows)
    for name, problem in broken.items():
        console.print(Text(f"{name} cannot be loaded: {problem}", style="red"))
    return 1 if broken else 0


def _print_schema(more: dict[str, type[Stage]]) -> None:
    stages, broken = built_in()
    _need_whole(broken)
    print(json.dumps(graph_schema(stages | more), indent=2, ensure_ascii=False))


def _need_whole(broken: dict[str, str]) -> None:
    """Raises: EmopipeError: there are stages that cannot be loaded."""
    if broken:
        raise EmopipeError("; ".join(f"stage {show(name)}: {problem}" for name, problem in broken.items()))


def _ports(cls: type[Stage]) -> str:
    return " → ".join(filter(None, [", ".join(cls.inputs), ", ".join(cls.outputs)]))


def _show(cls: type[Stage], console: Console) -> None:
    console.print(Text(cls.name, style="bold"))
    console.print(Text(_unwrap(reference.purpose(cls))))
    if least := reference.latency(cls):
        console.print(Text(f"\nLeast latency with the defaults: {show(least)} s"))
    console.print()
    if cls.inputs:
        rows = [reference.port_row(name, port, is_input=True) for name, port in cls.inputs.items()]
        _table(console, ["input", "type", "meaning", "queue in live mode"], rows)
    if cls.outputs:
        rows = [reference.port_row(name, port, is_input=False) for name, port in cls.outputs.items()]
        _table(console, ["output", "type", "meaning"], rows)
    ports = [*cls.inputs.values(), *cls.outputs.values()]
    payloads = [
        [name, ", ".join(f"{field}: {kind}" for field, kind in reference.field_rows(payload))]
        for name, payload in reference.payload_types(ports).items()
    ]
    if payloads:
        _table(console, ["type", "fields"], payloads)
    if settings := reference.setting_rows(cls.Settings):
        _table(console, ["setting", "type", "unit", "default", "range", "meaning"], settings)
    else:
        console.print("It has no settings.")


def _unwrap(text: str) -> str:
    """Let the terminal break the lines of paragraphs; what is indented or a list stays as it is."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(
        p if any(p_.startswith((" ", "- ")) for p_ in p.split("\n")) else p.replace("\n", " ") for p in paragraphs
    )


def _table(console: Console, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, style="bold" if number == 0 else "", no_wrap=number == 0)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
