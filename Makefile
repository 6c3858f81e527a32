.DEFAULT_GOAL := help
.PHONY: help fmt lint test race bench fuzz api catalog examples ci

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "%-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

fmt: ## format all Go files
	gofmt -w .

lint: ## go vet and golangci-lint, which is installed into .bin when missing
	.ci/run vet lint

test: ## all tests of all modules
	go test work

race: ## the same under the race detector
	.ci/run race

bench: ## benchmarks of the root with allocations; comparisons live in benchmarks/
	go test -run='^$$' -bench=. -benchmem ./...

fuzz: ## every fuzz target for FUZZTIME (default 5s)
	.ci/run fuzz

api: ## refresh the snapshot of exported names in api/
	go run ./internal/apisnapshot

catalog: ## refresh the catalogue of destinations and its page in docs/
	go run ./cmd/catalog

examples: ## run every program in examples/
	.ci/run examples

ci: ## everything that is checked before a change lands
	.ci/run
