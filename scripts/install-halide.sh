#!/usr/bin/env bash
# Puts Halide's wheel from PyPI into the build folder, where CMake looks for it.
# Where there is none for the machine, or no network, Debian's libhalide14-0-dev is
# taken if it is installed; without either the compiler has no --codegen=halide.
#
# usage: scripts/install-halide.sh     (MOE_BUILD_DIR=build)
set -euo pipefail
cd "$(dirname "$0")/.."
folder="${MOE_BUILD_DIR:-build}/halide"
version=21.0.0
sha256=3686c2b4c9aed1e26e1e55631608b2c4a4c3fe2d4386505ba1921859adb683ab

[[ "$(cat "$folder/version" 2>/dev/null)" == "$version" ]] && exit 0
if [[ "$(uname -m)" != x86_64 ]]; then
  echo "install-halide.sh: no wheel for $(uname -m); Debian's libhalide14-0-dev would do"
  exit 0
fi
rm -rf "$folder"
mkdir -p "$folder"
# The wheel is asked for by name, so that the version of this Python does not matter.
if ! python3 -m pip download --quiet --disable-pip-version-check --no-deps \
    --only-binary=:all: --python-version 3.11 --platform manylinux_2_28_x86_64 \
    -d "$folder" "halide==$version"; then
  echo "install-halide.sh: Halide $version could not be fetched; building without it, or with Debian's libhalide14-0-dev"
  exit 0
fi
echo "$sha256  $(echo "$folder"/*.whl)" | sha256sum --check --quiet
python3 -m zipfile -e "$folder"/*.whl "$folder"
rm "$folder"/*.whl
echo "$version" > "$folder/version"
