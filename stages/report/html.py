"""A report as one page of HTML: no scripts, nothing fetched from anywhere, and all that came from outside escaped."""

import base64
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from emopipe.models.labels import FACE
from emopipe.pipeline.clock import SECOND
from emopipe.stages.palette import css
from emopipe.stages.report.segments import FaceSummary, Segment, StreamSummary, Timeline
from emopipe.stages.report.svg import moment, patterns, share_bar, shares, time_line
from emopipe.stages.report.thumbnails import Thumbnail, Thumbnails

MAX_ROWS = 60  # of a stream's table
BRIEF_NS = SECOND // 2  # ns; who was in view for less gets no card, if others do
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
STYLE = Path(__file__).with_name("report.css")


class StreamSection(NamedTuple):
    """One stream: its summary, and the pictures of its faces by part and id."""

    summary: StreamSummary
    thumbnails: dict[tuple[int, int], Thumbnails]


class RunInfo(NamedTuple):
    """What stands around the sections.

    Attributes:
        title: of the page.
        when: the time of recording, in words; empty for a replay, whose reports are always the same.
        measured: how right the models are, one sentence each.
        accounts: what happened to the data on its way: (stage, what, how many); none where nobody has said.
        notes: further lines, in the user's own words.
        more: streams that have no section, since there were too many.
    """

    title: str
    when: str
    measured: Sequence[str]
    accounts: Sequence[tuple[str, str, str]] | None
    notes: Sequence[str]
    more: int


def page(sections: Sequence[StreamSection], run: RunInfo) -> str:
    """The whole page."""
    colours = "".join(f".{each}{{fill:var(--{each})}}svg .on-{each}{{fill:var(--on-{each})}}" for each in FACE)
    body = "".join(
        [
            patterns(),
            "".join(_head(sections, run)),
            "<main>",
            *("".join(_section(section, f"s{number}")) for number, section in enumerate(sections)),
            "</main>",
            "".join(_foot(run)),
        ]
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(run.title)}</title>'
        f"<style>:root{{{css()}}}\n{STYLE.read_text(encoding='utf-8')}{colours}</style></head>"
        f"<body>{body}</body></html>\n"
    )


def _head(sections: Sequence[StreamSection], run: RunInfo) -> Iterator[str]:
    summaries = [section.summary for section in sections]
    people = sum(len(summary.people) + summary.brief_faces for summary in summaries)
    length = moment(sum(summary.end for summary in summaries))
    said = [_many(len(summaries), "stream"), f"{length} in all", _many(people, "face")]
    yield f'<header><h1>{escape(run.title)}</h1><p class="soft">{" · ".join(said)}'
    yield f" · {escape(run.when)}</p>" if run.when else "</p>"
    yield (
        '<div class="lead"><p><strong>Expressed is not felt.</strong> This page says what faces and a voice showed to '
        "a model that is often wrong. It says nothing of what anybody felt, meant or is like.</p>"
        '<ul class="legend" aria-label="Colours">'
    )
    for label in FACE:
        yield f"<li>{_swatch(label)}{label}</li>"
    yield f"<li>{_swatch('neutral', True)}hatched: uncertain</li></ul></div></header>"


def _section(section: StreamSection, ident: str) -> Iterator[str]:
    summary, thumbnails = section
    yield f'<section aria-labelledby="{ident}"><h2 id="{ident}">{escape(summary.stream)}</h2>'
    yield f'<p class="soft">{_account(summary)}</p>'
    if not summary.people and not summary.voice.segments:
        yield "<p>No face and no voice was found here.</p></section>"
        return
    longer = {key: person for key, person in summary.people.items() if person.together.total >= BRIEF_NS}
    shown = longer or summary.people
    if shown:
        yield '<ul class="cards">'
        for key, person in shown.items():
            yield from _card(person, thumbnails.get(key), summary)
        yield "</ul>"
    if glimpses := len(summary.people) - len(shown):
        yield f'<p class="soft">In view for less than half a second: {_many(glimpses, "more face")}.</p>'
    if summary.brief_faces:
        brief = _many(summary.brief_faces, "more face")
        yield f'<p class="soft">In view for a short time, and only counted: {brief}.</p>'
    yield f"<h3>Time line</h3>{time_line(summary, ident)}"
    yield from _table(summary)
    yield "</section>"


def _account(summary: StreamSummary) -> str:
    parts = [f"{moment(summary.end)} long"]
    if summary.frames:
        parts.append(f"{summary.with_face:,} of {_many(summary.frames, 'picture')} show a face")
    if summary.voice.segments:
        parts.append(f"{summary.voice.total / SECOND:.1f} s of speech")
    if summary.forced:
        parts.append(f"{_many(summary.forced, 'result')} sent before all was known")
    if summary.jumps:
        parts.append(f"time began anew {_many(summary.jumps, 'time')}")
    return " · ".join(parts)


def _card(person: FaceSummary, thumbnails: Thumbnails | None, summary: StreamSummary) -> Iterator[str]:
    lane = person.together
    yield f"<li><h3>{escape(person.name)}</h3>"
    best = thumbnails.best() if thumbnails is not None else []
    if best:
        yield '<div class="faces">'
        yield from (_figure(person, each) for each in sorted(best, key=lambda each: each.at))
        yield "</div>"
    yield share_bar(lane)
    yield f"<p>{_summary(lane)}</p>"
    here = f"In view from {moment(person.first)} to {moment(person.last)}"
    yield f'<p class="soft">{here}, {lane.total / SECOND:.1f} s of {moment(summary.end)}.</p></li>'


