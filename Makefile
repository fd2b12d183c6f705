# Two commands matter: `make demo` and `make test`. `make help` lists the rest.
# Everything is installed into .venv, at the versions in constraints.txt. A stamp file remembers what is done, so a second run is quick.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
DEMO := build/demo
KERNEL := $(wildcard replaylab/kernel/*.[ch] replaylab/kernel/build.py) hatch_build.py

# Compiled modules are kept, whatever the shell says: tests start a thousand processes, and each would compile the package again.
export PYTHONDONTWRITEBYTECODE :=

# Where a recipe needs a Debian package it calls `packages NAME...`; elsewhere the message says what to install by hand.
define PACKAGES
packages() {
  local root=""
  if ! command -v apt-get >/dev/null; then
    echo "make: please install $$* (this machine has no apt-get), then run make again" >&2
    exit 1
  fi
  if [ "$$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "make: please run as root: apt-get install $$*   (there is no sudo here), then run make again" >&2
      exit 1
    fi
    root="sudo"
  fi
  echo "make: installing $$* with apt-get" >&2
  local install=($$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$$@")
  # The lists of packages are fetched only where they are missing or too old, as that takes longer than most packages.
  "$${install[@]}" </dev/null >/dev/null 2>&1 || { $$root apt-get update -qq && "$${install[@]}" </dev/null >/dev/null; }
}
endef

# Sets `python` to an interpreter that is new enough: the one named by PYTHON, else first the version that constraints.txt was made with.
define FIND_PYTHON
find_python() {
  local name
  for name in $${PYTHON:-python3.11 python3 python3.12 python3.13 python3.14}; do
    if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      python="$$name"
      return 0
    fi
  done
  return 1
}
endef

# Brings a C compiler for the kernel where apt-get can; without one replaylab works as well, and converts slower.
define FIND_COMPILER
find_compiler() {
  command -v cc >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null || (packages gcc libc6-dev) ||
    echo "make: there is no C compiler; replaylab is installed without its kernel, and converts slower" >&2
}
endef

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	@$(PACKAGES)
	$(FIND_PYTHON)
	find_python || { [ -z "$${PYTHON:-}" ] && packages python3 python3-venv && hash -r && find_python; } || {
	  echo "make: replaylab needs Python 3.11 or newer; install one, or name it: make PYTHON=/path/to/python3.12" >&2
	  exit 1
	}
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then
	  packages "$$("$$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
	fi
	"$$python" -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.run: pyproject.toml constraints.txt $(KERNEL) | $(BIN)/python
	@$(PACKAGES)
	$(FIND_COMPILER)
	find_compiler
	echo "make: installing replaylab into $(VENV)"
	$(PIP_INSTALL) -e .
	touch $@

$(VENV)/.test: pyproject.toml constraints.txt $(KERNEL) | $(BIN)/python
	@$(PACKAGES)
	$(FIND_COMPILER)
	find_compiler
	echo "make: installing replaylab and its test tools into $(VENV)"
	$(PIP_INSTALL) -e '.[lab,sql,test]'
	touch $@ $(VENV)/.run

$(VENV)/.bench: $(VENV)/.test
	@echo "make: installing into $(VENV) what the player is compared with"
	$(PIP_INSTALL) -e '.[lab,sql,test,bench]'
	touch $@

.PHONY: demo
demo: $(VENV)/.run ## convert the sample recordings, verify the store, list and draw its games, make a page that replays one
	@rm -rf $(DEMO)
	mkdir -p $(DEMO)
	$(BIN)/replaylab convert data/samples --to $(DEMO)/store
	$(BIN)/replaylab verify $(DEMO)/store
	$(BIN)/replaylab info $(DEMO)/store
	$(BIN)/replaylab plot $(DEMO)/store --to $(DEMO)/games.png
	$(BIN)/replaylab export $(DEMO)/store --game 20310102-f8c2becf931a4f5d --to $(DEMO)/replay.html
	echo "make: the store is in $(DEMO)/store, the chart is $(DEMO)/games.png, the game in $(DEMO)/replay.html plays in any browser"

.PHONY: browser
browser: ## install Chromium, a font and axe-core for the browser tests, when missing
	@$(PACKAGES)
	missing=()
	command -v chromium >/dev/null || missing+=(chromium)
	[ -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ] || missing+=(fonts-dejavu-core)
	command -v npm >/dev/null || missing+=(npm)
	[ $${#missing[@]} = 0 ] || packages "$${missing[@]}"
	[ -e build/axe/node_modules/axe-core/axe.min.js ] ||
	  npm install --silent --no-audit --no-fund --prefix build/axe axe-core@4.14.1

# The other side of the Socket.IO tests: the server and the client that the world uses.
build/socketio/.installed: Makefile
	@$(PACKAGES)
	command -v npm >/dev/null || packages npm
	npm install --silent --no-audit --no-fund --prefix build/socketio socket.io@4.8.4 socket.io-client@4.8.4
	touch $@

.PHONY: postgresql
postgresql: ## install a PostgreSQL server for the tests of the database, when missing; they start one of their own
	@$(PACKAGES)
	compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null || packages postgresql

# What checks the player's JavaScript; using the package, or installing it, needs neither.
build/js/.installed: Makefile
	@$(PACKAGES)
	command -v npm >/dev/null || packages npm
	npm install --silent --no-audit --no-fund --prefix build/js typescript@7.0.2 @biomejs/biome@2.6.8
	touch $@

# Debian's promtool, unpacked and not installed: its package would start a server.
build/prometheus/usr/bin/promtool:
	@$(PACKAGES)
	mkdir -p build/prometheus
	cd build/prometheus
	root=""
	[ "$$(id -u)" = 0 ] || root="sudo"
	apt-get download -qq prometheus 2>/dev/null || { $$root apt-get update -qq && apt-get download -qq prometheus; }
	dpkg --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool
	rm prometheus_*.deb

.PHONY: monitoring
monitoring: ## bring promtool, which checks the rules for Prometheus
	@command -v promtool >/dev/null || $(MAKE) --no-print-directory build/prometheus/usr/bin/promtool

.PHONY: lint
lint: $(VENV)/.test build/js/.installed ## ruff, its formatter and mypy; for JavaScript biome and tsc
	@$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	build/js/node_modules/.bin/biome check --error-on-warnings
	build/js/node_modules/.bin/tsc -p tsconfig.json

.PHONY: format
format: $(VENV)/.test build/js/.installed ## let ruff and biome format the code
	@$(BIN)/ruff format .
	build/js/node_modules/.bin/biome format --write

.PHONY: lint-and-docs
lint-and-docs: build/js/.installed $(VENV)/.docs
	@$(MAKE) --no-print-directory --jobs 2 --output-sync lint docs

.PHONY: test
test: browser postgresql monitoring build/socketio/.installed lint-and-docs ## everything CI checks: lint, types, the site, tests, doctests, notebooks
	@$(BIN)/python -m pytest -n 2 -p no:nbval --ignore tests/browser
	$(BIN)/python -m pytest -p no:nbval tests/browser
	$(BIN)/python -m pytest -n 2 --dist loadscope -p no:randomly --nbval --nbval-sanitize-with tests/nbval.cfg notebooks

# What each room promises, in its tests that start no process, server, browser or crash (tests/unit.py finds those), with
# ten examples a law; big laws, replays of power cuts and the roads of the kernel stay with `make test`.
UNIT := tests/parsing tests/segments tests/journals tests/exports tests/fair tests/charts $(wildcard tests/test_[cdeflst]*.py) \
  $(addprefix tests/storage/test_,compact.py files.py game.py gaps.py order.py views.py) tests/simulation/test_simulate.py \
  tests/kernel/test_library.py tests/analysis/backtests/test_account.py tests/analysis/price_paths \
  tests/conversion/test_games.py tests/conversion/test_report.py $(addprefix tests/encryption/test_,envelope.py keys.py kms.py) \
  tests/feeds/test_engineio.py tests/feeds/test_programme.py tests/playback/test_controls.py tests/playback/test_view.py \
  tests/postgres/test_address.py tests/recording/test_lane.py tests/recording/test_ownership.py tests/retention \
  tests/service/test_frames.py tests/service/test_tokens.py tests/sessions/test_breaker.py tests/sessions/test_gaps.py \
  tests/watching/test_alerts.py tests/dashboards/test_view.py tests/widgets/test_ranges.py tests/widgets/test_inbox.py \
  tests/cli/test_terminal_player.py tests/live/test_bad_input.py

# The floors that pyproject.toml declares are what this runs with; the rest is what they bring. All tests are run but these,
# which stay with `make test`: encryption (its floor is pyarrow 26, which would lift that of all others), with its example and
# its page of the docs; the benchmarks (an old version of a dependency brings a package of that name); the browser (its
# JavaScript is the same) and the notebooks (what is stored in them was printed by the newest versions).
LOWEST_LEAVES_OUT := -m "not encryption" --ignore tests/encryption --ignore replaylab/storage/encrypt.py \
  --deselect "tests/test_docs.py::test_blocks_run[security.md]" --ignore tests/test_benchmarks.py --ignore tests/browser
LOWEST := build/lowest

$(LOWEST)/.installed: pyproject.toml $(KERNEL) | $(BIN)/python
	@$(BIN)/python -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check uv==0.9.30
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct \
	  -e '.[lab,sql,polars,cluster,live,serve,test]'
	touch $@

.PHONY: test-lowest
test-lowest: $(LOWEST)/.installed ## the tests without a browser, with the lowest declared version of every dependency
	@$(LOWEST)/bin/python -m pytest -n 2 -p no:nbval -o filterwarnings=default --disable-warnings $(LOWEST_LEAVES_OUT)

.PHONY: check
check: $(VENV)/.test ## the unit tests alone, of every room, in about a minute on two cores
	@$(BIN)/python -m pytest -q -n 2 -p no:nbval -m "not slow" --hypothesis-profile=check \
	  $(filter-out tests/test_docs.py tests/test_signals.py tests/test_truth.py,$(UNIT))

# Installs what $(VENV)/.test does as well: a second call of pip would build replaylab again.
$(VENV)/.docs: pyproject.toml constraints.txt $(KERNEL) | $(BIN)/python
	@$(PACKAGES)
	$(FIND_COMPILER)
	find_compiler
	command -v systemd-analyze >/dev/null || packages systemd
	echo "make: installing replaylab, its test tools and what builds its site into $(VENV)"
	$(PIP_INSTALL) -e '.[lab,sql,test,docs]'
	touch $@ $(VENV)/.test $(VENV)/.run

.PHONY: docs
docs: $(VENV)/.docs ## build the documentation site into build/site; a warning is an error
	@rm -rf docs/generated build/site
	$(BIN)/sphinx-build -q -W --keep-going -n -c docs -b html . build/site
	echo "make: the site is in build/site/index.html"

.PHONY: links
links: $(VENV)/.docs ## ask the addresses on the site's pages whether they are still there; needs the internet (links inside: make test)
	@$(BIN)/sphinx-build -q -c docs -b linkcheck . build/links

.PHONY: release
release: $(VENV)/.test ## wheel and source archive into dist/, checked, with a bill of materials and licences; tried in an environment of its own
	@rm -rf dist build/release
	$(PIP_INSTALL) -e '.[lab,sql,test,release]'
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m build --outdir dist .
	strangers="$$(tar -tzf dist/*.tar.gz | cut -d/ -f2- | LC_ALL=C sort | LC_ALL=C comm -23 - <(git -c core.quotePath=off ls-files | LC_ALL=C sort) | grep -vx PKG-INFO || true)"
	if [ -n "$$strangers" ]; then
	  echo "make: these files are not in the repository and would be in the source archive; remove them first:" >&2
	  echo "$$strangers" >&2
	  exit 1
	fi
	if compgen -G 'dist/*-linux_*.whl' > /dev/null; then # named after the oldest C library that it works with
	  PATH="$(abspath $(BIN)):$$PATH" $(BIN)/auditwheel repair --wheel-dir dist dist/*-linux_*.whl
	  rm dist/*-linux_*.whl
	fi
	$(BIN)/twine check --strict dist/*
	$(BIN)/python -m venv build/release
	build/release/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt dist/*.whl
	build/release/bin/python tests/smoke.py
	$(BIN)/cyclonedx-py environment --output-format JSON --output-file dist/replaylab.cdx.json build/release
	$(BIN)/pip-licenses --python build/release/bin/python --format markdown --output-file dist/LICENSES.md
	ls -l dist

.PHONY: lab
lab: $(VENV)/.test ## open the notebooks in JupyterLab
	@root=""
	[ "$$(id -u)" != 0 ] || root="--allow-root"
	exec $(BIN)/jupyter lab $$root notebooks

BENCHMARKS := conversion.exactness conversion.convert_file conversion.convert_folder conversion.command conversion.memory conversion.size conversion.other_files \
  storage.query storage.growth storage.many_ticks storage.encryption storage.postgresql analysis.summary analysis.estimators start analysis.cluster fair.fair analysis.backtest analysis.sweep playback.engine \
  recording.record recording.record_pipe playback.ring live.day live.feed_cost live.many_feeds live.outage live.served live.stall dashboards.dashboard widgets.browse widgets.player widgets.player_ways widgets.reopened widgets.soak

.PHONY: bench
bench: $(VENV)/.bench browser postgresql ## run every benchmark, each against a named peer (make bench QUICK=--quick: tiny input)
	@for name in $(BENCHMARKS); do
	  echo "== $$name"
	  $(BIN)/python -m "benchmarks.$$name" $(QUICK)
	done

LINES := 1000000

.PHONY: fuzz-kernel
fuzz-kernel: $(VENV)/.test ## hold the C kernel against numpy in LINES mutated lines, under AddressSanitizer and UBSan
	@$(BIN)/python -m tests.kernel.fuzz $(LINES)

INPUTS := 10000000

.PHONY: fuzz
fuzz: $(VENV)/.test ## feed INPUTS inputs to the readers of bytes from outside (make test: 200,000); what is new is kept in build/fuzz
	@FUZZ_INPUTS=$(INPUTS) FUZZ_CORPUS=$(CURDIR)/build/fuzz $(BIN)/python -m pytest -n 2 tests/fuzz

$(VENV)/.quality: $(VENV)/.test
	@$(PIP_INSTALL) -e '.[lab,sql,test,quality]'
	touch $@

# coverage loads modules itself, and holds a lock of its own when a signal handler stops a recorder
COVERAGE_LEAVES_OUT := --deselect tests/conversion/test_convert.py::test_what_a_conversion_loads_before_it_reads \
	--deselect tests/recording/test_recorder_signals.py::test_a_real_signal

.PHONY: coverage
coverage: $(VENV)/.quality ## branches that the tests without a browser take, child processes included; below 95 % it fails
	@rm -rf build/coverage
	mkdir -p build/coverage
	$(BIN)/coverage run -m pytest -q -n 2 --ignore tests/browser --ignore tests/fuzz $(COVERAGE_LEAVES_OUT)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

.PHONY: mutation
mutation: $(VENV)/.quality ## change journals, lines, clock and continuity by mutmut, and name the changes that no test notices; hours
	@$(BIN)/mutmut run --max-children 2
	$(BIN)/mutmut results

.PHONY: constraints
constraints: ## renew constraints.txt from a clean install of the newest versions
	@rm -rf build/constraints
	$(FIND_PYTHON)
	find_python
	"$$python" -m venv build/constraints
	build/constraints/bin/python -m pip install --quiet --disable-pip-version-check -e '.[lab,sql,polars,cluster,test,bench,docs,release,quality]'
	{ head -n 1 constraints.txt; build/constraints/bin/python -m pip freeze --exclude-editable; } > build/constraints.txt
	mv build/constraints.txt constraints.txt

.PHONY: clean
clean: ## remove what make made: .venv, build and the caches
	@rm -rf $(VENV) build dist mutants .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
