#!/usr/bin/env bash
# Formats the given C and C++ files, or, without any, those that differ from the
# last commit. Needs clang-format (Debian package clang-format or
# clang-format-22).
#
# usage: scripts/format.sh [--check] [file...]
#   --check   change nothing; fail and name the files that would change
set -euo pipefail
cd "$(dirname "$0")/.."

check=0
if [[ "${1:-}" == "--check" ]]; then
  check=1
  shift
fi
tool=$(command -v clang-format-22 || command -v clang-format || true)
if [[ -z "$tool" ]]; then
  echo "format.sh: no clang-format; install the package clang-format" >&2
  exit 1
fi
files=("$@")
if [[ ${#files[@]} -eq 0 ]]; then
  mapfile -t files < <({ git diff --name-only --diff-filter=d HEAD
                         git ls-files --others --exclude-standard; } |
                       grep -E '\.(c|cpp|h)$' || true)
fi
status=0
for file in "${files[@]}"; do
  if [[ $check -eq 0 ]]; then
    "$tool" -i "$file"
  elif ! "$tool" "$file" | cmp -s - "$file"; then
    echo "$file"
    status=1
  fi
done
exit "$status"
