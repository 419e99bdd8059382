"""`--set stages.capture.uri=clip.mp4`: single keys of a graph, given on the command line."""

import copy
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from emopipe.pipeline.graph.parse import Problems
from emopipe.pipeline.text import instead, show


def override(table: Mapping[str, Any], overrides: Sequence[str], problems: Problems) -> dict[str, Any]:
    """A copy of `table` with each `path.to.key=value` set; what cannot be set goes to `problems`.

    A value is read as TOML, and taken as text where that fails: `0.5`, `true`, `[1, 2]`, `clip.mp4`. Stages are
    changed, not added: a misspelled name is an error.
    """
    changed = copy.deepcopy(dict(table))
    for text in overrides:
        left, equals, right = text.partition("=")
        path = _path(left)
        if not equals or not path:
            problems.add((), f"--set {text}: expected path.to.key=value, such as stages.capture.uri=clip.mp4")
            continue
        stages = changed.get("stages")
        if path[0] == "stages" and isinstance(stages, dict) and len(path) > 1 and path[1] not in stages:
            problems.add(("stages", path[1]), f"no such stage; {instead(path[1], stages)}")
            continue
        here: Any = changed
        for depth, key in enumerate(path[:-1]):
            here = here.setdefault(key, {})
            if not isinstance(here, dict):
                problems.add(tuple(path[: depth + 1]), f"--set {text}: this is no table, but {show(here)}")
                break
        else:
            here[path[-1]] = _value(right)
    return changed


def _path(text: str) -> list[str]:
    """The keys of a dotted TOML key; empty if it is none."""
    try:
        here: Any = tomllib.loads(f"{text} = 0") if "\n" not in text else 0
    except (ValueError, RecursionError):
        return []
    path = []
    while isinstance(here, dict) and len(here) == 1:
        ((key, here),) = here.items()
        path.append(key)
    return path if here == 0 else []


def _value(text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return parsed["value"] if list(parsed) == ["value"] else text
