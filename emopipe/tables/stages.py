"""The reference of stages, made from their code: declared ports, typed settings, payload types, docstrings."""

import inspect
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

import msgspec
import numpy as np

from emopipe.pipeline.graph.parse import PipelineSettings
from emopipe.pipeline.graph.settings import convert, describe
from emopipe.pipeline.message import Payload
from emopipe.pipeline.port import Port, Queue
from emopipe.pipeline.stage import Stage
from emopipe.pipeline.supervision.settings import Supervision
from emopipe.pipeline.text import show

HEADER = """\
# Stages

This page is made from the code by `emopipe inspect --markdown`. A stage is described by its own class, so what
stands here is what `emopipe check` holds a graph against. In the terminal, `emopipe inspect` lists the stages and
`emopipe inspect STAGE` shows one of them, a class of your own (`my_module:MyStage`) included. How a graph is
written is in [graph.md](graph.md).
"""

ANY = "any"  # the type of a port that takes every type


def summary(cls: type[Stage]) -> str:
    """What the stage does, in the first sentence of its docstring."""
    return inspect.cleandoc(cls.__doc__ or "").partition("\n\n")[0].replace("\n", " ")


def purpose(cls: type[Stage]) -> str:
    """The stage's whole docstring."""
    return inspect.cleandoc(cls.__doc__ or "")


def latency(cls: type[Stage]) -> float:
    """The least latency of the stage in s, with its settings' defaults; 0 where some have none."""
    settings, _ = convert({}, cls.Settings)
    return 0.0 if settings is None else settings.latency()


def port_row(name: str, port: Port, *, is_input: bool) -> list[str]:
    """Name, type, meaning, and for an input the queue it has in live mode."""
    row = [
        name,
        ANY if port.type is Payload else port.type.__name__,
        port.doc + (" (optional)" if port.optional else ""),
    ]
    return [*row, f"{port.size}, {port.policy}"] if is_input else row


def setting_rows(cls: type[msgspec.Struct]) -> list[list[str]]:
    """Name, type, unit, default, range and meaning of each setting."""
    return [
        [row.name, row.type, row.unit, "required" if row.required else row.default, row.range, row.text]
        for row in describe(cls)
    ]


def payload_types(ports: Iterable[Port]) -> dict[str, type[Payload]]:
    """The payload types of these ports and all that they hold, by name, each after the one that holds it."""
    found: dict[str, type[Payload]] = {}

    def visit(kind: Any) -> None:
        if isinstance(kind, type) and issubclass(kind, Payload) and kind.__name__ not in found:
            found[kind.__name__] = kind
            for field in msgspec.structs.fields(kind):
                visit(field.type)
        for part in get_args(kind):
            visit(part)

    for port in ports:
        if port.type is not Payload:
            visit(port.type)
    return found


def field_rows(payload: type[Payload]) -> list[list[str]]:
    """Name and type of each field of a payload."""
    return [[field.encode_name, type_name(field.type)] for field in msgspec.structs.fields(payload)]


def type_name(kind: Any) -> str:
    """A field's type as a reader in any language understands it: `list[Face]`, `uint8 array`, `float or none`."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is None or kind is types.NoneType:
        return "none"
    if kind is msgspec.UnsetType:
        return "not there"
    if origin is np.ndarray:
        return f"{np.dtype(get_args(arguments[1])[0]).name} array"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_name(part) for part in arguments)
    if origin is Literal:
        return " or ".join(show(value) for value in arguments)
    if origin is typing.Annotated:
        return type_name(arguments[0])
    if origin is tuple:
        return f"({', '.join(type_name(part) for part in arguments)})"
    if origin is not None:
        return f"{origin.__name__}[{', '.join(type_name(part) for part in arguments)}]"
    return str(getattr(kind, "__name__", kind))


def markdown(stages: Mapping[str, type[Stage]]) -> str:
    """The whole reference page."""
    lines = [HEADER]
    names = [f"[{name}](#{name})" for name in stages]
    lines += _table(["stage", "what it does"], zip(names, (summary(cls) for cls in stages.values()), strict=True))
    for name, cls in stages.items():
        lines += [f"## {name}", "", *stage_markdown(cls)]
    lines += ["## The graph's own keys", "", "In `[pipeline]`:", "", *_settings_table(PipelineSettings)]
    lines += ["In `supervision`, of `[pipeline]` for all stages and of a stage's own table:", ""]
    lines += _settings_table(Supervision)
    lines += ["In `queue.PORT`; what is not given is the input's own default:", "", *_settings_table(Queue)]
    lines += [
        "## Payload types",
        "",
        "What travels on the links; the wire format is in [wire-format.md](wire-format.md).",
        "",
    ]
    ports = [port for cls in stages.values() for port in (*cls.inputs.values(), *cls.outputs.values())]
    for name, payload in sorted(payload_types(ports).items()):
        rows = ([f"`{field}`", kind] for field, kind in field_rows(payload))
        lines += [f"### {name}", "", inspect.cleandoc(payload.__doc__ or ""), "", *_table(["field", "type"], rows)]
    return "\n".join(lines).rstrip() + "\n"


def stage_markdown(cls: type[Stage]) -> list[str]:
    """One stage's section, without its heading, as lines."""
    lines = [purpose(cls), ""]
    if least := latency(cls):
        lines += [f"Least latency with the defaults: {show(least)} s.", ""]
    for heading, ports, columns in (
        ("input", cls.inputs, ["input", "type", "meaning", "queue in live mode"]),
        ("output", cls.outputs, ["output", "type", "meaning"]),
    ):
        rows = [port_row(name, port, is_input=heading == "input") for name, port in ports.items()]
        if rows:
            lines += _table(columns, ([f"`{row[0]}`", _linked(row[1]), *row[2:]] for row in rows))
    return [*lines, *(_settings_table(cls.Settings) or ["It has no settings.", ""])]


def _linked(payload: str) -> str:
    return payload if payload == ANY else f"[{payload}](#{payload.lower()})"


def _settings_table(cls: type[msgspec.Struct]) -> list[str]:
    columns = ["setting", "type", "unit", "default", "range", "meaning"]
    rows = setting_rows(cls)
    marked = ([f"`{r[0]}`", r[1], r[2], r[3] if r[3] in ("required", "not set") else f"`{r[3]}`", *r[4:]] for r in rows)
    return _table(columns, marked) if rows else []


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    escaped = ([cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows)
    return [
        f"| {' | '.join(columns)} |",
        f"|{'---|' * len(columns)}",
        *(f"| {' | '.join(row)} |" for row in escaped),
        "",
    ]
