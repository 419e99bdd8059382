"""Stages by name: the table of `emopipe.stages` has `file-capture`; `my_package.my_module:MyStage` is a user's own."""

import importlib
import math
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import msgspec

import emopipe
from emopipe.pipeline.errors import GraphError, Problem
from emopipe.pipeline.graph.settings import convert
from emopipe.pipeline.message import Payload
from emopipe.pipeline.port import ANY_PORT, Port, Settings
from emopipe.pipeline.source import Source
from emopipe.pipeline.stage import Stage
from emopipe.pipeline.text import instead, nearest, one_line, show

BUILT_IN = "emopipe.stages"  # the package that holds their table
_PACKAGE = Path(emopipe.__file__).parent
GRAPH_KEYS = ("use", "inputs", "queue", "process", "supervision", "gpus")  # of a stage's table; all others are settings


def resolve(use: str) -> type[Stage]:
    """The stage class that `use` names.

    Raises:
        GraphError: no such stage, module or class, not a stage, or an error while importing it.
    """
    try:
        return _class_of(use) if ":" in use else _built_in(use)
    except (GraphError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a module of a user's own may raise, or exit, as it likes
        module = use.partition(":")[0]
        what = ": ".join(filter(None, [type(error).__name__, one_line(error)]))
        raise _wrong(f"importing {show(module)} failed: {what}") from error


def is_own(use: str) -> bool:
    """Whether `use` names a class of the user's own."""
    return ":" in use and use not in _table().values()


def instantiate(
    name: str, use: str, table: Mapping[str, Any], carried: Mapping[str, str] = MappingProxyType({})
) -> Stage:
    """The stage `name` of a graph, from plain data: what a worker process gets. `table` holds the settings alone.

    `carried` names the payload type of each input (`type_name`), for those that `*` stands for.

    Raises:
        GraphError: `use` names no stage, or the settings are wrong.
        EmopipeError: what the output `*` stands for cannot be known.
    """
    cls = resolve(use)
    settings, problems = convert(table, cls.Settings)
    if settings is None:
        raise GraphError([Problem(stage=name, key=key, text=text) for key, text in problems])
    inputs = {port: type_called(carries) for port, carries in carried.items()} if ANY_PORT in cls.inputs else None
    outputs = settings.carries() if ANY_PORT in cls.outputs else None
    if inputs is not None or outputs is not None:
        cls = cls.with_ports(inputs, outputs)
    return cls(settings, label=name)


def type_name(payload: type[Payload]) -> str:
    """The name of a payload type, for `type_called` in another process of the same run: `package.module:Type`."""
    return f"{payload.__module__}:{payload.__qualname__}"


def type_called(name: str) -> type[Payload]:
    """The payload type of this name, whose module is imported: never a name that comes from outside.

    Raises:
        GraphError: there is none.
    """
    module, _, path = name.partition(":")
    try:
        found = attrgetter(path)(importlib.import_module(module))
    except (ImportError, AttributeError, ValueError) as error:
        raise _wrong(f"no payload type {show(name)}: {error}") from None
    if not (isinstance(found, type) and issubclass(found, Payload)):
        raise _wrong(f"{show(name)} is no payload type: its class must derive from emopipe.pipeline.Payload")
    return found


def import_path(graph: Path) -> list[Path]:
    """The folders in which the modules of a graph's own stages are looked for: beside its file, and the current one.

    Not beside the graphs that come with emopipe: its rooms would be found there by their short names, in place of a
    user's own `models.py`.
    """
    folders = dict.fromkeys([graph.absolute().parent, Path.cwd()])
    return [folder for folder in folders if not folder.is_relative_to(_PACKAGE)]


def make_importable(folders: Iterable[Path]) -> None:
    """Let `resolve` find modules in these folders, after all that is installed: nothing of ours is shadowed."""
    for folder in folders:
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    importlib.invalidate_caches()


@cache
def built_in() -> tuple[dict[str, type[Stage]], dict[str, str]]:
    """All built-in stages by name, and what is wrong with those that cannot be loaded."""
    stages: dict[str, type[Stage]] = {}
    broken: dict[str, str] = {}
    for name in sorted(_table()):
        try:
            stages[name] = _built_in(name)
        except GraphError as error:
            broken[name] = str(error)
    return stages, broken


def _built_in(name: str) -> type[Stage]:
    if name in _table():
        return _class_of(_table()[name])
    module, dot, class_name = name.rpartition(".")
    if dot and class_name.isidentifier():
        own = f"; for a class of your own write {show(f'{module}:{class_name}')}"
        raise _wrong(f"no stage {show(name)}{_advice(module, class_name) or own}")
    raise _wrong(f"no stage {show(name)}; {instead(name, _table())}")


def _class_of(use: str) -> type[Stage]:
    """The class of `package.module:Class`."""
    module_name, _, class_name = use.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), class_name]):
        raise _wrong(f'{show(use)} is no stage: expected a name, or "my_package.my_module:MyStage"')
    advice = "" if use in _table().values() else _advice(module_name, class_name)
    module = _import(module_name, advice)
    cls = getattr(module, class_name, None)
    if cls is None:
        near = nearest(class_name, (name for name, value in vars(module).items() if isinstance(value, type)))
        advice = f"; did you mean {show(near)}?" if near else advice
        raise _wrong(f"module {show(module_name)} has no class {show(class_name)}{advice}")
    if not (isinstance(cls, type) and issubclass(cls, Stage)) or cls is Stage:
        raise _wrong(f"{show(use)} is not a stage: its class must derive from emopipe.pipeline.Stage")
    return _well_formed(cls, use)  # type: ignore[arg-type]  # a class can be hashed; mypy asks its instances


