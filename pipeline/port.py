"""What a stage declares: its ports, and its typed settings with what they say of themselves."""

from typing import Any, Literal, NamedTuple

import msgspec

from emopipe.pipeline.message import Payload

Mode = Literal["replay", "live"]
Policy = Literal["block", "drop-oldest", "drop-newest"]


class Port(msgspec.Struct, frozen=True):
    """One input or output.

    `policy` and `size` (messages; of each stream, where the policy is to drop) are an input's default link policy in
    live mode; the graph may set others. In replay mode every link blocks.
    """

    type: type[Payload]
    doc: str
    optional: bool = False
    policy: Policy = "block"
    size: int = 16


class SettingProblem(NamedTuple):
    """What is wrong with one setting, as a sentence for the user; an empty `key` speaks of all of them."""

    key: str
    text: str


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    """Base of a stage's typed settings; validation, `emopipe inspect` and the reference are made from it.

    Before anything runs the graph asks them what the methods say.
    """

    def check(self) -> list[SettingProblem]:
        """What is wrong with these settings beyond their types and ranges."""
        return []

    def reads(self) -> list[str]:
        """The files the stage reads; no other stage may write them."""
        return []

    def writes(self) -> list[str]:
        """What the stage writes or binds for itself alone (files, addresses, devices); two stages may not share one."""
        return []

    def serves(self) -> list[str]:
        """Addresses that several stages may serve together, as long as they share a process."""
        return []

    def latency(self) -> float:
        """The least delay, in s, between a thing observed and its result, whatever the machine's speed."""
        return 0.0


def about(
    text: str,
    *,
    unit: str = "",
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    min_length: int | None = None,
) -> msgspec.Meta:
    """What a setting means, its unit and range: `hop: Annotated[float, about("…", unit="s", gt=0)] = 0.5`."""
    limits = {"ge": ge, "gt": gt, "le": le, "lt": lt, "min_length": min_length}
    given: dict[str, Any] = {name: limit for name, limit in limits.items() if limit is not None}
    return msgspec.Meta(description=text, extra={"unit": unit}, **given)
