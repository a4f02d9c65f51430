"""Fails if a micro-kernel in an assembly listing moves vectors to the stack.

usage: check_no_spills.py file.s  (functions named moek_*_m<rows> are checked)
"""

import re
import sys

spills = {}
kernels = 0
function = None
for line in open(sys.argv[1]):
    label = re.match(r"(\w+):", line)
    if label:
        function = label.group(1) if re.fullmatch(r"moek_\w+_m\d+", label.group(1)) else None
        kernels += function is not None
    elif function and (re.search(r"\bvmov\w+\s.*%[xyz]mm\d+, .*\(%rsp\)", line)
                       or re.search(r"\bst[rp]\s+[qz]\d+,.*\[(sp|x29)\b", line)):
        spills[function] = spills.get(function, 0) + 1

if kernels == 0:
    sys.exit("no micro-kernel found")
for name, count in spills.items():
    print(f"{name}: {count} vector stores to the stack")
print(f"{kernels} kernels checked, {len(spills)} with spills")
sys.exit(1 if spills else 0)
