# secretvold: builds in build/ (build/san with SAN=…), installs with DESTDIR and PREFIX.
#
#   make                 programs, library          make check        unit tests and conformance
#   make demo            the worked examples        make check-root   what needs root (check runs it for root)
#   make deps            Debian packages            make bench        figures beside a floor
#   make install         DESTDIR=, PREFIX=          make format tidy  clang-format, clang-tidy
#   make torture         TORTURE_SECONDS= in all    make thread      worker and sources under the thread sanitizer
#   make fuzz            FUZZ_SECONDS= a target     make coverage     of lib/ by unit tests and conformance
#   make analyze         cppcheck, gcc -fanalyzer   make memcheck     unit tests under valgrind
#   make fault           every call fails once      make deb          a Debian package
#   make lint-deb        what lintian says about it
#
# SAN=address,undefined builds with sanitizers, WERROR=1 makes warnings errors, V=1 shows commands.

VERSION  := 0.1.0
SOVERSION := 0

CC       ?= cc
CFLAGS   ?= -O2 -g
PREFIX   ?= /usr/local
BINDIR   ?= $(PREFIX)/bin
SBINDIR  ?= $(PREFIX)/sbin
LIBDIR   ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR   ?= $(PREFIX)/share/man
DOCDIR   ?= $(PREFIX)/share/doc/secretvold
BASHDIR  ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR   ?= $(PREFIX)/share/zsh/$(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)
FISHDIR  ?= $(PREFIX)/share/fish/vendor_completions.d
SYSCONFDIR ?= /etc
SYSTEMDDIR ?= $(PREFIX)/lib
UNITDIR  ?= $(SYSTEMDDIR)/systemd/system
BUILD    ?= build$(if $(SAN),/san)
Q        := $(if $(V),,@)

# ---- what Debian provides; the one list -------------------------------------------------------
DEPS_BUILD := gcc make pkg-config libc6-dev libuv1-dev libjson-c-dev libmount-dev libyaml-dev \
              libmicrohttpd-dev libcurl4-openssl-dev libsystemd-dev uuid-dev \
              libseccomp-dev libcap-ng-dev libssl-dev nettle-dev
DEPS_CHECK := check python3 python3-yaml curl util-linux runc crun podman catatonit busybox-static bubblewrap
DEPS_DEB   := debhelper dpkg-dev fakeroot
CI_PACKAGES := $(DEPS_DEB) lintian systemd-container \
              clang clang-format clang-tidy libclang-rt-14-dev cppcheck valgrind shellcheck \
              prometheus mandoc zsh fish etcd-server openssl xz-utils
# Not beside one of another origin: both would be /usr/bin/kubectl.
CI_PACKAGES += $(if $(shell command -v kubectl),,kubernetes-client)

PACKAGES := libuv json-c mount yaml-0.1 libmicrohttpd libcurl libsystemd uuid libseccomp libcap-ng libcrypto nettle

# Run by its file: a user's PATH may hold a python without Debian's modules.
PYTHON   ?= /usr/bin/python3

# pkg-config is asked once, and only by targets that compile.
NO_BUILD := deps deb lint-deb clean format help demo check check-root
ifneq ($(filter-out $(NO_BUILD),$(or $(MAKECMDGOALS),all)),)
PKG_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lm
endif

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
            -Wwrite-strings -Wvla -Wformat=2 -Wundef -Wno-missing-field-initializers \
            $(if $(WERROR),-Werror)
HARDEN   := -fstack-protector-strong $(if $(SAN),,-D_FORTIFY_SOURCE=2) -fPIC
ALL_CFLAGS = -std=gnu11 $(WARNINGS) $(HARDEN) -pthread -DSV_VERSION='"$(VERSION)"' \
             $(PKG_CFLAGS) $(CFLAGS) $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)
ALL_LDFLAGS = -pthread -Wl,-z,relro,-z,now $(LDFLAGS) $(if $(SAN),-fsanitize=$(SAN))

