"""Compares the table of chips in a page with what moe-compile prints.

usage: check_chips.py page.md
"""
import json
import re
import subprocess
import sys


def run(*command):
    return subprocess.run(command, capture_output=True, text=True,
                          check=True).stdout


with open(sys.argv[1]) as page:
    lines = [re.split(r" *\| *", line.strip())[1:-1] for line in page
             if line.startswith("|")]
begin = next(i for i, cells in enumerate(lines) if cells[0] == "chip")
keys = [cell.strip("`") for cell in lines[begin][1:]]
rows = {cells[0].strip("`"): cells[1:] for cells in lines[begin + 2:]
        if len(cells) == len(keys) + 1}
problems, compared = [], 0
names = [line.split()[0] for line in
         run("moe-compile", "--list-targets").splitlines()]
for name in names:
    chip = json.loads(run("moe-compile", "--print-target", "--target=" + name))
    if not chip.get("models"):
        continue
    compared += 1
    said = rows.pop(name, None)
    known = [str(chip.get(key, chip["rates"].get(key, ""))) for key in keys]
    if said != known:
        problems.append("%s: the page says %s, known is %s" %
                        (name, said, known))
problems += ["%s is no chip" % name for name in rows]
print("\n".join(problems) or
      "%d chips are as the page says" % compared)
sys.exit(bool(problems))
