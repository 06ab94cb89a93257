# `make reproduce` runs the main job on the starter suite, `make test` every check; both need only Python 3.11 or later.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# A virtual environment of Windows has its programs in Scripts. CI does not use make there: `windows` in ci.yml.
BIN := .venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
# `make gpu PYTHON=python3` runs that interpreter as it is, for machines that have the packages but no network.
GPU_PYTHON := $(if $(filter file,$(origin PYTHON)),$(BIN)/python,$(PYTHON))
# One worker more than there are cores: some tests wait for servers and other processes.
PYTEST := $(BIN)/pytest -n $$($(BIN)/python -c 'import os; print(os.cpu_count() + 1)') --dist worksteal
FAST := tests/harness/judging tests/harness/records tests/zoo/recipes tests/zoo/models

.PHONY: reproduce check test lint committed nightly lowest notebooks processors docs benchmark gpu clean

reproduce: .venv/run
	$(BIN)/zoo verify --suite starter
	$(BIN)/zoo reproduce digits-resnet8_from_digits-resnet14 --train --seeds 5

# While you work: linters, types, recipes, and the tests of code that trains nothing. Under a minute on 2 cores.
check: .venv/test lint committed
	$(PYTEST) -q -m "not slow and not process and not browser" $(FAST)

# What CI runs: everything that is not marked `slow`. Under five minutes on 2 quiet cores.
test: .venv/test lint
	$(PYTEST) -m "not slow"

lint: .venv/test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# The shipped recipes and the committed leaderboard. `make test` has tests of both, which read them only once.
committed: .venv/test
	$(BIN)/zoo check --all
	$(BIN)/zoo leaderboard --check

# The rest: slow tests, fuzzing, the docs site, the tests under other processor settings. Half an hour on 2 cores.
# Without Debian's packages of Slurm its tests are skipped.
nightly: .venv/test .venv/docs .venv/ray .venv/trackers .venv/notebooks
	-test -d .venv/slurm/usr || $(BIN)/python -m tests.slurm.cluster .venv/slurm
	$(BIN)/python -m tests.nightly

# The lowest version of every package that pyproject.toml admits: writes constraints-lowest.txt anew, installs it (8 GB) and
# runs the starter suite and the fast tests with it.
lowest:
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/pip install --quiet uv
	.venv-lowest/bin/uv pip compile --quiet --resolution lowest-direct --python-version 3.11 --extra test --no-header \
		--no-annotate pyproject.toml --output-file constraints-lowest.txt
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest --constraint constraints-lowest.txt --editable '.[test]'
	.venv-lowest/bin/zoo verify --suite starter
	.venv-lowest/bin/pytest -q -n 2 -m "not slow and not process and not browser" $(FAST) tests/zoo/fetch tests/harness/losses

# Executes the notebooks, each within its time budget. On a busy machine: make notebooks WITH='--budget 3'.
notebooks: .venv/notebooks
	$(BIN)/python -m notebooks $(WITH)

# The tests and the starter suite as other x86 processors and thread counts compute: 26 minutes on 2 cores.
processors: .venv/test
	$(BIN)/python -m tests.processors $(WITH)

docs: .venv/docs
	$(BIN)/python docs/assemble.py
	$(BIN)/zensical build --clean --strict

# With real data: make benchmark WITH='--shared DIR --encoder DIR'.
benchmark: .venv/benchmark
	$(BIN)/python -m benchmarks.speed $(WITH)

# On a machine with a CUDA device: its tests, then every measurement of docs/speed-gpu.md, which it writes. Six minutes on
# an H100. One part, or more time: make gpu WITH='--only bert --seconds 900'.
gpu: $(if $(filter file,$(origin PYTHON)),.venv/test)
	@$(GPU_PYTHON) -m benchmarks.gpu --write $(WITH)

.venv/run: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

# The validator of Every Eval Ever needs none of the packages that every-eval-ever requires, some of them in other versions.
.venv/test: .venv/run
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test,parity]'
	$(BIN)/pip install --quiet --no-deps --ignore-requires-python every-eval-ever==0.3.0
	touch $@

.venv/benchmark: .venv/run
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[benchmark,parity]'
	touch $@

.venv/ray: .venv/test
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[ray]'
	touch $@

# A folder of their own: they need other versions of packages that the tests use.
.venv/trackers: .venv/test
	rm -rf $@ $@.tmp
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["trackers"], sep="\n")' > $@.txt
	$(BIN)/pip install --quiet --target $@.tmp --requirement $@.txt
	mv $@.tmp $@

.venv/notebooks: .venv/run
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[notebooks]'
	touch $@

.venv/docs: .venv/run
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

clean:
	rm -rf .venv .venv-lowest build
