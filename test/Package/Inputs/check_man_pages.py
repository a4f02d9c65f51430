"""Checks the man pages: one for each tool, with its purpose, its options and
examples that keep their lines.

usage: check_man_pages.py FOLDER TOOL...
"""
import os
import re
import subprocess
import sys

folder, *tools = sys.argv[1:]
failures = []
for tool in tools:
    with open(os.path.join(folder, tool + ".1")) as file:
        text = file.read()
    helped = subprocess.run([tool, "--help"], capture_output=True,
                            text=True).stdout
    name = re.search(r"^%s \\- (.{20,})$" % re.escape(tool).replace(
        r"\-", r"\\?-"), text, re.M)
    if not name or "manual page" in name.group(1):
        failures.append(tool + ": says nothing of what it is")
    plain = text.replace("\\", "")
    for option in re.findall(r"^  (--?[\w-]+)", helped, re.M):
        if option not in plain:
            failures.append("%s: no %s" % (tool, option))
    example = re.search(r"^  (\S.*)$", helped.partition("\nExamples:\n")[2],
                        re.M).group(1)
    if example not in plain:
        failures.append("%s: no line '%s'" % (tool, example))
print("\n".join(failures) or "man pages are fine")
sys.exit(bool(failures))
