# Two commands matter: `make run` and `make test`. Everything here is thin: it calls cargo, npm and scripts/.
.DEFAULT_GOAL := help
.PHONY: help run test bench replay soak attack quality fuzz fmt check clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Set up what is missing, build, and start Parlor on http://localhost:7400 (ARGS= for more flags)
	@scripts/run.sh $(ARGS)

test: ## Set up what is missing, and run every test (scripts/test.sh NAME... runs single parts)
	@scripts/test.sh

check: ## The quick part of the tests: format, lints, types, unit tests; no browsers
	@scripts/test.sh licences release format web lint unit

bench: ## Measure the release server under load, beside Janus, and print a table (ARGS="--help" for more)
	@scripts/bench.sh $(ARGS)

replay: ## Count the media plane's instructions for fixed series of packets; two counts can be compared (ARGS= names series)
	@scripts/replay.sh $(ARGS)

soak: ## Let people come and go for SOAK_SECONDS (default 600), and see that the server's memory stays flat
	@scripts/soak.sh $(ARGS)

attack: ## Do what strangers and hostile participants could do, and see what a call beside it loses (0 is the goal)
	@scripts/attack.sh $(ARGS)

quality: ## Measure what people hear and see over bad links, in real browsers (ARGS= names single parts)
	@scripts/quality.sh $(ARGS)

fuzz: ## Fuzz every target for FUZZ_SECONDS (default 3600) each; needs a nightly toolchain and cargo-fuzz
	@scripts/fuzz.sh

fmt: ## Format Rust and web sources in place
	@scripts/fmt.sh

clean: ## Remove what was built, and the npm packages
	rm -rf target web/node_modules web/*/dist examples/node_modules examples/*/node_modules examples/*/dist fuzz/target
