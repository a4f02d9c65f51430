#!/usr/bin/env python3
"""In place of NVIDIA's assembler: its cubin is the text that it was given, with
a word in front, and it says of each kernel that it has 40 registers and what
SPILLS says. Fails on what FAIL says, as an assembler does on a syntax error."""
import os
import re
import sys

verbose, arch, source, dash, output = sys.argv[1:]
assert verbose == "-v" and dash == "-o" and arch.startswith("-arch=sm_"), sys.argv
text = open(source).read()
assert ".target " + arch[6:] in text, arch
if os.environ.get("FAIL"):
    print("ptxas fatal   : " + os.environ["FAIL"], file=sys.stderr)
    sys.exit(255)
with open(output, "w") as cubin:
    cubin.write("CUBIN\n" + text + "\0")
print("ptxas info    : 0 bytes gmem", file=sys.stderr)
for name in re.findall(r"\.entry (\w+)\(", text):
    print("ptxas info    : Compiling entry function '%s' for '%s'\n"
          "ptxas info    : Function properties for %s\n"
          "    %s bytes stack frame, %s bytes spill stores, 0 bytes spill loads\n"
          "ptxas info    : Used 40 registers, used 1 barriers" %
          (name, arch[6:], name, os.environ.get("SPILLS", 0),
           os.environ.get("SPILLS", 0)), file=sys.stderr)
