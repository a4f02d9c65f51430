#!/usr/bin/env bash
# Installs the packages of scripts/packages.txt, or of another list, that are
# missing.
#
# usage: scripts/install-deps.sh [--dry-run | LIST]
#   --dry-run   let apt resolve the whole list, installed or not, and change nothing
set -euo pipefail
cd "$(dirname "$0")/.."

list=scripts/packages.txt
[[ $# -eq 1 && -f "$1" ]] && list="$1" && shift
mapfile -t packages < <(grep -v '^#' "$list" | sed '/^[[:space:]]*$/d')

if [[ "${1:-}" == "--dry-run" ]]; then
  exec apt-get install --dry-run --no-install-recommends "${packages[@]}"
elif [[ $# -gt 0 ]]; then
  echo "install-deps.sh: unknown argument '$1'; it takes --dry-run, a list of packages, or nothing" >&2
  exit 2
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ "$status" == "installed" ]] || missing+=("$package")
done
[[ ${#missing[@]} -eq 0 ]] && exit 0

echo "install-deps.sh: installing ${missing[*]}"
sudo=()
if [[ $EUID -ne 0 ]]; then
  command -v sudo >/dev/null || {
    echo "install-deps.sh: run as root, or install sudo, or install by hand: ${missing[*]}" >&2
    exit 1
  }
  sudo=(sudo)
fi
"${sudo[@]}" apt-get update -q
DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -qy --no-install-recommends "${missing[@]}"
