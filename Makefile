# What a developer types. `make` alone lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV ?= .venv
DEMO ?= demo
BENCH ?= bench
# the first of these that runs and is new enough
FIND_PYTHON = for name in python3.11 python3.12 python3; do \
  if $$name -c 'import sys; sys.exit(sys.version_info[:2] not in [(3, 11), (3, 12)])' 2>/dev/null; \
  then echo $$name; break; fi; done
PYTHON ?= $(shell $(FIND_PYTHON))
TORCH ?= $(shell grep '^torch==' constraints.txt)

# quoted where the shell reads it: a checkout may lie in a folder with blanks in its name
BIN = $(abspath $(VENV))/bin
PIP_INSTALL = "$(BIN)/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt
INSTALLED = $(VENV)/.installed
# the examples call `cprtools` and `python` as a user's shell would
IN_VENV = PATH="$(BIN):$$PATH"
PYTHON_FILES = cprtools tests examples docs

export SEEDS

.PHONY: help install demo test test-oldest faults fuzz check docs picture bench bench-large bench-batch bench-search bench-mining bench-evaluate bench-nightly bench-text bench-training scale-mining scale-training scale-sampling simulate-marketplace scale-sellers ablate-complements ablate-sellers reproduce-ablation reproduce-complements reproduce-sellers reproduce-marketplace clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-22s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  VENV=folder (.venv)  DEMO=folder (demo)  PYTHON=python3.11  ARGS='-k mining' for test"

install: $(INSTALLED) ## Make .venv/ with cprtools and everything to develop it

# torch first: what needs it then finds it, and a CPU build that is there already stays
$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "cprtools needs Python 3.11 or 3.12: make PYTHON=..." >&2; exit 1; }
	test -x "$(BIN)/python" || $(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) '$(TORCH)'
	$(PIP_INSTALL) -e '.[offline,ann,text,spark,dev]'
	touch $@

demo: $(INSTALLED) ## Both pipelines on an example marketplace, in the folder demo/
	$(IN_VENV) bash examples/demo.sh "$(DEMO)"

# a process per core with one thread each: most tests wait for commands of their own
test: $(INSTALLED) ## The whole test suite
	$(IN_VENV) OMP_NUM_THREADS=1 python -m pytest -n auto --dist loadfile $(ARGS)

faults: $(INSTALLED) ## Every command killed, starved of disk, cut off: MOMENTS=50
	$(IN_VENV) python -m tests.robust.faults --moments $(or $(MOMENTS),50)

fuzz: $(INSTALLED) ## Damaged Parquet files for every reader: EACH=2000 ARGS='--reader pairs'
	$(IN_VENV) OMP_NUM_THREADS=1 python -m tests.robust.fuzz --each $(or $(EACH),2000) $(ARGS)

# lower bounds as they stand in pyproject.toml; all else as new as they allow
OLDEST ?= .venv-oldest
test-oldest: ## The suite with the oldest dependencies that are allowed: OLDEST=folder
	$(PYTHON) -m venv $(OLDEST)
	$(PYTHON) tests/robust/oldest.py pyproject.toml > $(OLDEST)/oldest.txt
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check \
	  -c $(OLDEST)/oldest.txt -e '.[offline,ann,text,spark,dev]'
	PATH="$(abspath $(OLDEST))/bin:$$PATH" OMP_NUM_THREADS=1 python -m pytest -n auto \
	  --dist loadfile -m 'not spark' $(ARGS)

check: $(INSTALLED) ## Format, lint, types, docs up to date
	"$(BIN)/ruff" format --check $(PYTHON_FILES)
	"$(BIN)/ruff" check $(PYTHON_FILES)
	"$(BIN)/mypy"
	"$(BIN)/python" docs/generate.py --check

docs: $(INSTALLED) ## Write docs/commands/ anew from the commands' help
	"$(BIN)/python" docs/generate.py

picture: $(INSTALLED) ## Draw the README's terminal anew, from the seller model of `make demo`
	test -d "$(DEMO)/seller.model" || $(IN_VENV) bash examples/demo.sh "$(DEMO)"
	$(IN_VENV) python examples/terminal_picture.py "$(DEMO)" docs/figures/recommend.svg \
	  recommend --seller S1 --category Photography -k 5

bench: $(INSTALLED) ## Time commands against the least they could take
	$(IN_VENV) bash examples/bench.sh "$(DEMO)"

bench-large: $(INSTALLED) ## Start-up, and single answers of models of 100,000 products: BENCH=folder
	test -d "$(DEMO)/seller.model" || $(IN_VENV) bash examples/demo.sh "$(DEMO)"
	$(IN_VENV) bash examples/bench_large.sh "$(DEMO)" "$(BENCH)"

bench-mining: $(INSTALLED) ## mine-pairs against plain SQL: EVENTS=10000000 BENCH=folder
	mkdir -p "$(BENCH)"
	$(IN_VENV) python examples/scale/bench_mining.py "$(BENCH)" --events $(or $(EVENTS),10000000)

bench-batch: $(INSTALLED) ## All sellers' retrieval against the bare product: [MODEL=seller.model] SELLERS=4096
	$(IN_VENV) OMP_NUM_THREADS=1 python examples/bench_batch.py --sellers $(or $(SELLERS),4096) \
	  $(if $(MODEL),--model "$(MODEL)")

