#!/bin/sh
# ===- make_python.sh - The artifact of from_python.py ----------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
#
# usage: [BUILD=build] [TARGETS=x86-64-v3,sm_90a,vulkan] make_python.sh FOLDER
#
# Makes FOLDER/layer.so, 16 experts of OLMoE-1B-7B in bf16 with the routing as an
# argument, for several targets, and the libraries that it needs.

set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-build}
folder=${1:?a folder is needed}
mkdir -p "$folder"
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
"$build/bin/moe-import" --weights-type=bf16 --experts=16 --layers=0 \
  "$here/../../examples/models/OLMoE-1B-7B.json" -o "$made/layer.mlir"
"$build/bin/moe-compile" --replay-routing --drop-router-arguments \
  "--target=${TARGETS:-x86-64-v3,sm_90a,vulkan}" --emit=shared,manifest "$made/layer.mlir" -o "$folder/layer"
cp -L "$build/lib/libmoe_rt.so" "$folder"
openmp=$(ldd "$build/lib/libmoe_rt.so" | sed -n 's/.*libgomp.so.1 => \([^ ]*\) .*/\1/p')
if [ -n "$openmp" ]; then
  cp -L "$openmp" "$folder"
fi
