"""The rules of ELAN's format, as its schema for version 2.8 states them, checked without that schema."""

import re
import xml.etree.ElementTree as ET
from datetime import datetime
from pathlib import Path

ORDER = (
    *("LICENSE", "HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE", "LOCALE", "LANGUAGE", "CONSTRAINT"),
    *("CONTROLLED_VOCABULARY", "LEXICON_REF", "EXTERNAL_REF"),
)
REQUIRED = {
    "ANNOTATION_DOCUMENT": {"DATE", "AUTHOR", "VERSION"},
    "MEDIA_DESCRIPTOR": {"MEDIA_URL", "MIME_TYPE"},
    "TIME_SLOT": {"TIME_SLOT_ID"},
    "TIER": {"TIER_ID", "LINGUISTIC_TYPE_REF"},
    "ALIGNABLE_ANNOTATION": {"ANNOTATION_ID", "TIME_SLOT_REF1", "TIME_SLOT_REF2"},
    "LINGUISTIC_TYPE": {"LINGUISTIC_TYPE_ID"},
    "LANGUAGE": {"LANG_ID"},
    "CONTROLLED_VOCABULARY": {"CV_ID"},
    "CV_ENTRY_ML": {"CVE_ID"},
    "CVE_VALUE": {"LANG_REF"},
    "CONSTRAINT": {"STEREOTYPE"},
}
KEYS = {  # (element, attribute) of what is referred to, by who refers
    ("TIER", "LINGUISTIC_TYPE_REF"): ("LINGUISTIC_TYPE", "LINGUISTIC_TYPE_ID"),
    ("LINGUISTIC_TYPE", "CONTROLLED_VOCABULARY_REF"): ("CONTROLLED_VOCABULARY", "CV_ID"),
    ("ALIGNABLE_ANNOTATION", "TIME_SLOT_REF1"): ("TIME_SLOT", "TIME_SLOT_ID"),
    ("ALIGNABLE_ANNOTATION", "TIME_SLOT_REF2"): ("TIME_SLOT", "TIME_SLOT_ID"),
    ("CVE_VALUE", "LANG_REF"): ("LANGUAGE", "LANG_ID"),
    ("DESCRIPTION", "LANG_REF"): ("LANGUAGE", "LANG_ID"),
}
UNIQUE = {*KEYS.values(), ("TIER", "TIER_ID"), ("ALIGNABLE_ANNOTATION", "ANNOTATION_ID"), ("CV_ENTRY_ML", "CVE_ID")}


def violations(path: Path) -> list[str]:
    """What in a file ELAN would refuse."""
    root = ET.parse(path).getroot()
    found = [] if root.tag == "ANNOTATION_DOCUMENT" else [f"the root is {root.tag}"]
    datetime.fromisoformat(root.attrib["DATE"])
    places = [ORDER.index(child.tag) for child in root]
    if places != sorted(places) or not {1, 2} <= set(places):
        found.append(f"order of elements: {[child.tag for child in root]}")
    everything = list(root.iter())
    for element in everything:
        if missing := REQUIRED.get(element.tag, set()) - element.attrib.keys():
            found.append(f"{element.tag} lacks {missing}")
        found += [
            f"{element.tag}.{name} is no NCName"
            for name in ("TIME_SLOT_ID", "ANNOTATION_ID", "CVE_ID")
            if not re.fullmatch(r"[A-Za-z_][\w.-]*", element.get(name, "a"))
        ]
    values = {key: [each.get(key[1]) for each in everything if each.tag == key[0]] for key in UNIQUE}
    found += [f"{key} is not unique" for key, given in values.items() if len(given) != len(set(given))]
    names = ("TIME_SLOT_ID", "ANNOTATION_ID", "LANG_ID", "STEREOTYPE")  # share one space
    ids = [value for each in everything for name in names if (value := each.get(name)) is not None]
    found += ["an id is not unique"] if len(ids) != len(set(ids)) else []
    for (tag, attribute), key in KEYS.items():
        known = set(values[key])
        used = {each.get(attribute) for each in everything if each.tag == tag} - {None}
        found += [f"{tag}.{attribute}: no {key[0]} {name!r}" for name in used - known]
    times = {each.get("TIME_SLOT_ID"): int(each.attrib["TIME_VALUE"]) for each in everything if each.tag == "TIME_SLOT"}
    if any(not 0 <= time < 1 << 32 for time in times.values()):
        found.append("a time is no unsigned 32-bit number")
    for tier in root.iter("TIER"):
        spans = sorted(
            (times[each.attrib["TIME_SLOT_REF1"]], times[each.attrib["TIME_SLOT_REF2"]])
            for each in tier.iter("ALIGNABLE_ANNOTATION")
        )
        ends = [0, *(end for _, end in spans)]
        if any(not end_before <= start < end for end_before, (start, end) in zip(ends, spans, strict=False)):
            found.append(f"annotations of {tier.attrib['TIER_ID']!r} overlap, or take no time")
    return found
