"""Summaries to render: a realistic run, and one variant for every way a run can end."""

from __future__ import annotations

from janusload.comparison import Aspect, Change, Compared, Comparison, Side
from janusload.summary import (
    Failure,
    FailureKind,
    Generator,
    Leaks,
    Memory,
    MemoryGrowth,
    Onset,
    OnsetStatus,
    Quantiles,
    RecordingFault,
    Recordings,
    RequestSummary,
    RunFacts,
    Server,
    Summary,
    Threshold,
    Verdict,
)
from tests.report.sample_load import T, bounds, steps, timeline
from tests.report.sample_run import SCENARIO, summary

__all__ = [
    "SCENARIO",
    "T",
    "bounds",
    "every",
    "for_status",
    "hostile",
    "steps",
    "summary",
    "timeline",
    "with_limits",
    "without_extras",
]

HOSTILE = "</script><script>alert(1)</script>"
HOSTILE_ATTRIBUTE = '"><img src=x onerror=alert(1)>'
HOSTILE_TERMINAL = "\x1b[31mred\x1b[0m [bold]not bold[/bold] \u202egnp.exe"


def every() -> list[Summary]:
    """One of each."""
    return [*map(for_status, OnsetStatus), with_limits(), hostile(), without_extras()]


def with_limits() -> Summary:
    return summary(
        verdict=Verdict.FAILED,
        thresholds=[
            Threshold(name="onset load", limit="> 250/s", value="239–299/s", passed=False),
            Threshold(name="media loss", limit="< 1 %", value="0.02 %", passed=True),
            Threshold(name="leaked sessions", limit="0", value="0", passed=True),
        ],
    )


def without_extras() -> Summary:
    """As from a run against a remote server that broke off before its first step was over."""
    return summary(
        verdict=Verdict.INCONCLUSIVE,
        headline="The run was stopped after 9 s: too early to say where create begins timing out.",
        run=RunFacts(
            name="r", started_utc="not a time", duration_s=9.0, end="interrupted", where="ws://10.0.0.7:8188/"
        ),
        onset=_onset(OnsetStatus.ABORTED, "The run was stopped in its first step.", None, load=None),
        failure=Failure(kind=FailureKind.NONE, rule="nothing had to recover"),
        steps=[],
        onset_by_latency=None,
        latency_bins=[],
        sweep=[],
        requests={},
        media=None,
        server=None,
        log=None,
        leaks=Leaks(),
        timeline=None,
        generator=Generator(valid=True, reasons=[]),
    )


def for_status(status: OnsetStatus) -> Summary:
    """A run whose search for the onset ended so."""
    good = [0, 0, 1, 3, 4, 6, 8, 9]
    unit = "requests/s"
    match status:
        case OnsetStatus.FOUND:
            return summary()
        case OnsetStatus.UNCONFIRMED:
            onset = _onset(status, "The last step is over 1 %, and no step after it confirms that.", (239.3, 299.1))
            return summary(onset=onset, steps=steps(5), headline="create seems to begin timing out near 270/s.")
        case OnsetStatus.NO_ONSET:
            onset = _onset(
                status,
                f"Up to 479 {unit} the timeout rate is credibly under 1 % (at most 0.19 %).",
                (478.6, None),
                load=None,
                rate_upper=0.0019,
            )
            return summary(
                onset=onset,
                steps=steps(timeouts=good),
                headline=f"create does not begin timing out up to 479 {unit} (T = 2 s).",
                failure=Failure(kind=FailureKind.NONE, rule="nothing had to recover"),
            )
        case OnsetStatus.FROM_START:
            onset = _onset(status, "Already the first step is over 1 %.", (None, 59.8), load=None)
            return summary(onset=onset, steps=steps(timeouts=[90, 300, 700, 1500, 2400, 3000, 4000, 5000]))
        case OnsetStatus.LOWER_UNPROVEN:
            onset = _onset(status, "No step is credibly under 1 %; 268 samples a step would do.", (None, 179.5))
            return summary(onset=onset, verdict=Verdict.INCONCLUSIVE)
        case OnsetStatus.GENERATOR_LIMITED:
            cut = [s.model_copy(update={"counted": s.index < 3, "left_out": _why(s.index)}) for s in steps()]
            onset = _onset(status, "The load process used 97 % of its core from step 4 on.", (179.5, None), load=None)
            return summary(
                onset=onset,
                steps=cut,
                verdict=Verdict.INCONCLUSIVE,
                failure=Failure(kind=FailureKind.GENERATOR_LIMITED, rule="process load over 90 % CPU"),
                generator=Generator(
                    valid=False, reasons=["process load over 90 % CPU"], cpu_percent_max={"load": 97.0}
                ),
            )
        case OnsetStatus.TRANSPORT_LIMITED:
            onset = _onset(status, "Connections were refused before requests timed out.", None, load=None)
            return summary(onset=onset, verdict=Verdict.INCONCLUSIVE)
        case OnsetStatus.ABORTED:
            onset = _onset(status, "Ctrl-C in step 3 of 8.", (119.6, None), load=None)
            return summary(onset=onset, steps=steps(3), verdict=Verdict.INCONCLUSIVE)
        case OnsetStatus.INSUFFICIENT_DATA:
            onset = _onset(status, "25 samples a step; 268 are needed at 1 %.", None, load=None)
            return summary(onset=onset, steps=steps(1), verdict=Verdict.INCONCLUSIVE)