bench-search: $(INSTALLED) ## Exact against approximate search up to 2 million products: BENCH=folder
	$(IN_VENV) OMP_NUM_THREADS=1 python examples/scale/bench_search.py "$(BENCH)" docs/figures/search.png

bench-text: $(INSTALLED) ## embed-text against a plain encode call: PRODUCTS=table ROWS=5000
	test -n "$(PRODUCTS)" -o -f "$(DEMO)/market/products.parquet" || $(IN_VENV) bash examples/demo.sh "$(DEMO)"
	$(IN_VENV) python examples/bench_text.py "$(or $(PRODUCTS),$(DEMO)/market/products.parquet)" \
	  --rows $(or $(ROWS),5000)

bench-evaluate: $(INSTALLED) ## Time and memory of evaluate on a million queries: BENCH=folder
	mkdir -p "$(BENCH)"
	$(IN_VENV) python examples/scale/bench_evaluate.py "$(BENCH)"

bench-nightly: $(INSTALLED) ## A new day into a kept state against a full run: EVENTS=10000000
	mkdir -p "$(BENCH)"
	$(IN_VENV) python examples/scale/bench_nightly.py "$(BENCH)" --events $(or $(EVENTS),10000000)

scale-mining: $(INSTALLED) ## Time and memory of mine-pairs up to 100 million events: BENCH=folder
	mkdir -p "$(BENCH)"
	$(IN_VENV) python examples/scale/mining_curve.py "$(BENCH)" docs/figures/mining-scale.png

scale-training: $(INSTALLED) ## Seconds per epoch of train-cpr up to 5 million pairs: BENCH=folder
	mkdir -p "$(BENCH)"
	$(IN_VENV) python examples/scale/training_curve.py "$(BENCH)" docs/figures/training-scale.png

scale-sampling: $(INSTALLED) ## Cost of a pass over growing graphs, uniform and stratified: BENCH=folder
	mkdir -p "$(BENCH)"
	$(IN_VENV) python examples/scale/sampling_curve.py "$(BENCH)" docs/figures/sampling-scale.png $(ARGS)

scale-sellers: $(INSTALLED) ## From listings to every seller's answer: time, memory, Recall@100: SELLERS=300000 ARGS=...
	$(IN_VENV) python examples/scale/sellers_road.py "$(BENCH)/sellers-$(or $(SELLERS),300000)" \
	    --sellers $(or $(SELLERS),300000) $(ARGS)

simulate-marketplace: $(INSTALLED) ## Sellers, products and an oracle of any size: SELLERS=300000 BENCH=folder
	$(IN_VENV) python examples/scale/simulate_marketplace.py "$(BENCH)/market-$(or $(SELLERS),300000)" \
	    --sellers $(or $(SELLERS),300000)

bench-training: $(INSTALLED) ## Seller training against DGL's own loader: [GRAPH=graph VECTORS=table SECONDS_EACH=60]
	$(IN_VENV) python examples/bench_training.py --seconds $(or $(SECONDS_EACH),60) \
	  $(if $(GRAPH),--graph "$(GRAPH)") $(if $(VECTORS),--vectors "$(VECTORS)")

reproduce-complements: $(INSTALLED) ## Complements on real data: DATA=folder, SEEDS="0 1 2" for the mean of three
	@test -n "$(DATA)" || { echo "usage: make $@ DATA=folder" >&2; exit 2; }
	$(IN_VENV) bash examples/$(if $(SEEDS),complements_over_seeds,reproduce_complements).sh "$(DATA)"

ablate-complements: $(INSTALLED) ## The complement model without each ingredient: TRAIN=pairs PRODUCTS=table
	@test -n "$(TRAIN)" -a -n "$(PRODUCTS)" || { echo "usage: make $@ TRAIN=train.parquet PRODUCTS=products.parquet" >&2; exit 2; }
	$(IN_VENV) python examples/ablation_complements.py "$(TRAIN)" --products "$(PRODUCTS)"

reproduce-ablation: $(INSTALLED) ## The seller article's ablation: DATA=folder, ARGS='--demand 5000'
	@test -n "$(DATA)" || { echo "usage: make $@ DATA=folder" >&2; exit 2; }
	$(IN_VENV) ARGS="$(ARGS)" bash examples/ablation_sellers.sh "$(DATA)"

ablate-sellers: $(INSTALLED) ## The seller model without each ingredient: GRAPH=folder VECTORS=table
	@test -n "$(GRAPH)" || { echo "usage: make $@ GRAPH=graph VECTORS=text.parquet" >&2; exit 2; }
	$(IN_VENV) python examples/ablation_evidence.py "$(GRAPH)" $(if $(VECTORS),--vectors "$(VECTORS)")

reproduce-sellers: $(INSTALLED) ## Sellers on real data: DATA=folder, SEEDS="0 1 2" for the mean of three
	@test -n "$(DATA)" || { echo "usage: make $@ DATA=folder" >&2; exit 2; }
	$(IN_VENV) bash examples/$(if $(SEEDS),sellers_over_seeds,reproduce_sellers).sh "$(DATA)"

reproduce-marketplace: $(INSTALLED) ## Both systems on the example marketplace, five seeds
	$(IN_VENV) bash examples/reproduce_marketplace.sh

clean: ## Remove caches, build outputs and demo/, but not .venv/
	rm -rf demo build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find cprtools tests examples docs -name __pycache__ -type d -exec rm -rf {} +
