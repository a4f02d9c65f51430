#!/usr/bin/env bash
# Installs what is missing, builds, and runs all tests. The last line says
# "N passed, N failed"; the exit status is that of the tests.
#
# usage: scripts/test.sh [lit arguments, such as --filter=Dialect]
set -euo pipefail
cd "$(dirname "$0")/.."
build="${MOE_BUILD_DIR:-build}"

scripts/build.sh
scripts/build.sh test-depends

lit=$(sed -n 's/^MOE_LIT:FILEPATH=//p' "$build/CMakeCache.txt")
log="$build/test-output.txt"
status=0
"$lit" -sv "$@" "$build/test" 2>&1 | tee "$log" || status=$?

# lit's summary has one line for each outcome that occurred.
count() {
  sed -n -E "s/^ *$1 *: *([0-9]+).*/\1/p" "$log" | awk '{ n += $1 } END { print n + 0 }'
}
passed=$(($(count "Passed") + $(count "Expectedly Failed")))
failed=$(($(count "Failed") + $(count "Unexpectedly Passed") + $(count "Unresolved") + $(count "Timed Out")))
skipped=$(($(count "Unsupported") + $(count "Skipped") + $(count "Excluded")))
if [[ $passed -eq 0 && $status -eq 0 ]]; then
  echo "test.sh: no test ran" >&2
  status=1
fi
echo "$passed passed, $failed failed, $skipped skipped"
exit "$status"
