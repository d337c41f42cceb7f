# Tandem.  `make help` lists what there is to say; a line that begins with "## " below is one of its entries.
#
# Objects follow the source tree below $(B); every object depends on the headers it includes (-MMD), so builds are incremental.
# Two programs and two libraries:
#   libbase.a    engine/base, shared by both programs          libtandem.a  the engine, linked into the worker alone
#   tandemd      the daemon: HTTP, store, scheduler            tandem-worker  one process per running job

SAN ?=
B   ?= build$(if $(SAN),-$(SAN))$(if $(PARANOID),-paranoid)

# V=1 shows whole commands.
Q = $(if $(V),,@echo "$(1)  $@" &&)

.DELETE_ON_ERROR:
.DEFAULT_GOAL = all

VERSION = 0.1.0
CC      = gcc
CSTD    = -std=gnu11 -D_GNU_SOURCE
WARN    = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings -Wvla -Werror
OPT     = -O2 -g -ffp-contract=off
INC     = -Iengine -Iserver -I$(B)/gen
SANFLAGS = $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)
CFLAGS  = $(CSTD) $(OPT) $(WARN) $(INC) $(SANFLAGS) $(if $(PARANOID),-DTD_PARANOID) -DTD_VERSION=\"$(VERSION)\"
LDFLAGS = $(SANFLAGS) -pthread

