# What a person types. `make` alone lists it.

SHELL := bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Incremental artefacts cost time and disk where nothing is ever built twice.
ifdef CI
export CARGO_INCREMENTAL := 0
endif

# Passed by the environment, not pasted into a command, so that a path may contain spaces and quotes.
VIDEO ?= tests/media/interview.mp4
export VIDEO

# Runs one step of a recipe by its name, and says which one failed.
define STEPS
set -euo pipefail; \
step() { \
	printf '\n== %s\n' "$$*" >&2; \
	"$$@" || { code=$$?; printf '\nmake $@: failed at: %s (exit %s)\n' "$$*" "$$code" >&2; exit "$$code"; }; \
}
endef

.PHONY: help demo test bench soak alerts-drill schedule-drill deploy-check lint fmt services services-down clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# The development profile: it builds several times faster than the release one, and the work is done by ffmpeg.
# Twice in a row it replaces what it made itself, NAME-cut.* in this directory.
demo: ## run the demo on one video, no services needed: make demo VIDEO="my clip.mp4"
	@scripts/ffmpeg
	@[ -x "$${CARGO_TARGET_DIR:-target}/debug/sapari" ] || echo 'building; the first time takes a few minutes' >&2
	@cargo run --quiet -p sapari-cli --bin sapari -- demo --force -- "$$VIDEO"

# A workspace of its own: its engine stays out of the product's build, and so in a target directory of its own. clippy compiles it for the
# test, because it would check the whole engine a second time.
QUERIES := env RUSTC_WORKSPACE_WRAPPER=clippy-driver CLIPPY_ARGS=-Dwarnings__CLIPPY_HACKERY__ \
	cargo test --locked --manifest-path tests/queries/Cargo.toml --target-dir tests/queries/target

# Always the whole workspace: a selection of packages has other dependency features, and would build them all again.
# The binaries are built before the tests because the process tests start them.
# RABBITMQ reaches scripts/services, and the private servers of the tests, as an environment variable.
test: ## check everything, against RabbitMQ and Redis; on another series of RabbitMQ: make test RABBITMQ=4
	@$(STEPS); \
	step scripts/ffmpeg; \
	step scripts/deploy-check; \
	step scripts/services up; \
	services=$$(scripts/services env); eval "$$services"; \
	step cargo fmt --all --check; \
	step cargo fmt --manifest-path tests/queries/Cargo.toml --check; \
	step cargo clippy --workspace --all-targets --all-features -- -D warnings; \
	step cargo build --workspace --all-targets; \
	step cargo test --workspace --all-targets; \
	step cargo test --workspace --doc; \
	step $(QUERIES); \
	step env RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps; \
	printf '\nmake test: all steps passed\n' >&2

# Optimised, in a profile of its own: see Cargo.toml. It takes about four minutes beside the build.
bench: ## measure the runtime beside the bare AMQP client, on RabbitMQ and Redis of this machine
	@$(STEPS); \
	step scripts/services up; \
	services=$$(scripts/services env); eval "$$services"; \
	step cargo run --profile bench -p sapari-bench

# The same test is part of `make test`, for half a minute.
SOAK_SECONDS ?= 120
soak: export SOAK_SECONDS := $(SOAK_SECONDS)
soak: ## break everything in turn for two minutes under 20,000 tasks: make soak RABBITMQ=4
	@$(STEPS); \
	step scripts/services up; \
	services=$$(scripts/services env); eval "$$services"; \
	step cargo build --workspace --all-targets; \
	step cargo test --workspace --all-targets faults::soak -- --nocapture

# Its own servers and workers on loopback, which end with it. ALERTS=own: without RabbitMQ's Prometheus plugin.
ALERTS ?= rabbitmq
alerts-drill: ## break real workers under a real Prometheus until three alerts fire; about a minute
	@$(STEPS); \
	step scripts/ffmpeg; \
	step scripts/services up; \
	step cargo build --workspace; \
	step scripts/alerts-drill '$(ALERTS)'

# The same tests are part of `make test`, for a quarter of a minute and less. Optimised: make schedule-drill PROFILE=bench
DRILL_SECONDS ?= 60
PROFILE ?= dev
schedule-drill: export DRILL_SECONDS := $(DRILL_SECONDS)
schedule-drill: ## three schedulers, 200 entries a second, the leader killed every 10 s; 10,000 entries in one: each tick once, and how late
	@$(STEPS); \
	step scripts/services up; \
	services=$$(scripts/services env); eval "$$services"; \
	step cargo build --profile '$(PROFILE)' --workspace --all-targets; \
	step cargo test --profile '$(PROFILE)' --workspace --all-targets schedule:: -- --nocapture --test-threads=1

deploy-check: ## check the rules, the dashboard, the compose file and the queries, without starting anything
	@scripts/deploy-check

lint: ## formatting and clippy only
	@$(STEPS); \
	step cargo fmt --all --check; \
	step cargo clippy --workspace --all-targets --all-features -- -D warnings

fmt: ## format the sources
	@cargo fmt --all

services: ## find or start RabbitMQ and Redis, and print how to reach them
	@scripts/services up
	@scripts/services env

services-down: ## end the services that were started here
	@scripts/services down

clean: services-down ## end the services, and remove all that was built
	@cargo clean
	@rm -rf .services tests/queries/target
