# `make help` lists what there is. Everything can be run twice, and on a bare Debian 12 with Rust, git, make and gcc.
SHELL := /bin/sh
.DEFAULT_GOAL := build
.PHONY: build check test unit integration docker vm demo fuzz proto proto-check licences sizes help clean

TARGET := x86_64-unknown-linux-gnu
# Of the entrypoint alone, hence not in .cargo/config.toml: build scripts and `waypoint` are ordinary programs.
ENTRYPOINT_FLAGS := target.$(TARGET).rustflags=["-Ctarget-feature=+crt-static","-Clink-arg=-Wl,--icf=all","-Clink-arg=-Wl,-z,pack-relative-relocs"]
# One dev profile and one feature set for clippy's and the tests' dependencies.
CARGO_TEST := cargo test --locked --features server

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' Makefile

build: ## both programs, into dist/
	cargo build --locked --profile entrypoint --bin waypoint-entrypoint --target $(TARGET) --config '$(ENTRYPOINT_FLAGS)'
	cargo build --locked --release --features server --bin waypoint
	@mkdir -p dist
	@tools/place.sh target/$(TARGET)/entrypoint/waypoint-entrypoint dist/waypoint-entrypoint
	@tools/place.sh target/release/waypoint dist/waypoint

check: proto-check licences ## the loop: format, lints, documentation, licences, unit tests
	cargo fmt --check
	cargo clippy --locked --bin waypoint-entrypoint -- -D warnings
	cargo clippy --locked --features server --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --features server --no-deps
	cargo tree --locked -d -e normal --depth 0
	$(CARGO_TEST) --lib

test: ## what CI runs: installs what it needs, then every floor
	tools/install.sh
	$(MAKE) build
	$(MAKE) unit
	$(MAKE) integration
	$(MAKE) docker
	$(MAKE) vm
	$(MAKE) sizes

unit: ## the lowest floors: tables, properties, rooms
	$(CARGO_TEST) --lib

integration: build ## the programs of dist/ as processes
	$(CARGO_TEST) --test integration -- --skip containers::

docker: build ## the same in containers FROM scratch; starts a daemon if there is none
	tools/install.sh
	tools/dockerd.sh $(CARGO_TEST) --test integration -- containers::

vm: build ## as PID 1 of a real kernel, under qemu
	tools/install.sh
	vm-tests/run.sh

sizes: ## what the programs weigh, against budget.toml
	@tools/sizes.sh

demo: build ## a newcomer's first minute
	tools/demo.sh

fuzz: ## what reads foreign bytes, a minute each; installs cargo-fuzz where it is missing
	command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	for target in seam link token; do cargo fuzz run --sanitizer none $$target -- -max_total_time=$${FUZZ_SECONDS:-60} || exit 1; done

proto: ## writes src/proto/ from proto/
	cargo run --locked --quiet --manifest-path proto/generate/Cargo.toml

proto-check: # `make proto` changes nothing
	@rm -rf target/proto.before && mkdir -p target && cp -r src/proto target/proto.before
	@$(MAKE) --no-print-directory proto
	@diff -r target/proto.before src/proto >target/proto.diff || \
		{ head -n 40 target/proto.diff; echo "src/proto was not what proto/ generates; it is now: commit it" >&2; exit 1; }

licences: # nobody brings in a licence that we do not know
	tools/licences.sh

clean: ## forgets everything that was built
	cargo clean
	rm -rf dist proto/generate/target
