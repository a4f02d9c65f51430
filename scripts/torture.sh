#!/usr/bin/env bash
# Tries for a given time to break everything: docs/testing.md. Seeds are printed,
# what fails is kept in fuzz-failures/ with the command that repeats it.
#
# usage: scripts/torture.sh [--seconds=N] [--seed=S] [--plain] [part...]
#   --seconds=N  of all parts together (default 600); builds and the suite, which
#                run once, are not counted
#   --seed=S     the first seed (default: the time of day)
#   --plain      the suite, readers and IR without sanitizers, from build/
#   parts        suite readers ir layers routers files configurations threads
#                (default: all)
set -uo pipefail
cd "$(dirname "$0")/.." || exit

seconds=600 seed=$(date +%s) plain=0 parts=()
for word in "$@"; do
  case "$word" in
    --seconds=*) seconds="${word#*=}" ;;
    --seed=*) seed="${word#*=}" ;;
    --plain) plain=1 ;;
    suite | readers | ir | layers | routers | files | configurations | threads) parts+=("$word") ;;
    *)
      echo "torture.sh: unknown argument '$word'; see the first lines of $0" >&2
      exit 2
      ;;
  esac
done
[[ ${#parts[@]} -gt 0 ]] || parts=(suite readers ir layers routers files configurations threads)

keep=fuzz-failures
mkdir -p "$keep"
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_container_overflow=0:allow_user_poisoning=0:detect_leaks=0:allocator_may_return_null=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"
python=/usr/bin/python3
[[ -x $python ]] || python=python3

has() { [[ " ${parts[*]} " == *" $1 "* ]]; }

# What is built: the tools in build/, and with sanitizers in build-asan/.
scripts/build.sh all test-depends || exit 1
checked=build
if [[ $plain -eq 0 ]] && { has suite || has readers || has ir; }; then
  scripts/install-deps.sh scripts/packages-torture.txt || exit 1
  [[ -f build-asan/build.ninja ]] || cmake --preset asan || exit 1
  checked=build-asan
  targets=()
  has suite && targets+=(all test-depends)
  has readers && targets+=(moe-libfuzzer-readers)
  has ir && targets+=(moe-fuzz-ir)
  cmake --build build-asan --target "${targets[@]}" || exit 1
fi

# Parts that take what time is given share it.
timed=0
for part in readers ir layers routers files configurations; do
  has "$part" && timed=$((timed + 1))
done
share=$((timed ? seconds / timed : 0))
failed=()

part() {
  echo "== $1, seed $seed"
  shift
  "$@"
}

suite() {
  local lit
  lit=$(sed -n 's/^MOE_LIT:FILEPATH=//p' "$checked/CMakeCache.txt")
  "$lit" -sv "$checked/test"
}

readers() {
  local status=0 each target corpus
  if [[ $plain -eq 1 ]]; then
    local began=$SECONDS s=$seed
    while ((SECONDS - began < share)); do
      build/bin/moe-fuzz-readers --seed="$s" --runs=20000 --keep="$keep" >"$keep/readers.log" 2>&1 || {
        echo "FAILED with --seed=$s --runs=20000"
        tail -n 30 "$keep/readers.log"
        return 1
      }
      s=$((s + 1))
    done
    echo "readers: seeds $seed to $((s - 1))"
    return 0
  fi
  local all=(safetensors npy strict-json manifest weights gguf index expression config ir)
  each=$((share / ${#all[@]}))
  for target in "${all[@]}"; do
    corpus="build-asan/corpus/$target"
    mkdir -p "$corpus"
    build-asan/bin/moe-libfuzzer-readers --target="$target" --write-seeds="$corpus" "$corpus" \
      -seed="$((seed % 4294967295))" -max_total_time="$((each > 0 ? each : 1))" -timeout=30 -rss_limit_mb=8192 \
      -artifact_prefix="$keep/$target-" -print_final_stats=1 >"$keep/$target.log" 2>&1 || {
      status=1
      echo "FAILED: $target; repeat by
  ASAN_OPTIONS=$ASAN_OPTIONS build-asan/bin/moe-libfuzzer-readers --target=$target $keep/$target-..."
      grep -vE '^#[0-9]+' "$keep/$target.log" | tail -n 60
    }
    echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$keep/$target.log") inputs"
  done
  return "$status"
}

ir() {
  "$checked/bin/moe-fuzz-ir" --seed="$seed" --each=1000000 --seconds="$share" --known=test/fuzz/known-ir.txt \
    --limit="$((plain ? 20 : 60))" --keep="$keep" test examples
}

script() {
  local name="$1"
  shift
  PATH="$PWD/build/bin:$PATH" "$python" "test/fuzz/$name.py" --seed="$seed" --runs=1000000 --seconds="$share" \
    --keep="$keep" "$@"
}
# The levels that the CPU has: an unknown one would run as the best.
levels() {
  local flags
  flags=$(sed -n '/^flags/{p;q}' /proc/cpuinfo)
  local found=3
  [[ "$flags" == *avx512vl* ]] && found+=",4"
  [[ "$flags" == *avx512_bf16* ]] && found+=",5"
  echo "$found"
}
layers() {
  script fuzz_layers --levels="$(levels)" --formats=f32,bf16,f16,f64 --emulate-every=5
}
routers() { script fuzz_routers --levels="$(levels)"; }
files() { script fuzz_files; }
configurations() { script fuzz_configurations; }
threads() {
  local out=build-tsan/threads status=0
  scripts/install-deps.sh scripts/packages-torture.txt && cmake --preset tsan >/dev/null &&
    cmake --build build-tsan >/dev/null || return 1
  export PATH="$PWD/build/bin:/usr/lib/llvm-22/bin:$PATH"
  MOE_RT_ARCHIVE=build-tsan/lib/libmoe_rt.a test/Threads/Inputs/instrument.sh "$PWD" "$out" || return 1
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    "$out" || status=1
  done
  return "$status"
}

for name in "${parts[@]}"; do
  part "$name" "$name" || failed+=("$name")
done
if [[ ${#failed[@]} -gt 0 ]]; then
  echo "torture.sh: failures in ${failed[*]}; seed $seed; see above and $keep/"
  exit 1
fi
echo "torture.sh: no failure; seed $seed"
