# Every target is a command that one could type as well.
GO ?= go
BIN := bin/millrace

.PHONY: demo build test bench lint generate migrate clean

demo: build ## the service, Fedora in a box beside it, on this machine
	@sh scripts/say-what-helps
	$(BIN) demo $(ARGS)

build: ## the one binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w" -o $(BIN) ./cmd/millrace

test: ## everything that can go wrong; installs what it needs where it may
	sh scripts/test

bench: build ## every budget, beside its yardstick of the same run
	$(BIN) bench $(ARGS)

lint: ## format, vet, staticcheck, generated files, go.mod
	sh scripts/lint

generate: ## views from their templ files
	$(GO) tool templ generate

migrate: build ## the database up to date
	$(BIN) migrate

clean: ## what was built
	rm -rf bin
