"""report.html: one file that needs no network, made from the template in page/.

The file holds Vega-Lite's own bundle out of the installed vl-convert, once, and the charts as data. A content security
policy in the page lets run only the two scripts whose hashes it names, and lets nothing be fetched: should a value from
outside ever slip through the escaping, it still could not act.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from janusload import wording
from janusload.errors import RunFolderError
from janusload.report import storage_tables, tables
from janusload.report.charts import Figure, figures
from janusload.report.first_screen import first_screen, trust
from janusload.report.whole_file import replace_file
from janusload.summary import Summary

_BUNDLED = "window.vegaEmbed = vegaEmbed;"
_PAGE = Path(__file__).with_name("page")


def render(summary: Summary, home: str = "") -> str:
    """report.html as text.

    Args:
        home: way from the page to the run folder, as in `../`.
    """
    drawn = figures(summary)
    return page(
        "report.html",
        drawn,
        summary=summary,
        home=home,
        run=summary.run,
        screen=first_screen(summary),
        steps=tables.steps(summary),
        requests=tables.requests(summary),
        parts=_parts(summary, {figure.key for figure in drawn}),
        known=summary.server.known if summary.server is not None else [],
        facts=_facts(summary),
    )


def page(template: str, drawn: Sequence[Figure], **values: Any) -> str:
    """A whole page as text: a template of page/, with its charts, style and scripts."""
    bundle, script = _bundle(), _file("report.js")
    return (
        _environment()
        .get_template(template)
        .render(
            figures=drawn,
            specs={p.name: _json(p.spec) for figure in drawn for p in figure.panels},
            style=_file("report.css"),
            bundle=bundle if drawn else Markup(""),
            script=script if drawn else Markup(""),
            script_sources=f"{_hash(bundle)} {_hash(script)}",
            **values,
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_PAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.filters["unbroken"] = _unbroken
    return environment


#: a number or a range with its unit, as in `1.1-2 s`, `94 ms`, `1 %`, `600 requests/s`
_MEASURE = re.compile(r"(?:≥ )?\d[\d,.]*(?:-\d[\d,.]*)? (?:ms|s|%|MB|requests/s)(?![\w/])")


def _unbroken(text: str) -> Markup:
    """A sentence of which no line ends between a number and its unit, nor inside a range."""
    escaped = str(escape(wording.visible(text)))
    return Markup(_MEASURE.sub(lambda found: f'<span class="whole">{found[0]}</span>', escaped))


def _finalize(value: Any) -> Any:
    """Every text from outside that reaches the page passes here, on its way to being escaped."""
    return wording.visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _parts(summary: Summary, drawn: set[str]) -> list[tuple[str, tables.Table]]:
    """What has no chart: title as a question or a finding (where a chart says it not again), and its table; without
    data absent."""
    parts = [
        ("The audio in numbers" if "heard" in drawn else "What did people hear?", tables.media(summary)),
        ("How did Janus fare?", tables.server(summary)),
        ("What did memory do?", storage_tables.memory(summary)),
        ("Are the recordings whole?", storage_tables.recordings(summary)),
        ("The generator in numbers" if "generator" in drawn else trust(summary), tables.generator(summary)),
    ]
    return [(title, table) for title, table in parts if table.rows]


def _facts(summary: Summary) -> list[tuple[str, list[list[str]]]]:
    """Enough to do it again, in groups."""
    run, onset = summary.run, summary.onset
    seed = [] if run.seed is None else [["seed", str(run.seed)]]
    rule = [
        ["request", onset.request],
        ["timeout T", wording.seconds(onset.timeout_s)],
        ["timeout rate that counts", f"{wording.percent(onset.p0)} (p0)"],
        ["deciding quantile", f"p{wording.number(onset.quantile * 100)}"],
    ]
    moment = [["started", run.started_utc], ["ran", wording.span(run.duration_s)], ["ended", run.end]]
    groups = [
        ("This run", moment + seed + rule),
        ("Versions", tables.facts(run.versions)),
        ("Machine of the generator", tables.facts(run.host)),
        ("Lab", tables.facts(run.lab or {})),
        ("Janus says of itself", tables.facts(run.server_info)),
    ]
    return [(title, rows) for title, rows in groups if rows]


def _json(spec: dict[str, Any]) -> Markup:
    """A specification as JSON that no HTML parser can leave: `<`, `>` and `&` are written as escapes."""
    text = json.dumps(spec, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _file(name: str) -> Markup:
    return Markup((_PAGE / name).read_text(encoding="utf-8"))


@cache
def _bundle() -> Markup:
    """Vega, Vega-Lite and Vega-Embed as one script, which sets `vegaEmbed`."""
    # putting it together takes two seconds of CPU, and it changes with the installed package only
    kept = (
        _cache_folder() / f"vega-{version('vl-convert-python')}-{hashlib.sha256(_BUNDLED.encode()).hexdigest()[:8]}.js"
    )
    with contextlib.suppress(OSError, UnicodeDecodeError):
        digest, _, text = kept.read_text(encoding="utf-8").partition("\n")
        if digest == hashlib.sha256(text.encode()).hexdigest():
            return Markup(text)
    text = vl_convert.javascript_bundle(_BUNDLED)
    # a browser hashes what it parsed, and its parser turns every line end into \n
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("</script", "<\\/script")
    with contextlib.suppress(RunFolderError, OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        replace_file(kept, f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}")
    return Markup(text)


def _cache_folder() -> Path:
    """The user's (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "janusload"


def _hash(script: str) -> Markup:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return Markup(f"'sha256-{digest}'")
