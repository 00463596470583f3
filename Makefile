PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
# With the packages of all extras, some of which pin others.
EXTRAS := .venv-extras
FOLDER ?= demo/gpu
# A test process for each core, each with neighbouring tests first, so that a file's fixtures are mostly made once.
WORKERS ?= -n auto --maxprocesses 8 --dist worksteal
DEMO := demo/cumulative_parity_size_100_network_1

.PHONY: help install demo dist test test-processors test-slow test-slurm test-extras test-faults bench bench-gpu docs clean

help:
	@echo "make demo       install, train a small network on N-parity, evaluate it and draw the result"
	@echo "make test       install, lint, check types, run all tests but the slow ones"
	@echo "make test-processors run the tests of what computes as on other processors, each setting in processes of its own"
	@echo "make test-slow  run the slow tests"
	@echo "make test-slurm run the tests on a SLURM cluster of one's own (as root, with slurm-wlm and munge)"
	@echo "make test-extras run the tests and examples that need the packages of extras, in an environment of their own"
	@echo "make test-faults run the fault campaign and write docs/reliability"
	@echo "make bench      print the speed table (on an otherwise idle machine)"
	@echo "make bench-gpu  the same on a GPU; FOLDER=... gets the table and a CSV file"
	@echo "make dist       build wheel and source archive in dist/; .ci/wheel tries the wheel in a bare environment"
	@echo "make docs       run the documentation's examples and build it in docs/_build"

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

# Run again, it goes on where it was stopped, or says that it is finished.
demo: install
	$(BIN)/tauscope train -c cumulative -t parity -s 0 -nn 100 --max-N 12 --batch-size 64 --lr 0.1 --steps-per-epoch 300 --threads 1 -b demo
	$(BIN)/tauscope evaluate $(DEMO)
	@echo "The picture: $(DEMO)/evaluation_rnn_N2_N12.png"

test: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest $(WORKERS) -m "not slow and not slurm"

# The rooms that compute; the others keep, draw and print what these give them.
NUMERICAL := $(foreach room,tasks models learning analysis measurements papers,tests/$(room) src/tauscope/$(room))
# torch, oneDNN, MKL, OpenBLAS and numpy each choose their instructions by the processor, and each can be told to do
# with older ones (on x86; MKL_CBWR is for processors that are not Intel's, where MKL knows no other choice).
SSE4 := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_ENABLE_INSTRUCTIONS=SSE4_2 MKL_CBWR=COMPATIBLE \
	OPENBLAS_CORETYPE=Nehalem NPY_DISABLE_CPU_FEATURES="X86_V3 X86_V4 AVX512_ICL AVX512_SPR"
AVX2 := ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 \
	OPENBLAS_CORETYPE=Haswell NPY_DISABLE_CPU_FEATURES="X86_V4 AVX512_ICL AVX512_SPR"
as-sse4-mkl := $(SSE4) TAUSCOPE_PRODUCTS=mkl
as-sse4-onednn := $(SSE4) TAUSCOPE_PRODUCTS=onednn
as-avx2-mkl := $(AVX2) TAUSCOPE_PRODUCTS=mkl
as-avx2-onednn := $(AVX2) TAUSCOPE_PRODUCTS=onednn
as-avx512-without-bf16 := ONEDNN_MAX_CPU_ISA=AVX512_CORE
as-mkl := TAUSCOPE_PRODUCTS=mkl
as-onednn := TAUSCOPE_PRODUCTS=onednn
PROCESSORS ?= sse4-mkl sse4-onednn avx2-mkl avx2-onednn avx512-without-bf16 mkl onednn

test-processors: install
	@failed=; $(foreach name,$(PROCESSORS),echo '$(name): $(as-$(name))'; \
		env $(as-$(name)) $(BIN)/pytest $(WORKERS) -m "not slow and not slurm" $(NUMERICAL) || failed="$$failed $(name)";) \
	[ -z "$$failed" ] || { echo "failed as on:$$failed"; exit 1; }

test-slow: install
	$(BIN)/pytest -m slow

# Writes docs/reliability.md if it gets to its end.
test-faults: install
	PYTHONPATH=tests $(BIN)/python -m faults

test-slurm: install
	$(BIN)/pytest -m slurm -rs

test-extras: $(EXTRAS)/installed
	$(EXTRAS)/bin/pytest -m extras -rs
	$(EXTRAS)/bin/python -m doctest docs/extras/*.rst

$(EXTRAS)/installed: pyproject.toml constraints-extras.txt
	$(PYTHON) -m venv $(EXTRAS)
	$(EXTRAS)/bin/pip install --quiet --disable-pip-version-check -c constraints-extras.txt -e ".[dev,nwb,rl,neurogym,dsa]"
	touch $@

bench: install
	$(BIN)/python -m benchmarks

bench-gpu: install
	PYTHON=$(BIN)/python sh benchmarks/gpu.sh $(FOLDER)

docs: install
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	$(BIN)/python docs/reproductions.py
	$(BIN)/python -m doctest docs/*.rst
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build
	@echo "The pages: docs/_build/index.html"

dist: install
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt "build>=1.2"
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	@ls -l dist

clean:
	rm -rf demo build dist docs/_build docs/gallery .pytest_cache .mypy_cache .ruff_cache .hypothesis
