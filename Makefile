# make demo    the whole flow on a synthetic study, no server needed
# make test    every test and check; what CI runs
# make help    the rest

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
CONSTRAINTS := constraints/cpu.txt

.PHONY: help demo test validate faults lint docs pictures viewer axe clean
help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile
# make validate  every kind of result before dciodvfy, dcentvfy, dsrdump, PixelMed, dcmqi and highdicom
# make lint    formatting, style, types and import floors alone
# make docs    generate the reference pages and the commented settings again
# make pictures  take the pictures of the pages in docs/images anew (Chromium), or PICTURES="queue rules"
# make faults  kill, fill, cut and delay the real processes: nothing may be lost (an hour, or FAULTS="--at-once 6"; root for the disks)
# make clean   remove the environment and what the demo wrote

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.node: $(VENV)/.made pyproject.toml
	@echo "Installing the node (ONNX Runtime for the CPU, no torch) ..."
	$(PIP) install --quiet -e '.[cpu]'
	@touch $@

$(VENV)/.dev: $(VENV)/.made pyproject.toml $(CONSTRAINTS)
	@echo "Installing the node with its development extras ..."
	$(PIP) install --quiet -c $(CONSTRAINTS) -e '.[cpu,train,server,dev]'
	@touch $@ $(VENV)/.node

demo: $(VENV)/.node
	$(BIN)/dicom-ai demo --out demo-out

# Files start in the order of their folders: the long ones, few tests each, are in integration and would otherwise come last.
# What shows in a browser or an archive wants more of the machine, three files at a time; the fuzzer wants a small parent, so it comes first.
FILE_BY_FILE := --dist loadfile --no-loadscope-reorder
test: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses auto $(FILE_BY_FILE) --ignore tests/acceptance --ignore tests/fuzz
	$(BIN)/python -m pytest --numprocesses 3 $(FILE_BY_FILE) tests/fuzz tests/acceptance

validate: $(VENV)/.dev
	CI=true $(BIN)/python -m pytest tests/integration/test_validators.py

faults: $(VENV)/.dev
	$(BIN)/python -m tests.faults $(FAULTS)

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy dicom_ai
	$(BIN)/lint-imports

docs: $(VENV)/.dev
	$(BIN)/python -m tests.generate_docs

pictures: $(VENV)/.dev
	$(BIN)/python -m tests.page_pictures $(PICTURES)

clean:
	rm -rf $(VENV) demo-out

# make viewer  fetch OHIF and a browser driver for the viewer tests (npm)
viewer: .cache/viewer/.fetched
.cache/viewer/.fetched:
	@mkdir -p .cache/viewer
	cd .cache/viewer && npm pack --silent @ohif/app@3.13.2 playwright-core@1.65.1 >/dev/null
	cd .cache/viewer && mkdir -p ohif node_modules/playwright-core \
	  && tar xzf ohif-app-3.13.2.tgz -C ohif --strip-components=2 package/dist \
	  && tar xzf playwright-core-1.65.1.tgz -C node_modules/playwright-core --strip-components=1 \
	  && rm -rf *.tgz ohif/ort ohif/dicom-microscopy-viewer && find ohif -name '*.map' -delete
	@touch $@

# make axe     fetch axe-core for the tests of the pages (npm)
axe: .cache/axe/.fetched
.cache/axe/.fetched:
	@mkdir -p .cache/axe
	cd .cache/axe && npm pack --silent axe-core@4.14.1 >/dev/null \
	  && tar xzf axe-core-4.14.1.tgz --strip-components=1 package/axe.min.js && rm axe-core-4.14.1.tgz
	@touch $@
