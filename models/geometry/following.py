"""One face's measures over time: smoothed in seconds, and its blinks counted."""

import math
from collections.abc import Hashable
from typing import Any

from emopipe.models.geometry.measures import Measures
from emopipe.pipeline.clock import MS, SECOND

CLOSED, OPEN = 0.5, 0.35  # of `Measures.closed`: from where the eyes count as closed, and as open again
MAX_BLINK_NS = 500 * MS  # eyes that are closed for longer do more than blink


class FollowedFace:
    """The measures of one face so far.

    Angles are far from 180 degrees apart, so each measure is smoothed by itself:

        mean = Σ e^(-(t - tᵢ)/τ) xᵢ / Σ e^(-(t - tᵢ)/τ)

    Attributes:
        pts: when it was seen last, in ns.
        blinks: how many have ended.
    """

    def __init__(self) -> None:
        self.pts = 0
        self.blinks = 0
        self._weight = 0.0
        self._means: list[float] = []
        self._closed_at: int | None = None

    def add(self, measures: Measures, pts: int, time_constant: float) -> Measures:
        """Take what was measured at `pts` (ns), which never goes back; the smoothed measures (τ in s; 0: as they are).

        What is uncertain takes no part in the means, which then are what they were.
        """
        values = list(measures[:-1])
        if not measures.uncertain:
            self._watch_lids(measures.closed, pts)
        elif self._means:
            return self._smoothed(measures)
        kept = self._weight * math.exp(-(pts - self.pts) / (time_constant * SECOND)) if time_constant else 0.0
        self._weight = kept + 1
        means = self._means or values
        self._means = [mean + (value - mean) / self._weight for mean, value in zip(means, values, strict=True)]
        self.pts = pts
        return self._smoothed(measures)

    def _smoothed(self, measures: Measures) -> Measures:
        means: dict[str, Any] = dict(zip(Measures._fields[:-1], self._means, strict=True))
        return measures._replace(**means)

    def _watch_lids(self, closed: float, pts: int) -> None:
        if self._closed_at is None:
            self._closed_at = pts if closed >= CLOSED else None
        elif closed < OPEN:
            self.blinks += pts - self._closed_at <= MAX_BLINK_NS
            self._closed_at = None


class FollowedFaces:
    """The faces of one stream, by their ids.

    Args:
        time_constant: of the smoothing, in s; 0 turns it off.
        forget: a face not seen for longer than this (s) starts anew.
    """

    def __init__(self, time_constant: float, forget: float) -> None:
        self._time_constant = time_constant
        self._forget = forget * SECOND
        self._faces: dict[Hashable, FollowedFace] = {}

    def add(self, id: Hashable, measures: Measures, pts: int) -> tuple[Measures, int]:
        """The smoothed measures of a face at `pts` (ns), and how often it has blinked."""
        # Faces leave for good: without this a long recording would keep them all.
        self._faces = {name: face for name, face in self._faces.items() if pts - face.pts <= self._forget}
        face = self._faces.setdefault(id, FollowedFace())
        return face.add(measures, pts, self._time_constant), face.blinks
