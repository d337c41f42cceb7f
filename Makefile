# Tandem.  `make help` lists what there is to say.
#
# Objects follow the source tree below $(B); every object depends on the headers it includes (-MMD), so builds are incremental.
# Two programs and two libraries:
#   libbase.a    engine/base, shared by both programs          libtandem.a  the engine, linked into the worker alone
#   tandemd      the daemon: HTTP, store, scheduler            tandem-worker  one process per running job

SAN ?=
B   ?= build$(if $(SAN),-$(SAN))

CC      = gcc
CSTD    = -std=gnu11 -D_GNU_SOURCE
WARN    = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings -Wvla -Werror
OPT     = -O2 -g -ffp-contract=off
INC     = -Iengine -Iserver -I$(B)/gen
SANFLAGS = $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer)
CFLAGS  = $(CSTD) $(OPT) $(WARN) $(INC) $(SANFLAGS) $(if $(PARANOID),-DTD_PARANOID)
LDFLAGS = $(SANFLAGS) -pthread

LIBS_BASE    = -lcjson -lnettle -lm
BLAS_DIR    := $(firstword $(wildcard /usr/lib/*/openblas-serial))
LIBS_ENGINE  = $(if $(BLAS_DIR),-L$(BLAS_DIR)) -lopenblas -lz
LIBS_DAEMON  = -lmicrohttpd -lsqlite3 -lcurl

objects = $(patsubst %.c,$(B)/%.o,$(wildcard $(1)))

BASE_OBJ   = $(call objects,engine/base/*.c)
# Kernels are compiled twice, for float32 and for float64; see kernels/kernels.h.
KERNEL_OBJ = $(patsubst %.c,$(B)/%.f32.o,$(wildcard engine/kernels/*.c)) $(patsubst %.c,$(B)/%.f64.o,$(wildcard engine/kernels/*.c))
ENGINE_OBJ = $(call objects,engine/core/*.c engine/ops/*.c engine/passes/*.c engine/nn/*.c engine/data/*.c engine/io/*.c) $(KERNEL_OBJ)
WORKER_OBJ = $(call objects,server/worker/*.c server/proto.c)
DAEMON_OBJ = $(call objects,server/*.c server/http/*.c server/api/*.c server/store/*.c server/sched/*.c server/fetch/*.c) $(B)/gen/embedded.o

.PHONY: all
all: $(B)/tandemd $(B)/tandem-worker compile_commands.json

$(B)/libbase.a: $(BASE_OBJ)
$(B)/libtandem.a: $(ENGINE_OBJ)
$(B)/%.a:
	@rm -f $@
	@ar rcs $@ $^

$(B)/tandem-worker: $(WORKER_OBJ) $(B)/libtandem.a $(B)/libbase.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_ENGINE) $(LIBS_BASE)

$(B)/tandemd: $(DAEMON_OBJ) $(B)/libbase.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_DAEMON) $(LIBS_BASE)

# ---- What the build derives from the sources -------------------------------------------------------------------------
# The op table and the builders' prototypes: an op is one block that begins with TD_OP(name, in column 1; a builder is one line
# that begins with TD_API.

OP_SOURCES = $(sort $(wildcard engine/ops/*.c))

$(B)/gen/td_ops.h: $(OP_SOURCES)
	@mkdir -p $(@D)
	@sed -n 's/^TD_API \(.*\)$$/\1;/p' $(OP_SOURCES) > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
	@touch $@

$(B)/gen/ops.inc: $(OP_SOURCES)
	@mkdir -p $(@D)
	@sed -n 's/^TD_OP(\([a-z0-9_]*\),.*$$/X(\1)/p' $(OP_SOURCES) | sort > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
	@touch $@

$(ENGINE_OBJ) $(call objects,server/worker/*.c): | $(B)/gen/td_ops.h $(B)/gen/ops.inc

# The files that are part of the daemon (server/embedded.h).
EMBED_FILES = $(sort $(shell find web -type f -not -path '*/node_modules/*' 2>/dev/null) $(wildcard migrations/*.sql))
EMBED_PAIRS = $(foreach f,$(EMBED_FILES),$(f)=$(f)) schema/job.json=$(B)/gen/job.schema.json

$(B)/gen/job.schema.json: $(B)/tandem-worker
	@mkdir -p $(@D)
	$(B)/tandem-worker --schema > $@.new
	@mv $@.new $@

$(B)/gen/embedded.c: server/embed.sh $(EMBED_FILES) $(B)/gen/job.schema.json
	@mkdir -p $(@D)
	server/embed.sh $(EMBED_PAIRS) > $@.new
	@mv $@.new $@

$(B)/gen/embedded.o: $(B)/gen/embedded.c
	$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

# ---- Objects ---------------------------------------------------------------------------------------------------------

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/engine/kernels/%.f32.o: engine/kernels/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -O3 -DTD_REAL=32 -MMD -MP -c -o $@ $<

$(B)/engine/kernels/%.f64.o: engine/kernels/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -O3 -DTD_REAL=64 -MMD -MP -c -o $@ $<

-include $(shell find $(B) -name '*.d' 2>/dev/null)

# ---- Unit tests (cmocka): every tests/unit/test_*.c and tests/ops/test_*.c is a program --------------------------------

UNIT_TESTS = $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/unit/test_*.c tests/ops/test_*.c))

$(B)/tests/%: tests/%.c $(B)/libtandem.a $(B)/libbase.a $(filter-out $(B)/server/main.o,$(DAEMON_OBJ))
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $(filter %.c %.a,$^) -lcmocka $(LIBS_ENGINE) $(LIBS_BASE)

.PHONY: clean
clean:
	rm -rf build build-* compile_commands.json
