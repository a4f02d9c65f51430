"""Checks that archives need no symbol that docs/abi.md does not name.

usage: check_symbols.py ABI.md ARCHIVE...
"""
import re
import subprocess
import sys

text = open(sys.argv[1], encoding="utf-8").read()
section = text.split("## What the code needs", 1)[1].split("\n## ", 1)[0]
allowed = set()
for line in section.split("\n"):
    cells = [cell.strip() for cell in line.split("|")]
    if len(cells) == 4 and cells[1].startswith("lib"):
        names = re.findall(r"`([^`]+)`", cells[2])
        allowed.update(names)
        if cells[1] == "libm":
            allowed.update(name + "f" for name in names)
assert "moe_rt_default" in allowed and "expf" in allowed, section

failed = False
for archive in sys.argv[2:]:
    nm = lambda flag: set(subprocess.run(
        ["llvm-nm", flag, "--no-sort", "--just-symbol-name", archive],
        check=True, capture_output=True, text=True).stdout.split("\n"))
    # The dispatcher calls the variants, which are beside it.
    needed = {name for name in nm("--undefined-only")
              if name and not name.endswith(":")} - nm("--defined-only")
    assert needed, archive + " needs nothing at all"
    for name in sorted(needed - allowed):
        print("%s needs %s" % (archive, name))
        failed = True
sys.exit(failed)