LIBS_BASE    = -lcjson -lnettle -lm
BLAS_DIR    := $(firstword $(wildcard /usr/lib/*/openblas-pthread))
# This OpenBLAS by its own path, whichever the machine prefers: the serial build is not safe to call from two threads (seen), and the
# engine tells this one to use a single thread a call, so that bits do not depend on the number of threads.
BLAS_PATH    = -L$(BLAS_DIR) -Wl,-rpath,$(BLAS_DIR)
LIBS_ENGINE  = $(if $(BLAS_DIR),$(BLAS_PATH)) -lopenblas -ldnnl -l:libgomp.so.1 -larchive -ljpeg -lpng
LIBS_DAEMON  = -lmicrohttpd -lsqlite3 -lcurl

objects = $(patsubst %.c,$(B)/%.o,$(wildcard $(1)))

BASE_OBJ   = $(call objects,engine/base/*.c)
# Kernels are compiled twice, for float32 and for float64; see kernels/kernels.h.
KERNEL_OBJ = $(patsubst %.c,$(B)/%.f32.o,$(wildcard engine/kernels/*.c)) $(patsubst %.c,$(B)/%.f64.o,$(wildcard engine/kernels/*.c))
ENGINE_OBJ = $(call objects,engine/core/*.c engine/ops/*.c engine/passes/*.c engine/nn/*.c engine/data/*.c engine/io/*.c) $(KERNEL_OBJ)
WORKER_OBJ = $(call objects,server/worker/*.c server/proto.c)
DAEMON_OBJ = $(call objects,server/*.c server/http/*.c server/api/*.c server/store/*.c server/sched/*.c server/fetch/*.c) $(B)/gen/embedded.o

LIBS_ALL     = $(LIBS_DAEMON) $(LIBS_ENGINE) $(LIBS_BASE)

## make             the two programs, in build/; SAN=address|undefined|thread and PARANOID=1 build beside it, in folders of their own
.PHONY: all
all: $(B)/tandemd $(B)/tandem-worker $(if $(filter build,$(B)),compile_commands.json)

$(B)/libbase.a: $(BASE_OBJ)
$(B)/libtandem.a: $(ENGINE_OBJ)
# What unit tests of the server link: all but the two mains.
$(B)/libworker.a: $(filter-out $(B)/server/worker/main.o,$(WORKER_OBJ))
$(B)/libserver.a: $(filter-out $(B)/server/main.o,$(DAEMON_OBJ))
$(B)/%.a:
	@rm -f $@
	@ar rcs $@ $^

$(B)/tandem-worker: $(WORKER_OBJ) $(B)/libtandem.a $(B)/libbase.a
	$(call Q,ld)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_ENGINE) $(LIBS_BASE)

$(B)/tandemd: $(DAEMON_OBJ) $(B)/libbase.a
	$(call Q,ld)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_DAEMON) $(LIBS_BASE)

# ---- What the build derives from the sources -------------------------------------------------------------------------
# The op table and the builders' prototypes: an op is one block that begins with TD_OP(name, in column 1; a builder
# begins with TD_API there.  A file that did not change keeps its time, so editing an op compiles that op alone.

OP_SOURCES = $(sort $(wildcard engine/ops/*.c))

$(B)/gen/td_ops.h: $(OP_SOURCES)
	@mkdir -p $(@D)
	@sed -n '/^TD_API /{:a; /)$$/!{N; ba}; s/^TD_API //; s/\n[[:space:]]*/ /g; s/$$/;/p}' $(OP_SOURCES) > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(B)/gen/ops.inc: $(OP_SOURCES)
	@mkdir -p $(@D)
	@sed -n 's/^TD_OP(\([a-z0-9_]*\),.*$$/X(\1)/p' $(OP_SOURCES) | sort > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(ENGINE_OBJ) $(call objects,server/worker/*.c): | $(B)/gen/td_ops.h $(B)/gen/ops.inc

# The files that are part of the daemon (server/embedded.h), as NAME=PATH.  web/modules.txt says which files of npm's packages the
# browser loads; they stand in the daemon, so a deployment has neither npm nor a web folder.
WEB_FILES   := $(shell find web -type f ! -name modules.txt ! -name 'package*.json' ! -name screenshot.png ! -path '*/node_modules/*')
WEB_MODULES := $(shell sed -n '/^assets/p' web/modules.txt 2>/dev/null)
embed_name   = $(patsubst assets/index.html,index.html,$(patsubst assets/examples/%,examples/%,$(patsubst web/%,assets/%,$(1))))
embed_file   = $(lastword $(subst =, ,$(1)))
EMBED_PAIRS := $(foreach f,$(WEB_FILES),$(call embed_name,$(f))=$(f)) $(WEB_MODULES) \
	$(foreach f,$(wildcard migrations/*.sql),$(f)=$(f)) schema/job.json=$(B)/gen/job.schema.json

# npm's packages, exactly as the lock file says; nothing of them runs while they are installed.
node_modules/.package-lock.json: package-lock.json
	npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@
$(foreach m,$(WEB_MODULES),$(call embed_file,$(m))): node_modules/.package-lock.json ;

$(B)/gen/job.schema.json: $(B)/tandem-worker
	@mkdir -p $(@D)
	$(B)/tandem-worker --schema > $@.new
	@mv $@.new $@

# embed.list changes when a file comes or goes.
$(B)/gen/embed.list: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' $(EMBED_PAIRS) | cmp -s - $@ || printf '%s\n' $(EMBED_PAIRS) > $@

$(B)/gen/embedded.c: server/embed.sh $(B)/gen/embed.list $(foreach p,$(EMBED_PAIRS),$(call embed_file,$(p)))
	@mkdir -p $(@D)
	$(call Q,gen)server/embed.sh $(EMBED_PAIRS) > $@.new
	@mv $@.new $@

$(B)/gen/embedded.o: $(B)/gen/embedded.c
	$(call Q,cc)$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

# ---- Objects ---------------------------------------------------------------------------------------------------------

# Other flags make other objects: everything is compiled again when they change.
$(B)/gen/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CFLAGS)' | cmp -s - $@ || echo '$(CC) $(CFLAGS)' > $@
.PHONY: FORCE
FORCE:

ALL_OBJ = $(BASE_OBJ) $(ENGINE_OBJ) $(sort $(WORKER_OBJ) $(filter-out $(B)/gen/%,$(DAEMON_OBJ)))
$(ALL_OBJ) $(B)/gen/embedded.o: $(B)/gen/flags

# For editors and clang-tidy.
compile_commands.json: $(ALL_OBJ)
	@printf '%s\n' $(filter-out %.f64.o,$(ALL_OBJ)) | sed 's,^$(B)/,,; s,\(\.f32\)*\.o$$,.c,' | DIR='$(CURDIR)' CALL='$(CC) $(CFLAGS)' awk ' \
		BEGIN { call = ENVIRON["CALL"]; gsub(/[\\"]/, "\\\\&", call); print "[" } \
		{ printf "%s{\"directory\": \"%s\", \"file\": \"%s\", \"command\": \"%s%s -c %s\"}", (NR > 1 ? ",\n" : ""), \
			ENVIRON["DIR"], $$1, call, ($$1 ~ /kernels/ ? " -DTD_REAL=32" : ""), $$1 } \
		END { print "\n]" }' > $@

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(call Q,cc)$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/engine/kernels/%.f32.o: engine/kernels/%.c
	@mkdir -p $(@D)
	$(call Q,cc)$(CC) $(CFLAGS) -O3 -DTD_REAL=32 -MMD -MP -c -o $@ $<

$(B)/engine/kernels/%.f64.o: engine/kernels/%.c
	@mkdir -p $(@D)
	$(call Q,cc)$(CC) $(CFLAGS) -O3 -DTD_REAL=64 -MMD -MP -c -o $@ $<

-include $(shell find $(B) -name '*.d' 2>/dev/null)

# ---- Tests -----------------------------------------------------------------------------------------------------------

# Every tests/unit/test_*.c and tests/ops/test_*.c is a program; one that includes a header of the server is linked with it.
# Those of tests/notebooks need the course's files (TANDEM_COURSE=FOLDER), and say so where they have none.
UNIT_SOURCES   = $(wildcard tests/unit/test_*.c tests/ops/test_*.c tests/notebooks/test_*.c)
SERVER_SOURCES = $(shell grep -lE '^.include "(api|cli|config|control|embedded|fetch|http|proto|sched|schema|server|store|worker)[./]' $(UNIT_SOURCES) /dev/null)
UNIT_TESTS     = $(UNIT_SOURCES:%.c=$(B)/%)

$(SERVER_SOURCES:%.c=$(B)/%): $(B)/libworker.a $(B)/libserver.a
$(B)/tests/ops/test_ops: $(wildcard tests/ops/suite*.c)
$(B)/tests/ops/test_random_graphs: $(wildcard tests/ops/random_*.c)
$(B)/tests/%: tests/%.c $(B)/libtandem.a $(B)/libbase.a
	@mkdir -p $(@D)
	$(call Q,cc)$(CC) $(CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $(filter %.c,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group -lcmocka -lz $(LIBS_ALL)

NODE_TEST = TANDEM_BUILD=$(B) node --test --test-reporter=spec

## make test        installs what is missing and runs every test: unit, api, web, e2e (each also alone: make test-unit ...)
.PHONY: test test-unit test-api test-web test-e2e install-test
test: install-test
	@$(MAKE) --no-print-directory test-unit test-api test-web test-e2e
	@echo "all tests passed"
install-test:
	@tests/install.sh build test
test-unit: $(UNIT_TESTS)
	@set -e; for t in $(UNIT_TESTS); do echo "== $$t"; TANDEM_BUILD=$(B) $$t; done
test-api: all
	$(NODE_TEST) $(sort $(wildcard tests/api/*.test.*js))
test-web: node_modules/.package-lock.json
	$(NODE_TEST) $(sort $(wildcard tests/web/*.test.*js))
test-e2e: all node_modules/.package-lock.json
	$(NODE_TEST) $(sort $(wildcard tests/e2e/*.test.*js))

## make lint        layout, static checks, forbidden calls, and that the daemon stays free of the engine
.PHONY: lint
lint: all compile_commands.json
	@B=$(B) tests/lint.sh

## make chaos       kills worker and daemon at random while a job trains (N=50 times) and while a sweep runs, and compares every bit at the end
.PHONY: chaos
chaos: all
	TANDEM_BUILD=$(B) node tests/chaos/kill.mjs $(N)
	TANDEM_BUILD=$(B) node tests/chaos/sweep.mjs

## make fuzz        feeds each parser SECONDS (30) of hostile input, or RUNS inputs, under the address sanitizer; needs clang and
##                  installs it
SECONDS ?= 30
FUZZERS  = $(patsubst %.c,$(B)/%,$(wildcard tests/fuzz/fuzz_*.c))
.PHONY: fuzz fuzz-run
fuzz:
	@tests/install.sh build fuzz
	@$(MAKE) --no-print-directory B=build-fuzz CC=clang WARN=-w SAN=fuzzer-no-link,address fuzz-run
# A small quarantine and short call stacks: the sanitizer's own would be most of the time.
FUZZ_LIMITS = $(if $(RUNS),-runs=$(RUNS),-max_total_time=$(SECONDS)) -max_len=8192 -len_control=100 -rss_limit_mb=2048
fuzz-run: export ASAN_OPTIONS = quarantine_size_mb=1:malloc_context_size=4:allocator_may_return_null=1:max_allocation_size_mb=1024
fuzz-run: $(FUZZERS)
	@set -e; for f in $(FUZZERS); do echo "== $$f"; mkdir -p $$f.corpus; $$f $(FUZZ_LIMITS) -artifact_prefix=$$f. -verbosity=0 \
		-print_final_stats=1 $$f.corpus; done
# Those that decode datasets keep the columns in memory: tests/fuzz/columns.c comes before the library's.
FUZZ_COLUMNS = $(patsubst %.c,$(B)/%,$(shell grep -l '"prepare.h"' tests/fuzz/fuzz_*.c))
$(FUZZ_COLUMNS): tests/fuzz/columns.c
$(B)/tests/fuzz/fuzz_programs: $(wildcard tests/ops/random_*.c)
$(B)/tests/fuzz/fuzz_spec: $(B)/libworker.a
$(B)/tests/fuzz/%: tests/fuzz/%.c $(B)/libserver.a $(B)/libtandem.a $(B)/libbase.a
	@mkdir -p $(@D)
	$(call Q,cc)$(CC) $(CFLAGS) -Itests -MMD -MP -fsanitize=fuzzer,address -pthread -o $@ $(filter %.c,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group -lz $(LIBS_ALL)

## make bench       medians with spread, and ratios; PyTorch beside it where `make peers` has installed it
.PHONY: bench peers
bench:
	@tests/install.sh build demo
	@$(MAKE) --no-print-directory all
	TANDEM_BUILD=$(B) node tests/bench/bench.mjs
## make peers       installs PyTorch (for the CPU) in .peers/, for make bench alone
peers:
	@tests/install.sh peers
	python3 -m venv .peers
	.peers/bin/pip install --quiet torch numpy

## make parity      compares every layer, loss, optimizer, schedule and metric with PyTorch, Keras and scikit-learn, which it
##                  installs in .parity/
.PHONY: parity
PARITY = $(patsubst %.c,$(B)/%,$(wildcard tests/parity/*.c))
parity: $(PARITY) $(B)/tandem-worker
	@tests/install.sh build peers
	@test -x .parity/bin/pip || python3 -m venv .parity
	.parity/bin/pip install --quiet torch==2.13.0 tensorflow-cpu==2.21.0 keras==3.15.1 numpy scikit-learn
	tests/parity/run.sh $(B)

## make examples    trains each ready-made job of web/examples for a few steps, on stand-ins for the data
##                  (make cifar10 CIFAR10=FOLDER: CIFAR-10 from class folders and over HTTP, and the course's networks on it)
.PHONY: examples cifar10
examples: all
	$(NODE_TEST) tests/api/examples.test.mjs
cifar10: all
	TANDEM_BUILD=$(B) node tests/examples/cifar10.mjs $(CIFAR10)

# ---- Use -------------------------------------------------------------------------------------------------------------

DATA ?= .data

## make demo        installs what is missing, builds, starts the daemon, trains a CNN on Fashion-MNIST, says where to look
.PHONY: demo run stop
demo:
	@tests/install.sh build demo
	@$(MAKE) --no-print-directory all
	@B=$(B) DATA=$(DATA) tests/examples/demo.sh
## make stop        stops the daemon that the demo left running
stop:
	@DATA=$(DATA) tests/examples/demo.sh stop
## make run         the daemon in the foreground, with its data in .data (DATA=folder) and the web files from disk
run: all
	$(B)/tandemd --data-dir $(DATA) --web-dir web

## make docker      the container image tandem:latest (DOCKER=podman); make docker-test restarts it in the middle of a job
DOCKER ?= docker
.PHONY: docker docker-test
docker:
	$(DOCKER) build -t tandem:latest -f docker/Dockerfile .
docker-test:
	DOCKER='$(DOCKER)' tests/examples/container.sh tandem:latest

## make install     both programs below PREFIX (/usr/local)
PREFIX ?= /usr/local
.PHONY: install
install: all
	install -D -t $(DESTDIR)$(PREFIX)/bin $(B)/tandemd $(B)/tandem-worker

## make clean       removes what was built; data stays
.PHONY: clean help
clean:
	rm -rf build build-* compile_commands.json
## make help        this list
help:
	@sed -n 's/^## //p' $(firstword $(MAKEFILE_LIST))
