"""Runs the commands that pages of the documentation show.

usage: run_commands.py --source=REPO --build=BUILD [--sandbox=DIR] page.md...

Every block that starts with ```sh runs, from top to bottom, in one shell that
stops at the first failure. The shell starts in a folder that looks like a
checkout: what the repository has is linked, `build` is the build folder, and
whatever the commands write stays there. With --sandbox the folder is kept.

A block is skipped when the line before it says so, with a reason:

    <!-- not run: installs packages -->
"""
import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile


def commands(path):
    """Yields (line number, text) of each block to run."""
    with open(path) as page:
        lines = page.read().split("\n")
    start, before = None, ""
    for number, line in enumerate(lines, 1):
        if start is None:
            if line.strip() == "```sh":
                start = number
                skip = re.fullmatch(r"<!-- not run: .+ -->", before)
            if line.strip():
                before = line.strip()
        elif line.strip() == "```":
            if not skip:
                yield start + 1, "\n".join(lines[start:number - 1])
            start = None
    if start is not None:
        sys.exit("%s:%d: block is not closed" % (path, start))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", required=True)
    parser.add_argument("--build", required=True)
    parser.add_argument("--sandbox")
    parser.add_argument("pages", nargs="+")
    args = parser.parse_args()

    script = ["set -euo pipefail"]
    for page in args.pages:
        for line, text in commands(page):
            script.append("echo '# %s:%d'" % (os.path.basename(page), line))
            script.append(text)
    if len(script) == 1:
        print("no commands")
        return 0

    with tempfile.TemporaryDirectory() as temporary:
        sandbox = args.sandbox or temporary
        os.makedirs(sandbox, exist_ok=True)
        for name in os.listdir(args.source):
            # Not what other commands left in the checkout.
            if not name.startswith(("build", "install", ".")):
                os.symlink(os.path.join(args.source, name),
                           os.path.join(sandbox, name))
        os.symlink(args.build, os.path.join(sandbox, "build"))
        # `python3` of a page is the one that the tests have packages for.
        bin_folder = os.path.join(temporary, "bin-of-python")
        os.mkdir(bin_folder)
        os.symlink(sys.executable, os.path.join(bin_folder, "python3"))
        script.insert(0, "export PATH=%s:$PATH" % shlex.quote(bin_folder))
        return subprocess.run(["bash", "-c", "\n".join(script)], cwd=sandbox,
                              stdin=subprocess.DEVNULL).returncode


sys.exit(main())