def hostile() -> Summary:
    """Every text that comes from outside tries to be markup, script or a terminal command."""
    plain = summary()
    texts = f"{HOSTILE} {HOSTILE_ATTRIBUTE} {HOSTILE_TERMINAL}"
    line = plain.timeline
    assert line is not None
    return summary(
        verdict=Verdict.FAILED,
        headline=f"headline {texts}",
        run=plain.run.model_copy(
            update={
                "name": texts,
                "asks": texts,
                "where": texts,
                "end": texts,
                "command": texts,
                "scenario": f"{SCENARIO}\n# {texts} {{{{ 7 * 7 }}}}\x00",
                "versions": {texts: texts},
                "host": {texts: texts},
                "server_info": {texts: {texts: [texts]}},
                "lab": {texts: texts},
            }
        ),
        onset=plain.onset.model_copy(update={"request": texts, "axis": texts, "explanation": texts}),
        failure=Failure(kind=FailureKind.PLUGIN_STUCK, rule=texts, plugin=texts, evidence=f"javascript:{texts}"),
        requests={texts: RequestSummary(count=1, outcomes={texts: 1}, latency_ms=Quantiles(), errors={texts: 1})},
        server=Server(version=texts, known=[texts], cannot_see=[texts]),
        log={texts: 3},
        memory=Memory(source=texts, growth=MemoryGrowth.BOUNDED, firm_mb=1.0, firm_mb_max=1.0, state_words=texts),
        recordings=Recordings(
            files=1,
            size_mb=1.0,
            hours=0.1,
            whole=0,
            states={texts: 1},
            faults=[RecordingFault(path=texts, state=texts, words=texts)],
        ),
        generator=Generator(valid=False, reasons=[texts], cpu_percent_max={texts: 3.0}),
        thresholds=[Threshold(name=texts, limit=texts, value=texts, passed=False)],
        steps=[s.model_copy(update={"left_out": texts, "outcomes": {texts: 1}}) for s in steps()],
        timeline=line.model_copy(
            update={
                "markers": [(5.0, texts)],
                "outcomes": {texts: line.outcomes["ok"]},
                "rungs": {texts: line.rungs["tcp"]},
            }
        ),
    )


def comparison() -> Comparison:
    """A run whose names are hostile against one without an onset."""
    texts = f"{HOSTILE} {HOSTILE_ATTRIBUTE} {HOSTILE_TERMINAL}"
    sides = []
    for label, made in ((texts, with_limits()), ("new", for_status(OnsetStatus.NO_ONSET))):
        facts = {"onsets": [made.onset], "failures": [made.failure.kind], "steps": made.steps}
        sides.append(Side(label=label, folders=[texts], headline=texts, **facts))
    aspect = Aspect(name="onset", base=texts, new="b", change=Change.WORSE, why=texts)
    new = Compared(side=sides[1], verdict=Change.WORSE, sentence="worse", aspects=[aspect], notes=[texts])
    return Comparison(verdict=Change.WORSE, sentence=f"worse {texts}", base=sides[0], new=[new])


def _onset(
    status: OnsetStatus,
    explanation: str,
    bracket: tuple[float | None, float | None] | None,
    load: float | None = 268.0,
    rate_upper: float | None = None,
) -> Onset:
    return summary().onset.model_copy(
        update={
            "status": status,
            "explanation": explanation,
            "load_bracket": bracket,
            "load": load,
            "latency_ms": None,
            "bracket_ms": None,
            "rate_upper": rate_upper,
        }
    )


def _why(index: int) -> str | None:
    return "the generator was the limit: process load over 90 % CPU" if index >= 3 else None
