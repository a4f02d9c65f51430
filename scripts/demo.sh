#!/usr/bin/env bash
# Installs what is missing, builds, and takes one layer of each of two models
# through all tools: import, compile, pack, run, verify, call from C, measure.
# Leaves the IR, objects, headers, manifests and C programs in build/demo.
# Takes a few minutes, 12 GB of memory and 6 GB of disk while it runs.
#
# usage: scripts/demo.sh [options]
#   --models=A,B   names of files in examples/models
#   --experts=N    keep N experts of each layer (for a quick look)
#   --tokens=A,B   numbers of tokens; default 1,16,512
#   --out=FOLDER   where to leave the results
#   --no-build     use the build as it is
#   --no-bench     do not measure
set -euo pipefail
cd "$(dirname "$0")/.."
build="${MOE_BUILD_DIR:-build}"
models=Qwen3-30B-A3B,Mixtral-8x7B
tokens=1,16,512
experts=()
out="$build/demo"
compile=1
bench=1
for argument in "$@"; do
  case "$argument" in
  --models=*) models="${argument#*=}" ;;
  --experts=*) experts=("$argument") ;;
  --tokens=*) tokens="${argument#*=}" ;;
  --out=*) out="${argument#*=}" ;;
  --no-build) compile=0 ;;
  --no-bench) bench=0 ;;
  *)
    sed -n 's/^# \{0,1\}//; 7,13p' "$0" >&2
    echo "demo.sh: unknown argument '$argument'" >&2
    exit 2
    ;;
  esac
done

if [[ $compile -eq 1 ]]; then
  scripts/build.sh
fi
bin="$build/bin"
mkdir -p "$out"

# Packed weights are gigabytes; they go even when something fails.
weights=$(mktemp -d "$out/weights.XXXXXX")
trap 'rm -rf "$weights"' EXIT

step() { printf '\n\033[1m%s\033[0m\n' "$1"; }
run() {
  echo "+ $*"
  "$@"
}

for model in ${models//,/ }; do
  dir="$out/$model"
  mkdir -p "$dir"
  packed="$weights/$model.safetensors"

  step "$model: import one layer, compile it, pack made-up weights"
  run "$bin/moe-import" --weights-type=bf16 ${experts[@]+"${experts[@]}"} \
    "examples/models/$model.json" -o "$dir/layer.mlir"
  run "$bin/moe-compile" "$dir/layer.mlir" -o "$dir/layer"
  run "$bin/moe-pack" "$dir/layer.json" --random=1 -o "$packed"

  step "$model: run it, and compare with the interpreter in float64"
  for T in ${tokens//,/ }; do
    run "$bin/moe-run" "$dir/layer.so" --weights="$packed" \
      --model="$dir/layer.mlir" --random=1 --tokens="$T" --verify-tokens=2
  done

  step "$model: call it from C"
  run cc -O2 "-I$dir" -Iinclude examples/c/call_layer.c "$dir/layer.o" \
    "$build/lib/libmoe_rt.a" -fopenmp -lm -o "$dir/call_layer"
  run "$dir/call_layer" "$packed" 16
  rm "$packed"
done

if [[ $bench -eq 1 ]]; then
  step "Measure: against the limits of this machine, and two baselines"
  run "$bin/moe-bench" --models-dir=examples/models --model="$models" \
    --format=bf16 --tokens="$tokens" --json="$out/bench.json"
fi

step "Left in $out"
(cd "$out" && ls -d ./*/layer.{mlir,o,h,json} ./*/call_layer)
