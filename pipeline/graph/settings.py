"""Settings from a TOML table: every problem found, each worded for people; and settings described from the code."""

import math
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, Literal, NamedTuple, TypeVar, cast

import msgspec
from msgspec import inspect as kinds

from emopipe.pipeline.port import Invalid
from emopipe.pipeline.text import instead, key_path, listing, nearest, one_line, show

S = TypeVar("S", bound=msgspec.Struct)

_UNITS = {
    "s": "seconds",
    "ms": "milliseconds",
    "ns": "nanoseconds",
    "px": "pixels",
    "Hz": "hertz",
    "dB": "decibels",
    "%": "per cent",
}


class Setting(msgspec.Struct, frozen=True):
    """One setting as `emopipe inspect` and the reference show it. `default` is as TOML would have it."""

    name: str
    type: str
    unit: str
    default: str
    range: str
    text: str
    required: bool


def convert(table: Mapping[str, Any], cls: type[S], also: Iterable[str] = ()) -> tuple[S | None, list[Invalid]]:
    """The settings in `table`, or None and all that is wrong with it.

    Types are strict, but a whole number may stand for a number. A key that belongs to a list's item reads
    `uri[1]`; an empty key speaks of the table as a whole. `also` holds further names that are valid beside the
    settings', for the advice on an unknown key.
    """
    problems: list[Invalid] = []
    fields = _fields(cls)
    for key, value in table.items():
        if key not in fields:
            problems.append(Invalid(key_path(key), f"unknown setting; {instead(key, [*fields, *also])}"))
        elif (problem := _problem(value, fields[key].kind)) is not None:
            problems.append(Invalid(key + problem.key, problem.text))
        else:
            try:
                msgspec.convert(value, fields[key].info.type)
            except msgspec.ValidationError as error:
                problems.append(Invalid(key, one_line(error)))
    if any(field.info.required and name not in table for name, field in fields.items()):
        missing = [row for row in describe(cls) if row.required and row.name not in table]
        for row in missing:
            problems.append(Invalid(row.name, f"missing: {row.text or f'expected {row.type}'}"))
    if problems:
        return None, problems
    try:
        return msgspec.convert(dict(table), cls), []
    except msgspec.ValidationError as error:  # raised by the class's own __post_init__
        return None, [Invalid("", one_line(error))]


class _Field(NamedTuple):
    info: msgspec.structs.FieldInfo
    kind: kinds.Type


@cache
def _fields(cls: type[msgspec.Struct]) -> dict[str, _Field]:
    """The fields of settings by their names in TOML."""
    return {info.encode_name: _Field(info, kinds.type_info(info.type)) for info in msgspec.structs.fields(cls)}


def describe(cls: type[msgspec.Struct]) -> list[Setting]:
    """One row a setting, in the order of their declaration."""
    rows = []
    for field in msgspec.structs.fields(cls):
        kind, unit, text = _unwrap(kinds.type_info(field.type))
        if field.default is not msgspec.NODEFAULT:
            default = _toml(field.default)
        elif field.default_factory is not msgspec.NODEFAULT:
            default = _toml(cast(Callable[[], object], field.default_factory)())
        else:
            default = ""
        rows.append(
            Setting(
                name=field.encode_name,
                type=_expected(kind, None).removeprefix("a "),
                unit=unit,
                default=default,
                range=_limits(kind),
                text=one_line(text),
                required=field.required,
            )
        )
    return rows


def _problem(value: object, kind: kinds.Type, unit: str = "") -> Invalid | None:
    """What is wrong with a value, with the index of the list's item it is about (`[1]`), if it is about one."""
    kind, own_unit, _ = _unwrap(kind)
    unit = own_unit or unit

    def wrong_type() -> Invalid:
        return Invalid("", f"expected {_expected(kind, unit)}, got {show(value)}")

    match kind:
        case kinds.UnionType():
            found = [_problem(value, member, unit) for member in kind.types]
            if None in found:
                return None
            # Where the value is of one member's type, what is wrong lies deeper: say that.
            deeper = (p for p in found if p is not None and (p.key or not p.text.startswith("expected")))
            return next(deeper, wrong_type())
        case kinds.NoneType():
            return None if value is None else wrong_type()
        case kinds.BoolType():
            return None if isinstance(value, bool) else wrong_type()
        case kinds.IntType():
            if isinstance(value, bool) or not isinstance(value, int):
                return wrong_type()
            return _out_of_range(value, kind, unit)
        case kinds.FloatType():
            if isinstance(value, bool) or not isinstance(value, int | float):
                return wrong_type()
            if isinstance(value, float) and not math.isfinite(value):
                return Invalid("", f"expected a finite number, got {show(value)}")
            return _out_of_range(value, kind, unit)
        case kinds.StrType():
            return _wrong_length(value, kind) if isinstance(value, str) else wrong_type()
        case kinds.LiteralType():
            # By type too: in Python, 1 == True == 1.0.
            if any(value == known and type(value) is type(known) for known in kind.values):
                return None
            near = nearest(value, [v for v in kind.values if isinstance(v, str)]) if isinstance(value, str) else None
            return Invalid("", wrong_type().text + (f"; did you mean {show(near)}?" if near else ""))
        case kinds.ListType() | kinds.VarTupleType():
            if not isinstance(value, list | tuple):
                return wrong_type()
            return _first(value, [kind.item_type] * len(value), unit) or _wrong_length(value, kind)
        case kinds.TupleType():
            if not isinstance(value, list | tuple) or len(value) != len(kind.item_types):
                return wrong_type()
            return _first(value, kind.item_types, unit)
        case kinds.DictType():
            if not isinstance(value, Mapping):
                return wrong_type()
            items = [(key_path(k), _problem(v, kind.value_type, unit)) for k, v in value.items()]
            return next((Invalid(f".{k}{p.key}", p.text) for k, p in items if p is not None), None)
        case _:
            return None  # left to msgspec


