"""Opens report pages in a real browser and says what it saw, as JSON.

A program of its own: other tests import Locust, which patches this interpreter's sockets and subprocesses, and
Playwright then hangs. `python -m tests.report.browse CHROMIUM WHAT`, WHAT as JSON: [[file, width, scheme], ...].
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

# nothing may reach out: the machine's own noise must not be mistaken for the page's
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

_PAINTED = 'performance.getEntriesByType("paint").some((p) => p.name === "first-contentful-paint")'

_LOOK = """() => {
  const box = (e) => { const b = e.getBoundingClientRect(); return [b.width, b.height]; };
  const plot = (e) => e.querySelector("svg .background").getBoundingClientRect().left;
  const figures = [...document.querySelectorAll("figure")];
  return {
    background: getComputedStyle(document.body).backgroundColor,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    headline: document.querySelector("h1").textContent,
    headline_bottom: document.querySelector("h1").getBoundingClientRect().bottom,
    images: document.images.length,
    scripts: document.querySelectorAll("script:not([type])").length,
    charts: Object.fromEntries([...document.querySelectorAll(".chart")].map((e) => [e.id, {
      size: box(e.querySelector("svg")),
      room: box(e)[0],
      marks: [...e.querySelectorAll("svg [class*=mark-] path[d], svg [class*=mark-] line")].length,
      label: getComputedStyle(e.querySelector("svg text") ?? e).fill,
      texts: [...e.querySelectorAll("svg text")].map((t) => t.textContent),
    }])),
    readable_ms: performance.getEntriesByType("paint").find((p) => p.name === "first-contentful-paint").startTime,
    bytes: new TextEncoder().encode(document.documentElement.outerHTML).length,
    lefts: figures.filter((f) => f.id === "timeline")
      .flatMap((f) => [...f.querySelectorAll(".chart")].map(plot)),
  };
}"""


def look(browser: Browser, file: Path, width: int, scheme: Any) -> dict[str, Any]:
    """Load one page; everything it complained about or reached for, and how it lies there."""
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    said: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_function("[...document.querySelectorAll('figure')].every((f) => f.dataset.drawn)", timeout=20_000)
    # on a quick machine the charts are drawn before the browser has told when it first painted
    page.wait_for_function(_PAINTED, timeout=20_000)
    seen: dict[str, Any] = page.evaluate(_LOOK)
    if page.query_selector("figure.timeline") is not None:
        seen["readout"] = _point(page)
        seen["zoomed"] = _zoom(page)
    if page.query_selector(".pick") is not None:
        seen["picked"] = _pick(page)
    seen["tooltip"] = _tooltip(page)
    if width > 1000:
        page.pdf(prefer_css_page_size=True)
    seen |= {"said": said, "requests": [url for url in requests if url != file.as_uri()]}
    page.close()
    return seen


def _point(page: Page) -> str:
    """What is read out under a pointer in the middle of the timeline."""
    page.locator("#timeline #chart-load").scroll_into_view_if_needed()
    box = page.locator("#timeline #chart-load").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    return page.locator("#timeline output").inner_text()


def _zoom(page: Page) -> list[Any]:
    """Labels of the time axis before and after a drag over its middle, and after seeing all of it again."""
    last = page.locator("#timeline .chart").last
    labels = "(e) => [...e.querySelectorAll('.role-axis-label text')].map((t) => t.textContent).join(' ')"
    before = last.evaluate(labels)
    box = page.locator("#timeline #chart-load").bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.4, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, y, steps=3)
    page.mouse.up()
    page.wait_for_timeout(200)
    within = last.evaluate(labels)
    page.locator("#timeline button").click()
    page.wait_for_timeout(200)
    return [before, within, last.evaluate(labels)]


def _pick(page: Page) -> list[list[float]]:
    """How strong the curves of the requests are before and after the second one is picked."""
    strength = "(e) => [...e.querySelectorAll('.mark-line path')].map((p) => Number(p.getAttribute('opacity') ?? 1))"
    chart = page.locator("#chart-requests")
    before = chart.evaluate(strength)
    page.locator(".pick select").select_option(index=2)
    page.wait_for_timeout(200)
    return [before, chart.evaluate(strength)]


def _tooltip(page: Page) -> str:
    """What is said over the last step's mark."""
    marks = page.locator("#chart-rate .mark-symbol path")
    if marks.count() == 0:
        return ""
    page.keyboard.press("Escape")
    marks.last.hover()
    page.wait_for_timeout(100)
    return page.locator("#vg-tooltip-element").inner_text()


def main(chromium: str, wanted: str) -> int:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        seen = [look(browser, Path(file), width, scheme) for file, width, scheme in json.loads(wanted)]
        browser.close()
    sys.stdout.write(json.dumps(seen))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
