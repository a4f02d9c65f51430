"""Keeps the micro-kernels of a lowered module, from standard input to output."""

import re
import sys

text = sys.stdin.read()
start = re.search(r"^  func\.func private @moek_\w+_m1\(", text, re.M).start()
# mlir-translate does not know the dialect of the schedules that kernels carry.
body = re.sub(r" attributes \{moe_cpu\.kernels = .*\} \{$", " {", text[start:], flags=re.M)
# The dispatchers are private too; nothing calls them here, so make them stay.
print("module {\n" + re.sub(r"func\.func private @(moek_\w+_rows\d+(?:_next)?)\(", r"func.func @\1(", body))
