#!/bin/sh
# ===- run.sh - The benchmark of layers on NVIDIA's GPUs, stage by stage ---===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
#
# usage: KERNELS=FOLDER [JSON=FILE] [PYTHON=python3] run.sh [check|speed|sanitize] [options of gpu.py]
#
# Each stage ends within 7 minutes, and goes on where it was when it is run again:
# with the same JSON, which is gpu.json if not said. Without a stage, all three.

set -u
here=$(dirname "$0")
if [ -z "${KERNELS:-}" ]; then
  echo "run.sh: error: KERNELS has to name the folder that make.sh made" >&2
  exit 2
fi
case ${1:-} in
check | speed | sanitize) stages=$1 && shift ;;
"" | -*) stages="check speed sanitize" ;;
*) echo "run.sh: error: there is no stage '$1'; known: check, speed, sanitize" >&2 && exit 2 ;;
esac
status=0
for stage in $stages; do
  "${PYTHON:-python3}" -u "$here/gpu.py" "$KERNELS" --stage="$stage" --json="${JSON:-gpu.json}" --resume "$@" ||
    status=$?
done
exit $status
