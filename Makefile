# SPDX-License-Identifier: Apache-2.0
# A thin face over Meson: `make help` tells what there is.
BUILD := build
.DEFAULT_GOAL := all
.PHONY: all setup demo demo-clean test test-long bench deb install uninstall clean help

# Ninja itself knows what is out of date, so these rules always ask it.
all:
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD)
	@ninja -C $(BUILD)

setup:
	@scripts/setup.sh

demo: setup
	@scripts/demo.sh

demo-clean:
	@scripts/demo.sh clean

test: setup
	@tests/run

test-long: setup
	@tests/run --long

bench: setup all
	@$(BUILD)/bench/clone
	@$(BUILD)/bench/life
	@$(BUILD)/bench/live --quick

deb: setup
	@scripts/deb.sh

install: all
	@meson install -C $(BUILD)
	@test -n "$(DESTDIR)" || ldconfig # the loader finds a library in a standard folder by its cache

# What the last install from $(BUILD) put there.
uninstall:
	@ninja -C $(BUILD) uninstall

clean:
	rm -rf $(BUILD) build-asan build-clang build-fuzz

help:
	@echo 'make             build everything into $(BUILD)/, the program as $(BUILD)/cowherd'
	@echo 'make demo        run examples/seed.rexx on QEMU, LXD and nspawn, and show what it cost (as root)'
	@echo 'make demo-clean  remove the images that the demo keeps'
	@echo 'make test        build with gcc and clang, and run every test (as root)'
	@echo 'make test-long   the same, and what takes hours: a crash at every system call'
	@echo 'make bench       measure clones against the raw tools (as root)'
	@echo 'make deb         build the Debian packages into $(BUILD)/deb/'
	@echo 'make install     install; DESTDIR= is honoured, other places by meson setup'
	@echo 'make uninstall   remove what the last make install put there'
	@echo 'make clean       remove what was built'
