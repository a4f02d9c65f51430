#!/usr/bin/env bash
# Installs what is missing and builds incrementally into build/ (or
# $MOE_BUILD_DIR). Sourced by nothing: demo.sh and test.sh call it.
#
# usage: scripts/build.sh [ninja target...]
set -euo pipefail
cd "$(dirname "$0")/.."
build="${MOE_BUILD_DIR:-build}"

scripts/install-deps.sh
MOE_BUILD_DIR="$build" scripts/install-halide.sh
if [[ ! -f "$build/build.ninja" ]]; then
  cmake -G Ninja -S . -B "$build" -DCMAKE_BUILD_TYPE="${MOE_BUILD_TYPE:-Release}"
fi
cmake --build "$build" ${1:+--target "$@"}
