#!/bin/sh
# `make test`: the offline suite first, then the tests with real components. What was skipped stands in the closing lines.
set -eu
BIN=${BIN:-.venv/bin}
# Workers, and the commands that tests start, would each compile everything again.
unset PYTHONDONTWRITEBYTECODE
echo "== The offline suite"
# A worker more than the machine has cores: those that wait for a sandbox leave theirs to the others.
WORKERS=$("$BIN/python" -c 'import os; print(min(os.cpu_count() or 1, 7) + 1)')
# Further cases of what is shown are left to `make test-all`, which sets PENSTOCK_THOROUGH: tests/sizes.py.
SELECTION=$("$BIN/python" -c 'from tests import sizes; print(sizes.selection())')
"$BIN/python" -m pytest tests -n "$WORKERS" --dist loadgroup --no-loadscope-reorder -m "not bed and not prometheus and not browser$SELECTION"
if command -v go >/dev/null 2>&1 || [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
    echo "== The real API server: its programs are built once, about three and a half minutes"
    "$BIN/python" -m tests.bed.binaries >/dev/null
fi
echo "== The tests on real components"
# Most of their time they wait for a release: more workers than cores, whole files, the longest first. Each has a cluster of its own, of 1 GB.
"$BIN/python" -m pytest tests -n 4 --dist loadfile --no-loadscope-reorder -m "bed or prometheus or browser"
