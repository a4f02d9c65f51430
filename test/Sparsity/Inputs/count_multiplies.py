"""Makes kernels count the multiply-adds of their matmuls.

usage: count_multiplies.py kernels.ll -o counting.ll

LLVM IR for x86-64-v3 goes in. Each block of a function moek_... that multiplies
vectors of floats adds the number of its products to @multiply_adds.
"""
import re
import sys

source, _, target = sys.argv[1:]
out, products, inside, blocks = [], 0, False, 0
for line in open(source):
    if line.startswith("define"):
        inside = "@moek_" in line
    found = re.search(r"call .*<(\d+) x float> @llvm\.fm(?:uladd|a)\.", line)
    if inside and found:
        products += int(found.group(1))
    if products and re.match(r"  (br|ret|switch|unreachable)\b", line):
        out.append("  %%count.%d = atomicrmw add ptr @multiply_adds, i64 %d monotonic\n" % (blocks, products))
        blocks, products = blocks + 1, 0
    out.append(line)
out.append("@multiply_adds = global i64 0\n")
with open(target, "w") as file:
    file.writelines(out)
sys.exit(0 if blocks else "no block multiplies")
