"""How far reported latency is from the truth, at half a core of load: `python -m ... PORT SECONDS [CORE_SHARE]`.

Against `delay_server`, which says with each answer for how long it held the request. The open-loop stream of
`janusload.load.arrivals` sends; the rate is chosen, after a look at what a request costs here, so that this process
uses the share of a core that was asked for. Printed, as JSON: the share that it used, and the error of the reported
latency (answered - due, less what the server held) in microseconds; also of the service time (answered - sent).
"""

from __future__ import annotations

import gc
import json
import sys
import time

import gevent

from janusload.janus.connection import Connection
from janusload.janus.protocol import Transaction
from janusload.load.arrivals import Arrivals
from janusload.load.health import Gauges, Health
from janusload.pacing import Schedule, plateau
from janusload.records import Outcome

CONNECTIONS = 20


def main() -> None:
    port, seconds = int(sys.argv[1]), float(sys.argv[2])
    share = float(sys.argv[3]) if len(sys.argv) > 3 else 0.5
    trial_rate = 1500.0
    _, cpu_share, _ = measure(port, trial_rate, 3.0)
    rate = trial_rate * share / cpu_share
    errors, cpu_share, counts = measure(port, rate, seconds)
    print(
        json.dumps(
            {
                "requests_per_s": round(rate),
                "core_share": round(cpu_share, 2),
                **counts,
                "latency_error_us": quantiles([whole for whole, _ in errors]),
                "service_time_error_us": quantiles([service for _, service in errors]),
            }
        )
    )


def measure(port: int, rate: float, seconds: float) -> tuple[list[tuple[int, int]], float, dict[str, int]]:
    errors: list[tuple[int, int]] = []
    counts = {"answered": 0, "otherwise": 0}

    def observe(transaction: Transaction, late: bool) -> None:
        if transaction.verb != "create":
            return
        reply, answered_ns, sent_ns = transaction.reply, transaction.answered_ns, transaction.sent_ns
        if transaction.outcome is not Outcome.OK or reply is None or answered_ns is None or sent_ns is None:
            counts["otherwise"] += 1
            return
        counts["answered"] += 1
        held_ns = reply["held_ns"]
        errors.append((answered_ns - transaction.due_ns - held_ns, answered_ns - sent_ns - held_ns))

    arrivals = Arrivals(
        lambda number: Connection(f"ws://127.0.0.1:{port}", observer=observe),
        CONNECTIONS,
        2.0,
        Health(lambda record: None, lambda: Gauges(0, 0)),
    )
    arrivals.open()
    gc.collect()
    gc.freeze()
    cpu_s, began_s = time.process_time(), time.monotonic()
    arrivals.run(Schedule([plateau(rate, seconds)]), time.monotonic_ns() + 1_000_000)
    cpu_share = (time.process_time() - cpu_s) / (time.monotonic() - began_s)
    gevent.sleep(0.5)
    arrivals.close()
    return errors, cpu_share, counts


def quantiles(errors_ns: list[int]) -> dict[str, int]:
    ordered = sorted(abs(error) for error in errors_ns)
    at = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
    return {name: round(ordered[int(len(ordered) * q)] / 1e3) for name, q in at.items()}


if __name__ == "__main__":
    main()
