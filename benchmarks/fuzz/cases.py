"""What the kinds of cases share: their randomness, mutations of bytes, and what is found."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

MAX_SPLICE_BYTES = 64


@dataclass
class Findings:
    """What became of the cases of one kind.

    Attributes:
        tried: how many there were.
        refused: how many were refused in the way that is meant for it (an error in words, a counted rejection).
        wrong: what must not happen, each with the number of its case.
        growth_mb: how much more memory the process that took the most has at the end than it had near the beginning.
    """

    tried: int = 0
    refused: int = 0
    wrong: list[str] = field(default_factory=list)
    growth_mb: float = 0.0


class Kind(Protocol):
    """A module of this package."""

    @property
    def KEPT(self) -> Sequence[int]:  # noqa: N802
        """Numbers of cases that once found something."""

    def fuzz(self, seed: int, cases: Iterable[int]) -> Findings:
        """Try the cases of these numbers."""


def random_of(seed: int, case: int) -> Random:
    """The randomness of one case."""
    return Random(f"{seed}:{case}")


def mutate(data: bytes, random: Random) -> bytes:
    """`data` with one to eight changes: bits, bytes, pieces that go, come twice, move, or grow."""
    changed = bytearray(data)
    for _ in range(random.randint(1, 8)):
        at = random.randrange(len(changed) + 1)
        end = min(len(changed), at + random.randint(1, MAX_SPLICE_BYTES))
        match random.randrange(7):
            case 0 if changed:
                changed[at % len(changed)] ^= 1 << random.randrange(8)
            case 1 if changed:
                changed[at % len(changed)] = random.choice([0x00, 0x7F, 0x80, 0xC1, 0xFF, random.randrange(256)])
            case 2:
                del changed[at:end]
            case 3:
                changed[at:at] = changed[at:end]
            case 4:
                changed[at:at] = random.randbytes(random.randint(1, MAX_SPLICE_BYTES))
            case 5:
                del changed[at:]
            case 6:
                changed[at:at] = bytes([random.randrange(256)]) * random.choice([2, 100, 5000])
    return bytes(changed)
