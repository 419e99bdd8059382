"""Stages by name: the table of `emopipe.stages` has `file-capture`; `my_package.my_module:MyStage` is a user's own."""

import importlib
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

import emopipe
from emopipe.pipeline.errors import GraphError
from emopipe.pipeline.graph.settings import convert
from emopipe.pipeline.port import Port, Settings
from emopipe.pipeline.stage import Stage
from emopipe.pipeline.text import instead, key_path, nearest, one_line, show

BUILT_IN = "emopipe.stages"  # the package that holds their table
_PACKAGE = Path(emopipe.__file__).parent
GRAPH_KEYS = ("use", "inputs", "queue", "process")  # of a stage's table; all others are settings


def resolve(use: str) -> type[Stage]:
    """The stage class that `use` names.

    Raises:
        GraphError: no such stage, module or class, not a stage, or an error while importing it.
    """
    if ":" not in use:
        return _built_in(use)
    return _class_of(use)


def instantiate(name: str, use: str, table: Mapping[str, Any]) -> Stage:
    """The stage `name` of a graph, from plain data: what a worker process gets. `table` holds the settings alone.

    Raises:
        GraphError: `use` names no stage, or the settings are wrong.
    """
    cls = resolve(use)
    settings, problems = convert(table, cls.Settings)
    if settings is None:
        raise GraphError([f"{key_path('stages', name)}.{key}: {text}" for key, text in problems])
    return cls(settings, label=name)


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
            broken[name] = error.problems[0]
    return stages, broken


def _built_in(name: str) -> type[Stage]:
    if name in _table():
        return _class_of(_table()[name])
    if name.count(".") and name.rpartition(".")[2].isidentifier():
        module, _, class_name = name.rpartition(".")
        raise GraphError([f"no stage {show(name)}; for a class of your own write {show(f'{module}:{class_name}')}"])
    raise GraphError([f"no stage {show(name)}; {instead(name, _table())}"])


def _class_of(use: str) -> type[Stage]:
    """The class of `package.module:Class`."""
    module_name, _, class_name = use.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), class_name]):
        raise GraphError([f'{show(use)} is no stage: expected a name, or "my_package.my_module:MyStage"'])
    built_in_name = next((name for name, each in _table().items() if each.endswith(f":{class_name}")), None)
    advice = f"; did you mean {show(built_in_name)}?" if built_in_name and _table()[built_in_name] != use else ""
    module = _import(module_name, advice)
    cls = getattr(module, class_name, None)
    if cls is None:
        near = nearest(class_name, (name for name, value in vars(module).items() if isinstance(value, type)))
        advice = f"; did you mean {show(near)}?" if near else advice
        raise GraphError([f"module {show(module_name)} has no class {show(class_name)}{advice}"])
    if not (isinstance(cls, type) and issubclass(cls, Stage)) or cls is Stage:
        raise GraphError([f"{show(use)} is not a stage: its class must derive from emopipe.pipeline.Stage"])
    return _well_formed(cls, use)


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
            raise GraphError([f"no module {show(error.name)}; looked in {looked_in}{advice}"]) from None
        raise _failed(module, error) from error
    except (Exception, SystemExit) as error:
        raise _failed(module, error) from error


def _failed(module: str, error: BaseException) -> GraphError:
    return GraphError([f"importing {show(module)} failed: {type(error).__name__}: {one_line(error)}"])


def _well_formed(cls: type[Stage], use: str) -> type[Stage]:
    """Refuse a class whose declarations nobody can read: the runtime, `check` and `inspect` all rely on them."""
    problem = ""
    if not isinstance(getattr(cls, "name", None), str):
        problem = 'it has no name; declare `name = "…"` in the class'
    for kind in ("inputs", "outputs"):
        ports = getattr(cls, kind)
        if not isinstance(ports, dict) or not all(
            isinstance(name, str) and name.isidentifier() and isinstance(port, Port) for name, port in ports.items()
        ):
            problem = f"`{kind}` must map identifiers to Port(…)"
    if not (isinstance(cls.Settings, type) and issubclass(cls.Settings, Settings)):
        problem = "`Settings` must derive from emopipe.pipeline.stage.Settings"
    else:
        try:
            msgspec.inspect.type_info(cls.Settings)
            taken = [f.encode_name for f in msgspec.structs.fields(cls.Settings) if f.encode_name in GRAPH_KEYS]
            problem = f"setting {show(taken[0])} is a word of the graph; give it another name" if taken else problem
        except Exception as error:
            problem = f"its settings cannot be read: {type(error).__name__}: {one_line(error)}"
    if problem:
        raise GraphError([f"stage {show(use)} is badly declared: {problem}"])
    return cls
