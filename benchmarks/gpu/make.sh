#!/bin/sh
# ===- make.sh - Artifacts for the benchmark on NVIDIA's GPUs --------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
#
# usage: [BUILD=build] [TARGET=sm_90a] make.sh FOLDER [MODEL[:FORMAT[+ROWS]]...]
#
# Makes a folder that gpu.py takes, on a machine that has the compiler: of each model
# its first layer with experts, in bf16 or in a format that blocks.py knows, as
# MODEL.FORMAT, with rows in what --activations takes, as MODEL.FORMAT+ROWS,
# and what it needs to run; in whole/ the same
# layers with their routers, for whole.py. What has no kernels yet is left out, with a
# message; the status is 1 if a model that was asked for is.

set -u
here=$(cd "$(dirname "$0")" && pwd)
models=$here/../../examples/models
build=${BUILD:-build}
target=${TARGET:-sm_90a}
if [ $# -lt 1 ]; then
  echo "make.sh: error: a folder is needed" >&2
  exit 2
fi
folder=$1
shift
if [ ! -x "$build/bin/moe-compile" ]; then
  echo "make.sh: error: there is no $build/bin/moe-compile; BUILD names the build's folder" >&2
  exit 2
fi
mkdir -p "$folder" || exit
made=$(mktemp -d) || exit
trap 'rm -rf "$made"' EXIT
mkdir -p "$folder/whole" "$made/whole" || exit

# The artifact of a model, in a format if the name has one. The small one is written with
# its routing as an argument; of
# DeepSeek-V3 it is an eighth of the experts, without the shared one.
compile() {
  replay="--replay-routing --drop-router-arguments" experts= base=${1%%.*} type=bf16 rows=
  plain=${1%%+*}
  case $1 in
  *+*) rows=--activations=${1##*+} ;;
  esac
  case $plain in
  *.int4) type="int4<group = 128, scales = bf16>" ;;
  *.*) type=${plain#*.} ;;
  esac
  case $1 in
  small) replay= && cp "$here/small.mlir" "$made" ;;
  *)
    if [ "$base" = DeepSeek-V3 ]; then experts=--experts=32; fi
    sed 's/"n_shared_experts": 1/"n_shared_experts": 0/' "$models/$base.json" >"$made/config.json" &&
      "$build/bin/moe-import" --weights-type="$type" $experts "$made/config.json" -o "$made/$1.mlir"
    ;;
  esac && "$build/bin/moe-compile" $replay $rows "--target=$target" --emit=shared,manifest "$made/$1.mlir" -o "$made/$1" &&
    if [ "$1" != small ]; then
      "$build/bin/moe-compile" $rows "--target=$target" --emit=shared,manifest "$made/$1.mlir" -o "$made/whole/$1"
    fi
}

status=0
[ $# -gt 0 ] && lacking=1 || lacking=0
for model in ${*:-small OLMoE-1B-7B Qwen3-30B-A3B Mixtral-8x7B DeepSeek-V3 gpt-oss-20b}; do
  model=$(echo "$model" | tr : .)
  for old in "$folder/$model" "$folder/whole/$model"; do rm -f "$old.so" "$old.json"; done
  if compile "$model" >"$made/log" 2>&1; then
    mv "$made/$model.so" "$made/$model.json" "$folder" || exit
    if [ -f "$made/whole/$model.so" ]; then
      mv "$made/whole/$model.so" "$made/whole/$model.json" "$folder/whole" || exit
    fi
  else
    echo "make.sh: $model is left out: $(grep -m 1 error: "$made/log" | sed 's/.*error: //')" >&2
    status=$lacking
  fi
done
# Under the one name that the artifact's loader finds it by, and OpenMP's, which a
# machine with a GPU may lack.
cp -L "$build/lib/libmoe_rt.so" "$folder" || exit
openmp=$(ldd "$build/lib/libmoe_rt.so" | sed -n 's/.*libgomp.so.1 => \([^ ]*\) .*/\1/p')
if [ -n "$openmp" ]; then
  cp -L "$openmp" "$folder" || exit
fi
(cd "$folder" && wc -c *.so*)
exit $status
