#!/usr/bin/env bash
# Installs PyTorch and transformers, as python/requirements-transformers.txt names them,
# into a virtual environment in the build folder, and runs the tests that need them.
# The wheel of PyTorch is the one for CUDA, whose libraries it loads on any machine: the
# environment takes 5.6 GB. Without it these tests are UNSUPPORTED.
# `exporters` is another environment, with JAX and onnxscript, for the tests that export
# models afresh.
#
# usage: scripts/python-peers.sh [--install-only] [transformers|exporters]     (BUILD=build)
set -euo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build}
install_only=
if [ "${1:-}" = --install-only ]; then
  install_only=yes
  shift
fi
peers=${1:-transformers}
environment=$build/python/$peers
requirements=python/requirements-$peers.txt

if [ ! -x "$environment/bin/python" ]; then
  mkdir -p "$build/python"
  "${PYTHON:-python3}" -m venv "$environment"
fi
# The stamp is written last: an installation that was interrupted goes on.
if ! cmp -s "$requirements" "$environment/requirements.txt"; then
  "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements"
  cp "$requirements" "$environment/requirements.txt"
fi
[ -n "$install_only" ] && exit

lit=$(sed -n 's/^MOE_LIT:FILEPATH=//p' "$build/CMakeCache.txt")
exec "$lit" -sv --filter="Python/$peers" "$build/test"
