"""Checks all pages of the repository: relative links lead to files, and pages
with commands are named in a test that runs them.

usage: check_pages.py REPO
"""
import os
import re
import subprocess
import sys

root = sys.argv[1]
pages = []
for folder, folders, files in os.walk(root):
    folders[:] = [f for f in folders
                  if not f.startswith((".", "build", "install"))]
    pages += [os.path.join(folder, f) for f in files if f.endswith(".md")]

tests = ""
for folder, _, files in os.walk(os.path.join(root, "test")):
    for name in files:
        if name.endswith(".test"):
            with open(os.path.join(folder, name)) as test:
                tests += test.read()

failures = []
for page in sorted(pages):
    name = os.path.relpath(page, root)
    with open(page) as file:
        text = file.read()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target) or target.startswith("#"):
            continue
        path = os.path.join(os.path.dirname(page), target.split("#")[0])
        if not os.path.exists(path):
            failures.append("%s: link to %s leads nowhere" % (name, target))
    runs = re.search(r"(?<!-->\n)^```sh$", text, re.M)
    if runs and "%moe_src/" + name not in tests:
        failures.append("%s: no test runs its commands; add it to "
                        "test/Docs/pages.test" % name)
print("\n".join(failures) or "%d pages are fine" % len(pages))
sys.exit(bool(failures))
