# One command for each thing that people do with this repository; `make` alone lists them.

VENV := .venv
PYTHON := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
JANUSLOAD := $(VENV)/bin/janusload

TARGET := signalling

.DEFAULT_GOAL := help
# every target but the files of .venv is a command
.PHONY: $(shell sed -nE 's/^([a-z-]+):.*/\1/p' Makefile)

help:  ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/'

setup: $(INSTALLED)  ## everything that the tests and the demo need: .venv, and Debian's package janus
	@$(JANUSLOAD) lab install

test: setup browser  ## the tests
	@$(PYTHON) -m pytest

browser:  # the tests open the report in a real browser
	@$(JANUSLOAD) lab install --tests

check: setup browser  ## lint, format, types, tests with coverage
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy --strict -p janusload
	$(PYTHON) -m coverage run -m pytest
	$(PYTHON) -m coverage report

check-statistics: setup  ## how right the onset is: 1,000 simulated runs of each of 23 servers (some ten minutes)
	$(PYTHON) -m tests.analysis.check_statistics 1000 2

bench-media: setup  ## CPU and memory per participant: aiortc, pion, ours, the floor (some 25 minutes)
	@.ci/bench-packages
	@$(PYTHON) -m tests.benchmarks.bench_media

bench-load: setup  ## how true the offered load is, and what recording and users cost (three minutes)
	@$(PYTHON) -m tests.benchmarks.bench_load

bench-signalling: setup  ## CPU per request against other clients, 5,000 connections, truth of latencies (five minutes)
	@$(PYTHON) -m tests.benchmarks.bench_signalling

bench-recordings: setup  ## how long checking 1 GB of recordings takes
	@$(PYTHON) -m tests.benchmarks.bench_recordings

fuzz: setup  ## feed the protocol (or TARGET=recordings: their reader) what nobody should send, for FUZZ_SECONDS (600)
	@mkdir -p reports/out/fuzz/$(TARGET)
	@$(PYTHON) -m tests.fuzz.$(TARGET) -max_total_time=$${FUZZ_SECONDS:-600} -max_len=4096 -print_final_stats=1 \
		-artifact_prefix=reports/out/fuzz/ reports/out/fuzz/$(TARGET) tests/fuzz/corpus/$(TARGET)

bench-analysis: setup  ## how long a report takes and how much memory, from 10^4 to 10^7 records, on one core
	$(PYTHON) -m tests.benchmarks.bench_analysis

demo: setup  ## find the knee of a private Janus; the report lands in reports/out/demo
	$(JANUSLOAD) run scenarios/knee.toml --lab --out reports/out/demo --replace

RECORD := $(JANUSLOAD) run scenarios/record-soak.toml --lab --run-time "3 min" --replace

demo-record: setup  ## 16 people recorded for 3 minutes inside a memory limit: is all of it there, and does memory stay bounded?
	$(RECORD) --out reports/out/demo-record

demo-stall: setup  ## churn of plain-RTP participants until Debian's Janus stalls for good (minutes); reports/out/demo-stall
	$(JANUSLOAD) run scenarios/churn.toml --lab --out reports/out/demo-stall --replace || [ $$? -ge 3 ]

demo-fixed: setup  ## the same churn on Janus 1.4.1, and both compared; run demo-stall first
	@$(JANUSLOAD) lab install --janus 1.4.1
	$(JANUSLOAD) run scenarios/churn.toml --lab --janus 1.4.1 --run-time "2 min" --out reports/out/demo-fixed --replace \
		|| [ $$? -ge 3 ]
	$(JANUSLOAD) compare reports/out/demo-stall reports/out/demo-fixed --out reports/out/demo-comparison

check-verdicts: setup  ## each fault on 1.1.2 and 1.4.1: is it called by its name? (some 25 minutes; reports/out/verdicts.json)
	@$(JANUSLOAD) lab install --janus 1.4.1
	@$(PYTHON) -m tests.benchmarks.verdicts

check-healthy: setup  ## 50 minutes of high load on healthy servers: is any of it called a stall? (some 55 minutes; reports/out/healthy.json)
	@$(JANUSLOAD) lab install --janus 1.4.1
	@$(PYTHON) -m tests.benchmarks.healthy

check-systemd: setup  ## systemd, journald and control groups of version 2, in an emulated Debian (root; half an hour; reports/out/vm)
	@tests/vm/run

demo-uncache: setup  ## the same without and with recordings kept out of the page cache, and the two compared (8 minutes)
	$(RECORD) --out reports/out/demo-record || [ $$? -ge 3 ]
	$(RECORD) --uncache "2 MB" --out reports/out/demo-uncache || [ $$? -ge 3 ]
	$(JANUSLOAD) compare reports/out/demo-record reports/out/demo-uncache

lock:  ## resolve the dependencies anew (needs uv)
	uv pip compile --generate-hashes --no-emit-index-url --python-version 3.11 pyproject.toml --group dev \
		-o requirements.lock --no-header --no-annotate --quiet

clean:  ## remove what was generated, except .venv
	rm -rf reports/out build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache .coverage .coverage.*
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(PYTHON):
	@.ci/make-venv

# The project itself comes without dependencies and without build isolation: the lock has all of them, its build
# backend too, so nothing is fetched whose hash is not known.
$(INSTALLED): requirements.lock pyproject.toml | $(PYTHON)
	@if command -v uv >/dev/null; then \
		set -e; \
		uv pip install --quiet --python $(PYTHON) --require-hashes -r requirements.lock; \
		uv pip install --quiet --python $(PYTHON) --no-deps --no-build-isolation -e .; \
	else \
		set -e; \
		$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock; \
		$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	fi
	@touch $@
