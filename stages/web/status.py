"""How the run is doing, as the page shows it: what was dropped where, and what the stages have counted."""

from collections.abc import Mapping
from typing import Any

from emopipe.pipeline.counters import LinkCounts
from emopipe.pipeline.report import Report


def status(reports: Mapping[str, Report], stream: str | None, lost: int, preview: tuple[str, str]) -> dict[str, Any]:
    """The message `status`: of one stream alone, or of the whole run where `stream` is None.

    `lost` is how many results this page was too slow for, `preview` (stage and port) the input whose pictures are only
    looked at: they are no part of the work. Nobody is told of the streams of others.
    """
    return {
        "type": "status",
        "lost": lost,
        "drops": [
            {"link": str(link), "reason": reason, "count": count}
            for report in reports.values()
            for link, counts in report.links.items()
            if (link.receiver, link.input) != preview
            for reason, count in _of(counts, stream).dropped.items()
            if count
        ],
        "counters": {
            report.stage: counters
            for report in reports.values()
            if (counters := report.counters if stream is None else report.streams.get(stream))
        },
    }


def _of(counts: LinkCounts, stream: str | None) -> LinkCounts:
    return counts if stream is None else counts.streams.get(stream, LinkCounts())