def _advice(module: str, class_name: str) -> str:
    """Which stage of emopipe is meant by a class or by a module that it is no longer in; empty where none is."""
    names = {each.partition(":")[2]: name for name, each in _table().items()}
    found = names.get(class_name)
    if found is None and module.partition(".")[0] in ("emopipe", "stages"):
        near = nearest(class_name, names)
        found = names[near] if near else nearest(module.rpartition(".")[2], _table())
    return f"; did you mean {show(found)}?" if found else ""


@cache
def _table() -> Mapping[str, str]:
    """The classes of the built-in stages by name; found by the package's name, so that the runtime depends on none."""
    table: Mapping[str, str] = importlib.import_module(BUILT_IN).STAGES
    return table


def _import(module: str, advice: str = "") -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # The module itself, or a package it is in; anything else is missing inside the module.
        if error.name is not None and f"{module}.".startswith(f"{error.name}."):
            looked_in = "the graph's folder, the current folder and what is installed"
            raise _wrong(f"no module {show(error.name)}; looked in {looked_in}{advice}") from None
        raise


def _wrong(text: str) -> GraphError:
    return GraphError([Problem(text=text)])


@cache
def _well_formed(cls: type[Stage], use: str) -> type[Stage]:
    """Refuse a class whose declarations nobody can read: the runtime, `check` and `inspect` all rely on them."""
    problem = ""
    if not isinstance(getattr(cls, "name", None), str):
        problem = 'it has no name; declare `name = "…"` in the class'
    for kind in ("inputs", "outputs"):
        ports = getattr(cls, kind)
        if not isinstance(ports, dict) or not all(
            isinstance(name, str) and (name.isidentifier() or name == ANY_PORT) and isinstance(port, Port)
            for name, port in ports.items()
        ):
            problem = f"`{kind}` must map identifiers to Port(…)"
    if not (isinstance(cls.Settings, type) and issubclass(cls.Settings, Settings)):
        problem = "`Settings` must derive from emopipe.pipeline.Settings"
    else:
        try:
            msgspec.inspect.type_info(cls.Settings)
            fields = [field.encode_name for field in msgspec.structs.fields(cls.Settings)]
            if taken := [name for name in fields if name in GRAPH_KEYS]:
                problem = f"setting {show(taken[0])} is a word of the graph; give it another name"
            if taken := [name for name in fields if hasattr(Settings, name)]:
                problem = f"setting {show(taken[0])} is what the graph asks of settings; give it another name"
        except Exception as error:
            problem = f"its settings cannot be read: {type(error).__name__}: {one_line(error)}"
    if not problem and not (isinstance(cls.work_ms, int | float) and 0 <= cls.work_ms < math.inf):
        problem = f"`work_ms` must be a number, 0 or more, not {show(cls.work_ms)}"
    if not problem and not (isinstance(cls.memory_mb, int | float) and 0 <= cls.memory_mb < math.inf):
        problem = f"`memory_mb` must be a number, 0 or more, not {show(cls.memory_mb)}"
    if not problem and bool(cls.inputs) == issubclass(cls, Source):
        has, base = ("has inputs", "Stage") if cls.inputs else ("has no inputs", "Source")
        problem = f"it {has}; derive from emopipe.pipeline.{base}"
    if not problem and any(
        (port.type is Payload) != (name == ANY_PORT) for name, port in (cls.inputs | cls.outputs).items()
    ):
        problem = f"a port of any type is called {show(ANY_PORT)}, and no other is"
    if problem:
        raise _wrong(f"stage {show(use)} is badly declared: {problem}")
    return cls
