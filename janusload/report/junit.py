"""junit.xml: the run as test cases, one for the onset and one for each limit.

An inconclusive run proves nothing, so all of its cases are skipped, with the reason: a CI that shows them as passed
would pass the generator's numbers off as the server's.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from janusload import wording
from janusload.report.first_screen import reason
from janusload.summary import Summary, Verdict

# what XML 1.0 cannot hold even when escaped (section 2.2)
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(summary: Summary) -> str:
    suite_name = _clean(f"janusload.{summary.run.name}")
    onset = f"{wording.request(summary.onset.request)} onset"
    unproven = reason(summary) if summary.verdict is Verdict.INCONCLUSIVE else ""
    failed = summary.verdict is Verdict.FAILED and not _limits_tell(summary)
    cases = [(onset, unproven, summary.headline if failed else "")]
    for limit in summary.thresholds:
        words = f"{limit.name}: wanted {limit.limit}, was {limit.value}"
        cases.append(
            (
                f"{limit.name} {limit.limit}",
                unproven or ("" if limit.judged else words),
                "" if limit.passed or not limit.judged else words,
            )
        )

    suite = ET.Element("testsuite", name=suite_name, timestamp=_clean(summary.run.started_utc))
    failures = skipped = 0
    for name, open_, broken in cases:
        case = ET.SubElement(suite, "testcase", classname=suite_name, name=_clean(name), time="0")
        if open_:
            skipped += 1
            ET.SubElement(case, "skipped", message=_clean(open_))
        elif broken:
            failures += 1
            ET.SubElement(case, "failure", message=_clean(broken), type="limit").text = _clean(summary.headline)
    suite[0].set("time", f"{summary.run.duration_s:.3f}")
    ET.SubElement(suite[0], "system-out").text = _clean(f"{summary.headline}\n{summary.onset.explanation}")
    for holder in (root := ET.Element("testsuites"), suite):
        holder.set("tests", str(len(cases)))
        holder.set("failures", str(failures))
        holder.set("errors", "0")
        holder.set("skipped", str(skipped))
        holder.set("time", f"{summary.run.duration_s:.3f}")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False).join(
        ('<?xml version="1.0" encoding="utf-8"?>\n', "\n")
    )


def _limits_tell(summary: Summary) -> bool:
    """Whether a crossed limit already says why the run failed."""
    return any(limit.judged and not limit.passed for limit in summary.thresholds)


def _clean(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", wording.visible(text))
