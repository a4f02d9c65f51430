#!/usr/bin/env bash
# Builds threads.c and a compiled layer so that ThreadSanitizer sees every load
# and store of both. It looks at accesses of 16 bytes at most: vectors are taken
# apart first, and for that the code must be for no CPU in particular.
#
# The runtime is built from its sources, or is MOE_RT_ARCHIVE.
#
# usage: instrument.sh SRC OUT_PROGRAM [flags]     needs clang-22 and opt of LLVM 22
set -euo pipefail
src="$1" out="$2"
inputs="$src/test/Threads/Inputs"
opt=$(command -v opt-22 || command -v opt)
moe-compile "$inputs/layer.mlir" --emit=llvm-ir --target=x86-64-v3 -o "$out.ll"
sed -i -E 's/"target-cpu"="[^"]*"/sanitize_thread/; s/"target-features"="[^"]*"//' "$out.ll"
"$opt" -S -passes='function(scalarize-masked-mem-intrin,scalarizer<load-store;min-bits=0>)' "$out.ll" -o "$out.flat.ll"
runtime=("$src"/lib/Runtime/{CPU,Hooks}.c)
[[ -z "${MOE_RT_ARCHIVE:-}" ]] || runtime=()
flags=(-O1 -g -fsanitize=thread -pthread "${@:3}")
clang-22 "${flags[@]}" -Wno-override-module -c "$out.flat.ll" -o "$out.o"
nm "$out.o" | grep -q __tsan_write
clang-22 "${flags[@]}" -DSUFFIX=__v3 "-I$src/include" "$inputs/threads.c" "${runtime[@]}" "$out.o" \
  ${MOE_RT_ARCHIVE:+"$MOE_RT_ARCHIVE"} -o "$out" -lm
