# The entry point for people and for CI. Every target prints what it does; `make` lists them.

SHELL := /bin/bash
TARGET := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')

.PHONY: help quickstart build test guests check audit bench fuzz clean

help:
	@echo 'make quickstart   install what is missing, build, run a container (Debian, as root)'
	@echo 'make build        the release program, at dist/proxmox-lxcri'
	@echo 'make test         every test, on this machine, as root'
	@echo 'make guests       build the machines that tests boot (once; `make test` does it, too)'
	@echo 'make check        the fast loop: format, lints, unit tests, licences'
	@echo 'make audit        known vulnerabilities of the dependencies (needs the network)'
	@echo 'make bench        speed and size beside others; ROUNDS=30, IMAGE_ROUNDS=5, ONLY=PART, OURS=FILE'
	@echo 'make fuzz         drive every parser with mutated input; SECONDS=60 in all'
	@echo 'make clean        remove what was built'

quickstart:
	@testing/scripts/quickstart.sh

build:
	@testing/scripts/packages.sh build
	cargo build --locked --release -p proxmox-lxcri
	@mkdir -p dist/libexec
	@install -m 755 target/$(TARGET)/release/proxmox-lxcri dist/proxmox-lxcri
	@echo "built dist/proxmox-lxcri ($$(stat -c %s dist/proxmox-lxcri) bytes)"
	@testing/scripts/libexec.sh

test:
	@testing/scripts/packages.sh build
	@testing/scripts/packages.sh test
	@testing/scripts/test.sh

guests:
	@testing/scripts/packages.sh test
	@tests/guests/build.sh

check:
	@testing/scripts/packages.sh build
	@testing/scripts/packages.sh test
	cargo fmt --all -- --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked -p proxmox-lxcri --features fail-points -- -D warnings
	cargo test --locked --workspace --lib --bins
	@command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny check bans licenses sources

audit:
	@command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	@testing/scripts/audit.sh

bench: build
	@testing/scripts/packages.sh test
	@ROUNDS='$(ROUNDS)' IMAGE_ROUNDS='$(IMAGE_ROUNDS)' ONLY='$(ONLY)' OURS='$(OURS)' testing/scripts/bench.sh

SECONDS ?= 60

# Not a release: its overflow checks are part of what is looked for.
fuzz:
	@testing/scripts/packages.sh build
	cargo run --locked -p lxcri-fuzz -- $(SECONDS)

clean:
	cargo clean
	rm -rf dist
