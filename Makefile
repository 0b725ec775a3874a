# Everything a person does with a checkout of supernaut. `make` alone lists the targets.

CARGO ?= cargo
PYTHON ?= python3
PREFIX ?= /usr/local
OUT ?= demo-out
EXPERIMENT ?= experiment-out
SETUP = $(PYTHON) scripts/setup.py

# Asked for when a recipe runs, thus after its prerequisites have set it up.
LIBTORCH = $(shell $(SETUP) path libtorch)
ONNXRUNTIME = $(shell $(SETUP) path onnxruntime)

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
DESCRIPTION := $(shell sed -n 's/^description = "\(.*\)"/\1/p' Cargo.toml)
# The version that the shared library's soname carries: 0.1 of 0.1.0.
ABI := $(basename $(VERSION))

.PHONY: help setup data build demo test lint header bench curves experiment install clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  \1\t\2/p' Makefile | expand -t 12
	@echo 'Variables: CUDA=1 (NVIDIA GPUs), DATA=<folder of the four IDX files>, OUT=$(OUT), PREFIX=$(PREFIX), DESTDIR=, ARGS=<of a benchmark>'

setup: ## fetch libtorch and ONNX Runtime once per user, and point Cargo at them
	@$(SETUP) libraries $(if $(filter 1,$(CUDA)),--cuda)

# Fetches Fashion-MNIST, unless the user brings the data.
ifdef DATA
data:
else
DATA = $(shell $(SETUP) path data)
data: ## fetch Fashion-MNIST once per user
	@$(SETUP) data
endif

build: setup ## build the program and the libraries
	$(CARGO) build --release --locked
	@ln -sf libsupernaut.so target/release/libsupernaut.so.$(ABI)

demo: data build ## search an architecture for Fashion-MNIST, from data to a proven ONNX file in OUT
	target/release/supernaut run recipes/demo.toml --data "$(DATA)" --out "$(OUT)"

# OpenMP's threads spin while they wait, which starves tests that run side by side.
TEST_ENVIRONMENT = OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE SUPERNAUT_DEMO_DATA="$(DATA)"
NEXTEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo yes)

test: setup data ## run every test
ifeq ($(NEXTEST),yes)
	$(TEST_ENVIRONMENT) $(CARGO) nextest run --release --locked
else
	$(TEST_ENVIRONMENT) $(CARGO) test --release --locked --tests --examples -- --test-threads=2
endif
	$(TEST_ENVIRONMENT) $(CARGO) test --doc --release --locked
	# The kernels for a CPU without AVX-512, whatever this one has.
	SUPERNAUT_LEVEL=base $(TEST_ENVIRONMENT) $(CARGO) test --release --locked --test it -- planning --test-threads=2

lint: setup ## check the formatting and run clippy
	rustfmt --edition 2024 --check $$(git ls-files '*.rs') # cargo fmt misses modules that macros declare
	$(CARGO) clippy --release --all-targets --locked -- -D warnings

header: setup ## write include/supernaut.h anew from the C layer
	UPDATE_EXPECT=1 $(CARGO) test --release --locked header

bench: setup ## time training and evaluation beside plain PyTorch, into benches/results.json
	@$(SETUP) bench
	SUPERNAUT_BENCH_PYTHON="$$($(SETUP) path bench)" $(CARGO) bench --locked --bench compare -- $(ARGS)

curves: setup ## time and memory against batch, cells, channels, candidates, groups, into benches/scaling.json
	$(CARGO) bench --locked --bench scaling -- $(ARGS)

experiment: build ## rank with supernets of every method (hours), into EXPERIMENT; needs CIFAR10=, TRUTH=, LIST=
	$(PYTHON) scripts/experiment.py --data "$(CIFAR10)" --truth "$(TRUTH)" --list "$(LIST)" --out "$(EXPERIMENT)" $(ARGS)

# What the program and libsupernaut.so load, less what only a linker reads.
RUNTIME_LIBRARIES = $(filter-out %-cpu/lib/libtorch.so %/libgomp.so, \
	$(wildcard $(LIBTORCH)/lib/*.so* $(LIBTORCH)/nvidia/*/lib/*.so* $(dir $(ONNXRUNTIME))*.so*))

# Installs what was built and builds nothing, so that nothing is fetched or compiled as root.
install: ## install what `make build` built, with the libraries it needs, under DESTDIR and PREFIX
	@test -x target/release/supernaut || { echo 'nothing is built yet: run make build first' >&2; exit 2; }
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(PREFIX)/include" "$(DESTDIR)$(PREFIX)/lib/pkgconfig"
	install -m 755 target/release/supernaut "$(DESTDIR)$(PREFIX)/bin"
	install -m 755 target/release/libsupernaut.so "$(DESTDIR)$(PREFIX)/lib/libsupernaut.so.$(VERSION)"
	ln -sf libsupernaut.so.$(VERSION) "$(DESTDIR)$(PREFIX)/lib/libsupernaut.so.$(ABI)"
	ln -sf libsupernaut.so.$(ABI) "$(DESTDIR)$(PREFIX)/lib/libsupernaut.so"
	install -m 644 target/release/libsupernaut.a "$(DESTDIR)$(PREFIX)/lib"
	install -m 644 include/supernaut.h "$(DESTDIR)$(PREFIX)/include"
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' -e 's|@DESCRIPTION@|$(DESCRIPTION)|' \
		scripts/supernaut.pc.in > "$(DESTDIR)$(PREFIX)/lib/pkgconfig/supernaut.pc"
	cp -P $(RUNTIME_LIBRARIES) "$(DESTDIR)$(PREFIX)/lib"

clean: ## remove what was built; the cache of libraries and data stays
	$(CARGO) clean
	rm -rf demo-out