def _figure(person: FaceSummary, each: Thumbnail) -> str:
    unsure = ", uncertain" if each.uncertain else ""
    told = f"{each.emotion} {each.confidence:.0%}{unsure}"
    data = base64.b64encode(each.jpeg).decode()
    return (
        f'<figure><img alt="{escape(person.name)} at {moment(each.at)}, expressing {told}" width="144" height="144" '
        f'style="border-color: var(--{each.emotion})" src="data:image/jpeg;base64,{data}">'
        f"<figcaption>{told}<br>{moment(each.at)}</figcaption></figure>"
    )


def _summary(lane: Timeline) -> str:
    """`surprise 62 %, neutral 20 % (half of it uncertain) …`"""
    total = max(lane.total, 1)
    known: dict[str, list[int]] = {}
    for label, uncertain, ns in shares(lane):
        known.setdefault(label, [0, 0])[uncertain] += ns
    said = []
    for label, (sure, unsure) in known.items():
        if (sure + unsure) / total < 0.005:
            continue
        doubt = f" ({unsure / (sure + unsure):.0%} of it uncertain)" if 0 < unsure < sure + unsure else ""
        said.append(f"{label} {(sure + unsure) / total:.0%}{', uncertain' if unsure and not sure else doubt}")
    return "; ".join(said) or "in view for a moment only"


def _table(summary: StreamSummary) -> Iterator[str]:
    """The segments of all faces and the voice; the same that the time line shows."""
    rows = [(person.name, each) for person in summary.people.values() for each in person.together.segments]
    rows += [("Voice", each) for each in summary.voice.segments]
    kept = sorted(rows, key=lambda row: (-row[1].length, row[1].start))[:MAX_ROWS]
    kept.sort(key=lambda row: (row[1].start, row[0]))
    about = "Who expressed what, and when"
    if len(kept) < len(rows):
        about += f": the {len(kept)} longest of {len(rows):,} segments"
    yield f'<h3>The same as a table</h3><div class="scroll" tabindex="0" role="group" aria-label="{about}"><table>'
    yield f'<caption>{about}.</caption><thead><tr><th scope="col" class="n">from</th><th scope="col" class="n">to</th>'
    yield '<th scope="col">who</th><th scope="col">expresses</th><th scope="col" class="n">confidence</th></tr></thead>'
    yield "<tbody>"
    yield from (_table_row(who, each) for who, each in kept)
    yield "</tbody></table></div>"


def _table_row(who: str, each: Segment) -> str:
    unsure = " <em>uncertain</em>" if each.uncertain else ""
    return (
        f'<tr><td class="n">{moment(each.start)}</td><td class="n">{moment(each.end)}</td><td>{escape(who)}</td>'
        f"<td>{_swatch(each.emotion, each.uncertain)}{each.emotion}{unsure}</td>"
        f'<td class="n">{each.confidence:.0%}</td></tr>'
    )


def _foot(run: RunInfo) -> Iterator[str]:
    yield "<footer><h2>How far to trust this</h2>"
    yield (
        "<p>A confidence is meant to be a frequency: of answers given with 70%, about 70% should be right, on people "
        "like those the models were measured on. <em>Uncertain</em> (hatched) says that it lies below the limit for "
        "the share of wrong answers that this graph tolerates: take it as “don’t know”.</p>"
    )
    if run.measured:
        yield "<p>Measured, on data that the models had not seen:</p><ul>"
        yield from (f"<li>{escape(each)}</li>" for each in run.measured)
        yield (
            "</ul><p>These are posed or acted emotions. On spontaneous ones, other ages, cultures, cameras and "
            "languages expect less, and more for some people than for others.</p>"
        )
    yield (
        "<p>Inferring emotions at work or in education is prohibited in the European Union (AI Act, Article 5(1)(f)), "
        "and people who are analysed must be told (Article 50(3)).</p>"
    )
    if run.accounts is not None or run.notes or run.more:
        yield "<h3>How this was made</h3>"
    if run.accounts:
        yield "<table><caption>What was left out, repaired or late on the way.</caption><thead><tr>"
        yield '<th scope="col">where</th><th scope="col">what</th><th scope="col" class="n">how many</th></tr></thead>'
        yield "<tbody>"
        for where, what, count in run.accounts:
            yield f'<tr><td>{escape(where)}</td><td>{escape(what)}</td><td class="n">{escape(count)}</td></tr>'
        yield "</tbody></table>"
    elif run.accounts is not None:
        yield "<p>Nothing was dropped, damaged or late on the way.</p>"
    if run.more:
        yield f"<p>{_many(run.more, 'more stream')} had no room in this report.</p>"
    yield from (f"<p>{escape(note)}</p>" for note in run.notes)
    yield "</footer>"


def _swatch(label: str, uncertain: bool = False) -> str:
    fill = f'fill="url(#unsure-{label})"' if uncertain else f'class="{label}"'
    return f'<svg class="dot" viewBox="0 0 12 12" aria-hidden="true"><rect width="12" height="12" rx="3" {fill}/></svg>'


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
