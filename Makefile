# `make reproduce` runs the main job on the starter suite, `make test` every check; both need Python 3.11 or later only.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: reproduce test benchmark clean

reproduce: .venv/run
	$(BIN)/zoo verify --suite starter
	$(BIN)/zoo reproduce digits-resnet8_from_digits-resnet14 --train --seeds 5

# One worker more than there are cores: some tests wait for servers and other processes.
test: .venv/test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/zoo check --all
	$(BIN)/zoo leaderboard --check
	$(BIN)/pytest -n $$($(BIN)/python -c 'import os; print(os.cpu_count() + 1)') --dist worksteal

# Real data where they are given: make benchmark WITH='--shared DIR --encoder DIR'.
benchmark: .venv/benchmark
	$(BIN)/python -m benchmarks.speed $(WITH)

.venv/run: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/test: .venv/run
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test,parity]'
	touch $@

.venv/benchmark: .venv/run
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[benchmark,parity]'
	touch $@

clean:
	rm -rf .venv
