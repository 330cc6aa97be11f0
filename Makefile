# Thin names over scripts/. Set-up is part of each: see scripts/setup.

.PHONY: help run test ci

help: ## this text
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /make \1\t/' | expand -t 12
	@echo
	@echo 'make run takes RECORDING=FILE FIT="FILE..." FOR=30s; all can be left out.'

run: ## decode motor imagery live from a recording that is played as an LSL stream
	@scripts/demo

test: ## every check and every test
	@scripts/test

ci: test ## what the continuous integration runs