# ---- sources ---------------------------------------------------------------------------------
LIB_SRC    := $(sort $(wildcard lib/*.c lib/base/*.c lib/core/*.c lib/node/*.c))
DAEMON_SRC := $(sort $(wildcard daemon/*.c daemon/source/*.c))
CTL_SRC    := $(sort $(wildcard daemon/ctl/*.c))
UNIT_SRC   := $(sort $(wildcard tests/unit/test_*.c))
FAULT_SRC  := $(sort $(wildcard tests/fault/test_*.c))
SUPPORT_SRC := $(sort $(wildcard tests/support/*.c))
TESTD_SRC  := $(sort $(wildcard tests/daemon/*.c))
BENCH_SRC  := $(sort $(wildcard tests/bench/*.c))
FUZZ_SRC   := $(sort $(wildcard tests/fuzz/fuzz_*.c))

LIB    := $(BUILD)/libsecretvol.a
SOLIB  := $(BUILD)/libsecretvol.so.$(SOVERSION)
DAEMON := $(BUILD)/secretvold
# The daemon for tests to run inside themselves: without its main(), and without the allocator
# that wipes, as tests bring their own. Not installed.
DAEMON_LIB := $(BUILD)/libdaemon.a
TEST_LIB := $(BUILD)/libtestdaemon.a
CTL    := $(BUILD)/secretvolctl
UNITS  := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/tests/unit/%)
KUBE_UNITS := $(patsubst %.c,$(BUILD)/%,$(filter tests/unit/test_root_kube%,$(UNIT_SRC)))
FAULTS := $(FAULT_SRC:tests/fault/%.c=$(BUILD)/tests/unit/%)
READERS := $(BUILD)/tests/torture/readers
BENCHES := $(BENCH_SRC:tests/bench/%.c=$(BUILD)/tests/bench/%)
FAKE   := $(BUILD)/tests/fake/apiserver

comma := ,
objs = $(patsubst %.c,$(BUILD)/%.o,$(1))

.PHONY: all analyze fault torture thread memcheck coverage deps demo check check-root bench fuzz fuzz-targets install deb lint-deb format format-check tidy clean help tests compile_commands.json
.DELETE_ON_ERROR:
.SECONDARY:

all: $(DAEMON) $(CTL) $(LIB) $(SOLIB)

help:
	@sed -n '2,/^$$/s/^# \{0,1\}//p' Makefile

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(if $(Q),@echo "  CC      $<")
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(LIB): $(call objs,$(LIB_SRC))
	$(if $(Q),@echo "  AR      $@")
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(DAEMON_LIB): $(call objs,$(filter-out daemon/main.c daemon/wipe.c,$(DAEMON_SRC)))
	$(if $(Q),@echo "  AR      $@")
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(TEST_LIB): $(call objs,$(TESTD_SRC) tests/torture/reader.c)
	$(if $(Q),@echo "  AR      $@")
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(SOLIB): $(call objs,$(LIB_SRC)) lib/secretvol.map
	$(if $(Q),@echo "  LD      $@")
	$(Q)$(CC) -shared -Wl,-soname,$(@F) -Wl,--version-script=lib/secretvol.map -Wl,--as-needed \
		$(ALL_LDFLAGS) $(filter %.o,$^) $(PKG_LIBS) -o $@
	$(Q)ln -sf $(@F) $(BUILD)/libsecretvol.so

define link
	$(if $(Q),@echo "  LD      $@")
	@mkdir -p $(@D)
	$(Q)$(CC) -Wl,--as-needed $(ALL_LDFLAGS) $(filter %.o %.a,$^) $(1) $(PKG_LIBS) -o $@
endef

$(DAEMON): $(call objs,$(DAEMON_SRC)) $(LIB)
	$(call link)
$(CTL): $(call objs,$(CTL_SRC)) $(LIB)
	$(call link)
$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(call objs,$(SUPPORT_SRC)) $(TEST_LIB) $(DAEMON_LIB) $(LIB)
	$(call link,$(shell pkg-config --libs check))
# These share a place to run the Kubernetes source in, with a clock of its own.
$(KUBE_UNITS): $(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(BUILD)/tests/unit/kube_place.o $(call objs,$(SUPPORT_SRC)) $(DAEMON_LIB) $(LIB)
	$(call link,$(shell pkg-config --libs check))
# System calls that tests/fault makes fail; allocations it catches by itself.
FAULT_CALLS := openat open syscall mkdirat mkdir unlinkat symlinkat readlinkat __readlinkat_chk renameat \
               read write fchmod fchown fstat fstatat fstatfs statx fdopendir readdir close fsopen fspick \
               fsconfig fsmount mount_setattr move_mount open_tree umount2 fsetxattr fgetxattr getrandom \
               mnt_table_parse_file accept4 socket bind listen getsockopt lstat chmod unlink fcntl inotify_init1 \
               inotify_add_watch uv_queue_work uv_poll_init unshare mount mknodat ftruncate \
               renameat2 flock faccessat realpath dup fchmodat fchownat chdir fchdir connect poll getsockname \
               setsockopt stat access opendir getrlimit setrlimit prctl mlockall munlockall inotify_rm_watch \
               shutdown
FAULT_OBJS := $(call objs,tests/fault/fault.c tests/fault/jobs.c $(SUPPORT_SRC)) $(TEST_LIB) $(DAEMON_LIB) $(LIB)
FAULT_KUBE := $(BUILD)/tests/unit/test_root_fault_kube
$(filter-out $(FAULT_KUBE),$(FAULTS)): $(BUILD)/tests/unit/%: $(BUILD)/tests/fault/%.o $(call objs,tests/fault/virtual.c) $(FAULT_OBJS)
	$(call link,$(FAULT_CALLS:%=-Wl,--wrap=%) $(shell pkg-config --libs check))
# Its clock is that of the place.
$(FAULT_KUBE): $(BUILD)/tests/unit/%: $(BUILD)/tests/fault/%.o $(BUILD)/tests/unit/kube_place.o $(FAULT_OBJS)
	$(call link,$(FAULT_CALLS:%=-Wl,--wrap=%) $(shell pkg-config --libs check))
$(BUILD)/tests/bench/%: $(BUILD)/tests/bench/%.o $(LIB)
	$(call link)
$(FAKE): $(BUILD)/tests/fake/apiserver.o $(call objs,$(filter tests/support/apiserver%,$(SUPPORT_SRC))) $(LIB)
	$(call link)
$(READERS): $(call objs,tests/torture/readers.c) $(TEST_LIB)
	$(call link)
$(BUILD)/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/tests/fuzz/fuzz.o $(TEST_LIB) $(DAEMON_LIB) $(LIB)
	$(call link,-fsanitize=fuzzer $(if $(findstring mountinfo,$@),-Wl$(comma)--wrap=mnt_table_parse_file))

# ---- dependencies ----------------------------------------------------------------------------
deps:
	apt-get update -q
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $(DEPS_BUILD) $(DEPS_CHECK) \
		$(if $(WITH_DEB),$(DEPS_DEB)) $(if $(DEPS_CI),$(CI_PACKAGES))

# Installs only when something is missing.
have-deps = dpkg-query -W -f='$${db:Status-Status}\n' $(1) 2>/dev/null | grep -c '^installed$$' | \
            grep -qx $(words $(1)) || $(MAKE) --no-print-directory deps $(2)

# ---- tests -----------------------------------------------------------------------------------
tests: all $(UNITS) $(FAULTS) $(BENCHES) $(FAKE) $(READERS)

# SUITES= names some of them, or kinds: unit, conformance, e2e.
SUITES   ?=
check:
	@$(call have-deps,$(DEPS_BUILD) $(DEPS_CHECK))
	@$(MAKE) --no-print-directory tests
	@tests/run --build $(BUILD) $(if $(filter 0,$(shell id -u)),--root) $(SUITES)

check-root:
	@$(call have-deps,$(DEPS_BUILD) $(DEPS_CHECK))
	@$(MAKE) --no-print-directory tests
	@tests/run --build $(BUILD) --root --only-root

demo:
	@$(call have-deps,$(DEPS_BUILD) $(DEPS_CHECK))
	@$(MAKE) --no-print-directory all
	@BUILD=$(BUILD) tests/e2e/demo

bench: all $(BENCHES) $(FAKE)
	@$(PYTHON) tests/bench/bench.py --build $(BUILD)

# Built by clang, with libFuzzer's coverage in the library too, in a directory of its own.
FUZZ_SECONDS ?= 60
fuzz:
	@nice $(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz CC=clang SAN=address,undefined \
		CFLAGS='-O1 -g -fsanitize=fuzzer-no-link' fuzz-targets
	@nice tests/fuzz/run --build $(BUILD)/fuzz --seconds $(FUZZ_SECONDS)

# Readers while volumes change, and crashes at random calls; `check` has a second or three of each.
TORTURE_SECONDS ?= 120
torture: tests
	@tests/torture/run --build $(BUILD) --seconds $(TORTURE_SECONDS)

# `check` has some of the calls of a long run fail, others each time; this has all of them fail.
fault: tests
	@FAULT_EVERY=1 CK_TIMEOUT_MULTIPLIER=20 tests/run --build $(BUILD) \
		$(if $(filter 0,$(shell id -u)),--root) $(or $(SUITES),$(notdir $(FAULTS)))

# The daemon with its threads under the thread sanitizer, which ends it at the first race. What libuv
# itself does with descriptors is left out: it sees them used, and not closed.
THREAD_SUITES := test_kube test_root_kube_faults test_root_kube test_update test_manifest_dir test_api_events
thread:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/thread SAN=thread tests
	@TSAN_OPTIONS=halt_on_error=1:ignore_noninstrumented_modules=1 tests/run --build $(BUILD)/thread --root $(or $(SUITES),$(THREAD_SUITES))

fuzz-targets: $(FUZZ_SRC:tests/fuzz/%.c=$(BUILD)/%)

# ---- analysis --------------------------------------------------------------------------------
# One is counted for cppcheck, and one for each file that gcc has looked at.
ANALYZE_SRC := $(LIB_SRC) $(DAEMON_SRC) $(CTL_SRC)
analyze:
	@tests/support/analyze $(ANALYZE_SRC) -- $(CC) $(ALL_CFLAGS)

# MEMCHECK_SKIP= names programs to leave out: some take minutes.
memcheck: all $(UNITS)
	@tests/support/memcheck $(filter-out $(MEMCHECK_SKIP:%=$(BUILD)/tests/unit/%),$(UNITS))

# All that is not reached is explained, if all was run that is counted. The faults are always the same.
coverage: STRICT := $(if $(or $(SUITES),$(filter-out 0,$(shell id -u))),,--strict)
coverage:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/coverage \
		CFLAGS='-O0 -g --coverage -fprofile-update=atomic' LDFLAGS=--coverage tests
	@find $(BUILD)/coverage -name '*.gcda' -delete
	@FAULT_OFFSET=1 tests/run --build $(BUILD)/coverage $(if $(filter 0,$(shell id -u)),--root) \
		$(or $(SUITES),unit conformance); \
		r=$$?; $(PYTHON) tests/support/coverage.py --build $(BUILD)/coverage $(STRICT) && exit $$r

# ---- housekeeping ----------------------------------------------------------------------------
install: all
	install -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR)/pkgconfig \
		$(DESTDIR)$(INCLUDEDIR) $(DESTDIR)$(UNITDIR)
	install -m 0755 $(DAEMON) $(DESTDIR)$(SBINDIR)/secretvold
	install -m 0755 $(CTL) $(DESTDIR)$(BINDIR)/secretvolctl
	install -m 0644 $(LIB) $(SOLIB) $(DESTDIR)$(LIBDIR)
	ln -sf libsecretvol.so.$(SOVERSION) $(DESTDIR)$(LIBDIR)/libsecretvol.so
	install -m 0644 lib/secretvol.h $(DESTDIR)$(INCLUDEDIR)/secretvol.h
	sed -e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@INCLUDEDIR@|$(INCLUDEDIR)|; s|@VERSION@|$(VERSION)|' \
		lib/libsecretvol.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/libsecretvol.pc
	chmod 0644 $(DESTDIR)$(LIBDIR)/pkgconfig/libsecretvol.pc
	install -D -m 0644 -t $(DESTDIR)$(MANDIR)/man1 daemon/ctl/secretvolctl.1
	install -D -m 0644 -t $(DESTDIR)$(MANDIR)/man5 daemon/secretvold.yaml.5
	install -D -m 0644 -t $(DESTDIR)$(MANDIR)/man8 daemon/secretvold.8
	install -D -m 0644 daemon/ctl/completion/secretvolctl.bash $(DESTDIR)$(BASHDIR)/secretvolctl
	install -D -m 0644 -t $(DESTDIR)$(ZSHDIR) daemon/ctl/completion/_secretvolctl
	install -D -m 0644 -t $(DESTDIR)$(FISHDIR) daemon/ctl/completion/secretvolctl.fish
	sed -e 's|@SBINDIR@|$(SBINDIR)|' systemd/secretvold.service >$(DESTDIR)$(UNITDIR)/secretvold.service
	chmod 0644 $(DESTDIR)$(UNITDIR)/secretvold.service
	install -m 0644 systemd/secretvold.socket $(DESTDIR)$(UNITDIR)
	install -D -m 0644 -t $(DESTDIR)$(DOCDIR)/examples/secretvold.service.d systemd/secretvold.service.d/kubelet.conf
	install -D -m 0644 systemd/sysusers.conf $(DESTDIR)$(SYSTEMDDIR)/sysusers.d/secretvold.conf
	install -D -m 0644 systemd/tmpfiles.conf $(DESTDIR)$(SYSTEMDDIR)/tmpfiles.d/secretvold.conf
	install -D -m 0644 systemd/secretvold.catalog $(DESTDIR)$(SYSTEMDDIR)/systemd/catalog/secretvold.catalog
	install -d -m 0755 $(DESTDIR)$(SYSCONFDIR)/secretvold
	install -d -m 0700 $(DESTDIR)$(SYSCONFDIR)/secretvold/manifests
	test -e $(DESTDIR)$(SYSCONFDIR)/secretvold/config.yaml || \
		install -m 0644 systemd/config.yaml $(DESTDIR)$(SYSCONFDIR)/secretvold/config.yaml

# The Debian package, in $(BUILD): made from a copy of the tree, as no debian/ stands at the top.
DEB_TREE := $(BUILD)/deb/secretvold-$(VERSION)

deb:
	@$(call have-deps,$(DEPS_BUILD) $(DEPS_DEB),WITH_DEB=1)
	rm -rf $(BUILD)/deb
	mkdir -p $(DEB_TREE)
	cp -a Makefile daemon lib manifests systemd README.md LICENSE $(DEB_TREE)
	mv $(DEB_TREE)/systemd/debian $(DEB_TREE)/debian
	cd $(DEB_TREE) && env -u BUILD -u SAN -u MAKEFLAGS -u MAKELEVEL -u MFLAGS dpkg-buildpackage -b -uc -us
	cp $(BUILD)/deb/secretvold_*.deb $(BUILD)

lint-deb: deb
	lintian --fail-on error,warning --tag-display-limit 0 $(BUILD)/secretvold_*.deb

SOURCES := $(shell find lib daemon tests -name '*.[ch]' 2>/dev/null)

format:
	clang-format -i $(SOURCES)

format-check:
	clang-format --dry-run -Werror $(SOURCES)

# TIDY_FLAGS=--checks=-clang-analyzer-* takes seconds instead of minutes.
tidy: compile_commands.json
	@printf '%s\n' $(LIB_SRC) $(DAEMON_SRC) $(CTL_SRC) | \
		xargs -P $$(nproc) -n 4 clang-tidy -p $(BUILD) --quiet $(TIDY_FLAGS)

compile_commands.json:
	@mkdir -p $(BUILD)
	@{ echo '['; sep=; for f in $(LIB_SRC) $(DAEMON_SRC) $(CTL_SRC); do \
	  printf '%s{"directory":"%s","file":"%s","command":"%s"}\n' "$$sep" "$(CURDIR)" "$$f" \
	    "$(CC) $(subst ",\\\",$(ALL_CFLAGS)) -c $$f"; sep=,; done; echo ']'; } >$(BUILD)/compile_commands.json

clean:
	rm -rf build

-include $(shell find $(BUILD) -path $(BUILD)/deb -prune -o -name '*.d' -type f -print 2>/dev/null)
