"""The JSON schema of a graph's file, from which an editor completes and checks it (draft 7).

Made of the same declarations as `check` is: a stage's settings with their meanings, units and ranges, its ports, and
the tables that every stage may have. What no schema can say (whether an output exists, a file is there) `check` says.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from emopipe.pipeline.graph.parse import PipelineSettings
from emopipe.pipeline.graph.remote import ControlSettings, ProcessSettings
from emopipe.pipeline.port import ANY_PORT, Port, Queue
from emopipe.pipeline.stage import Stage
from emopipe.pipeline.supervision.settings import Supervision

DIALECT = "http://json-schema.org/draft-07/schema#"
SOURCE = {"type": "string", "pattern": r"^[^.]+\..+$"}
NAME = {"type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_-]*$"}

Schema = dict[str, Any]


def graph_schema(stages: Mapping[str, type[Stage]]) -> Schema:
    """The schema of a graph that is made of `stages`, by what their tables call them, and of the user's own."""
    definitions: Schema = {
        "sources": {"anyOf": [SOURCE, {"type": "array", "items": SOURCE}]},
        "own-stage": {
            "description": "a stage of your own: my_module:MyStage",
            "type": "object",
            "properties": {"use": {"type": "string", "pattern": ":"}},
            "required": ["use"],
        },
    }
    pipeline = _settings("pipeline", PipelineSettings, definitions)
    pipeline["properties"] |= {
        "supervision": _referred("supervision", Supervision, definitions),
        "control": _referred("control", ControlSettings, definitions),
    }
    queue = _referred("queue", Queue, definitions)
    for name, cls in stages.items():
        definitions[f"stage-{name}"] = _stage(name, cls, queue, definitions)
    # A stage of the user's own that is named here is described by its own schema.
    own = {"allOf": [{"$ref": "#/definitions/own-stage"}, {"not": {"properties": {"use": {"enum": list(stages)}}}}]}
    choices = [*({"$ref": f"#/definitions/stage-{name}"} for name in stages), own]
    return {
        "$schema": DIALECT,
        "title": "A graph of emopipe",
        "type": "object",
        "properties": {
            "pipeline": pipeline,
            "stages": {
                "description": "a table for each stage",
                "type": "object",
                "propertyNames": NAME,
                "minProperties": 1,
                "additionalProperties": {"oneOf": choices},
            },
            "processes": {
                "description": "processes that somebody starts on another host, or that a cluster places",
                "type": "object",
                "additionalProperties": _referred("process", ProcessSettings, definitions),
            },
        },
        "required": ["stages"],
        "additionalProperties": False,
        "definitions": definitions,
    }


def _stage(name: str, cls: type[Stage], queue: Schema, definitions: Schema) -> Schema:
    """The schema of one stage's table."""
    made = _settings(f"stage-{name}", cls.Settings, definitions)
    needed = [port for port, declared in cls.inputs.items() if not declared.optional and port != ANY_PORT]
    table: Schema = {"use": {"description": _summary(cls), "enum": [name]}}
    if cls.inputs:
        table["inputs"] = _ports(cls.inputs, {"$ref": "#/definitions/sources"}) | {"required": needed}
        table["queue"] = _ports(cls.inputs, queue)
    table["process"] = {"description": "the process in which it runs; one of its own, where not set", **NAME}
    table["gpus"] = {
        "description": "GPUs, or a part of one, that it takes on a cluster",
        "type": "number",
        "minimum": 0,
    }
    table["supervision"] = {"$ref": "#/definitions/supervision"}
    required = ["use", *(["inputs"] if needed else []), *made.get("required", [])]
    return {**made, "title": name, "properties": {**table, **made["properties"]}, "required": required}


def _ports(ports: Mapping[str, Port], value: Schema) -> Schema:
    named = {name: {"description": port.doc, "allOf": [value]} for name, port in ports.items() if name != ANY_PORT}
    return {"type": "object", "properties": named, "additionalProperties": value if ANY_PORT in ports else False}


def _referred(name: str, cls: type[msgspec.Struct], definitions: Schema) -> Schema:
    definitions[name] = _settings(name, cls, definitions)
    return {"$ref": f"#/definitions/{name}"}


def _settings(name: str, cls: type[msgspec.Struct], definitions: Schema) -> Schema:
    """The schema of a table of settings; those of tables within it go to `definitions`."""
    (reference,), parts = msgspec.json.schema_components([cls], ref_template=f"#/definitions/{name}-{{name}}")
    own = reference["$ref"].removeprefix(f"#/definitions/{name}-")
    definitions.update({f"{name}-{part}": each for part, each in parts.items() if part != own})
    made: Schema = parts[own]
    for field in _fields(cls):
        if unit := _unit(field):
            described = made["properties"][field.encode_name]
            described["description"] = f"{described['description']}, in {unit}"
    return made


def _fields(cls: type[msgspec.Struct]) -> Iterable[msgspec.inspect.Field]:
    kind = msgspec.inspect.type_info(cls)
    assert isinstance(kind, msgspec.inspect.StructType)
    return kind.fields


def _unit(field: msgspec.inspect.Field) -> str:
    """The unit that `about` has given a setting; empty where it has none, or is one of several kinds."""
    kind = field.type
    extra = kind.extra if isinstance(kind, msgspec.inspect.Metadata) else None
    return str((extra or {}).get("unit", ""))


def _summary(cls: type[Stage]) -> str:
    """The first sentence of what a stage says of itself."""
    return " ".join((cls.__doc__ or "").split("\n\n")[0].split())