def _first(values: Iterable[object], types: Iterable[kinds.Type], unit: str) -> Invalid | None:
    found = (_problem(value, kind, unit) for value, kind in zip(values, types, strict=True))
    return next((Invalid(f"[{i}]{p.key}", p.text) for i, p in enumerate(found) if p is not None), None)


def _out_of_range(value: float, kind: kinds.IntType | kinds.FloatType, unit: str) -> Invalid | None:
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return Invalid("", f"{show(value)} does not fit into 64 bits")
    if (
        (kind.ge is None or value >= kind.ge)
        and (kind.gt is None or value > kind.gt)
        and (kind.le is None or value <= kind.le)
        and (kind.lt is None or value < kind.lt)
    ):
        return None
    low = kind.ge if kind.ge is not None else kind.gt
    high = kind.le if kind.le is not None else kind.lt
    suffix = f" {unit}" if unit else ""
    if kind.ge is not None and kind.le is not None:
        return Invalid("", f"{show(value)} is not between {show(kind.ge)} and {show(kind.le)}{suffix}")
    above = "at least" if kind.ge is not None else "above"
    below = "at most" if kind.le is not None else "below"
    wanted = [f"{word} {show(limit)}" for word, limit in ((above, low), (below, high)) if limit is not None]
    return Invalid("", f"{show(value)} is not {' and '.join(wanted)}{suffix}")


def _wrong_length(value: Any, kind: kinds.StrType | kinds.ListType | kinds.VarTupleType) -> Invalid | None:
    if kind.min_length and not value:
        return Invalid("", "must not be empty")
    if kind.min_length is not None and len(value) < kind.min_length:
        return Invalid("", f"{show(value)} is too short: at least {kind.min_length} are needed")
    if kind.max_length is not None and len(value) > kind.max_length:
        return Invalid("", f"{show(value)} is too long: at most {kind.max_length} are allowed")
    return None


def _expected(kind: kinds.Type, unit: str | None = "", *, several: bool = False) -> str:
    """`a number of seconds`, `text`, `a list of whole numbers`, `"replay" or "live"`; no units where `unit` is none."""
    kind, own_unit, _ = _unwrap(kind)
    unit = unit if unit is None else own_unit or unit
    of_unit = f" of {_UNITS[unit]}" if unit in _UNITS else f" ({unit})" if unit else ""
    match kind:
        case kinds.BoolType():
            return "true or false"
        case kinds.IntType():
            return ("whole numbers" if several else "a whole number") + of_unit
        case kinds.FloatType():
            return ("numbers" if several else "a number") + of_unit
        case kinds.StrType():
            return "texts" if several else "text"
        case kinds.NoneType():
            return "nothing"
        case kinds.LiteralType():
            return listing(kind.values, "or")
        case kinds.ListType() | kinds.VarTupleType():
            return ("lists of " if several else "a list of ") + _expected(kind.item_type, unit, several=True)
        case kinds.TupleType():
            items = list(dict.fromkeys(_expected(item, unit, several=True) for item in kind.item_types))
            return f"{'lists' if several else 'a list'} of {len(kind.item_types)} {' and '.join(items)}"
        case kinds.DictType():
            return ("tables of " if several else "a table of ") + _expected(kind.value_type, unit, several=True)
        case kinds.UnionType():
            members = [member for member in kind.types if not isinstance(member, kinds.NoneType)]
            return " or ".join(_expected(member, unit, several=several) for member in members)
        case _:
            return type(kind).__name__.removesuffix("Type").lower()


def _limits(kind: kinds.Type) -> str:
    """`0 … 1`, `> 0`, `not empty`, or nothing where every value will do."""
    kind, _, _ = _unwrap(kind)
    match kind:
        case kinds.IntType() | kinds.FloatType():
            if kind.ge is not None and kind.le is not None:
                return f"{show(kind.ge)} … {show(kind.le)}"
            signs: list[tuple[Literal["≥", ">", "≤", "<"], float | None]]
            signs = [("≥", kind.ge), (">", kind.gt), ("≤", kind.le), ("<", kind.lt)]
            return ", ".join(f"{sign} {show(limit)}" for sign, limit in signs if limit is not None)
        case kinds.StrType() if kind.min_length:
            return "not empty"
        case kinds.ListType() | kinds.VarTupleType():
            return _limits(kind.item_type) or ("not empty" if kind.min_length else "")
        case kinds.TupleType():
            return _limits(kind.item_types[0]) if kind.item_types else ""
        case kinds.UnionType():
            return next((limits for member in kind.types if (limits := _limits(member))), "")
        case _:
            return ""


def _unwrap(kind: kinds.Type) -> tuple[kinds.Type, str, str]:
    """The type without its `about(…)`, with the unit and the text that stood there, at any depth of a union."""
    unit = text = ""
    while isinstance(kind, kinds.Metadata):
        unit = str((kind.extra or {}).get("unit", "")) or unit
        text = str((kind.extra_json_schema or {}).get("description", "")) or text
        kind = kind.type
    if isinstance(kind, kinds.UnionType):
        for member in kind.types:
            _, member_unit, member_text = _unwrap(member)
            unit, text = unit or member_unit, text or member_text
    return kind, unit, text


def _toml(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{k} = {_toml(v)}' for k, v in value.items())} }}" if value else "{}"
    return "not set" if value is None else show(value)
