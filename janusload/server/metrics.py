"""What an agent sees, for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from janusload.records import ServerRecord
from janusload.server.watch import LocalWatch, Look

#: fields that only grow, and what they count
_COUNTERS = {
    "written_bytes": "Bytes that Janus wrote to disks",
    "limit_hits": "How often the memory limit of the control group was run into",
    "oom_kills": "Processes of the control group killed for memory",
}


class Metrics(Collector):
    """Remembers the latest look; `text` is what /metrics answers.

    Attributes:
        refused: requests without the right token.
    """

    def __init__(self, watch: LocalWatch) -> None:
        self.refused = 0
        self._watch = watch
        self._look: Look | None = None
        self._lines: Counter[str] = Counter()
        #: of the sockets that are open, as far as known; and what was added to that since we look
        self._drops: int | None = None
        self._dropped = 0
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def take(self, look: Look) -> None:
        self._look = look
        if look.seen is not None and (drops := look.seen.server.udp_drops) is not None:
            # what a socket has dropped goes with it, but a counter must not fall
            self._dropped += max(0, drops - self._drops) if self._drops is not None else 0
            self._drops = drops
        for record in look.log:
            self._lines[record.category] += record.lines

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        seen = self._look.seen if self._look is not None else None
        up = GaugeMetricFamily("janus_up", "Whether the process of Janus is there")
        up.add_metric([], float(seen is not None and seen.server.state != ""))
        yield up
        if seen is not None:
            yield from _of_server(seen.server)
            if seen.threads is not None:
                threads = GaugeMetricFamily(
                    "janus_threads_by", "Threads of Janus by kind and state", labels=["kind", "state", "waits_for"]
                )
                for group in seen.threads.records():
                    # a lock's address would be a new series each time
                    words = group.waits_for.split(" ")
                    waits = words[0] if words[0] != "lock" else f"lock {words[-1]}"
                    threads.add_metric([group.kind, group.state, waits], group.threads)
                yield threads
        if self._drops is not None:
            what = "Datagrams dropped at full UDP sockets of Janus since we look"
            drops = CounterMetricFamily("janus_udp_drops", what)
            drops.add_metric([], self._dropped)
            yield drops
        lines = CounterMetricFamily("janus_log_lines", "Lines of Janus's log", labels=["category"])
        for category, count in self._lines.items():
            lines.add_metric([category], count)
        yield lines
        late = CounterMetricFamily(
            "janusload_agent_late", "Collectors that did not answer in time", labels=["collector"]
        )
        for name, count in (self._watch.process.late if self._watch.process is not None else {}).items():
            late.add_metric([name], count)
        yield late
        refused = CounterMetricFamily("janusload_agent_refused", "Requests without the right token")
        refused.add_metric([], self.refused)
        yield refused


def _of_server(server: ServerRecord) -> Iterator[Metric]:
    for name, value in server._asdict().items():
        if name in ("t_ns", "udp_worst_port", "udp_drops") or not isinstance(value, int | float):
            continue
        if name in _COUNTERS:
            counter = CounterMetricFamily(f"janus_{name}", _COUNTERS[name])
            counter.add_metric([], value)
            yield counter
        else:
            gauge = GaugeMetricFamily(f"janus_{name}", f"{name.replace('_', ' ')} of Janus, see ServerRecord")
            gauge.add_metric([], value)
            yield gauge
