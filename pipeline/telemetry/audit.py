"""The audit of a run's links: whether both ends of each agree, and everything that was sent is somewhere."""

from collections.abc import Mapping

from emopipe.pipeline.counters import LinkCounts
from emopipe.pipeline.report import InletCounts, Report


def audit(reports: Mapping[str, Report]) -> list[str]:
    """What does not add up on the links of a run that has come to its end, one sentence each; nothing if all does.

    On each link what was sent was received or dropped, by the whole and by each stream; the streams make up the
    whole; and the receiving end has seen what the sending end calls received.
    """
    inlets = {link: counts for report in reports.values() for link, counts in report.inlets.items()}
    return [
        f"{link}: {problem}"
        for report in reports.values()
        for link, counts in report.links.items()
        for problem in _problems(counts, inlets.get(link))
    ]


def _problems(counts: LinkCounts, inlet: InletCounts | None) -> list[str]:
    parts = [*counts.streams.values(), *([counts.others] if counts.others is not None else [])]
    problems = [
        f"{each.unaccounted} of {each.sent} messages{where} unaccounted for"
        for where, each in [("", counts), *((f" of {stream}", each) for stream, each in counts.streams.items())]
        if each.unaccounted
    ]
    if counts.in_flight:
        problems.append(f"{counts.in_flight} messages still in flight")
    for name, whole, of_parts in [
        ("sent", counts.sent, [each.sent for each in parts]),
        ("received", counts.received, [each.received for each in parts]),
        ("dropped", sum(counts.dropped.values()), [sum(each.dropped.values()) for each in parts]),
    ]:
        if whole != sum(of_parts):
            problems.append(f"{whole} messages {name}, but {sum(of_parts)} by stream")
    if inlet is None:
        problems.append("its receiving end is unknown")
    elif inlet.delivered != counts.received:
        problems.append(f"{counts.received} messages received, but {inlet.delivered} seen by the receiving end")
    return problems
