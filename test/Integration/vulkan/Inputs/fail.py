"""Lets each call of the driver fail in turn, and says what the program says.

usage: fail.py folder-of-the-driver program module.spv

For each kind of memory and two errors: whether somebody is told, whether all is
released, and whether a device that is lost stays lost.
"""
import itertools
import os
import re
import subprocess
import sys

OUT_OF_MEMORY, LOST = -2, -4
told = {}
for memory, error in itertools.product(["one", "discrete"], [OUT_OF_MEMORY, LOST]):
    for number in range(1, 1000):
        environment = dict(os.environ, LD_LIBRARY_PATH=sys.argv[1], MEMORY=memory,
                           FAIL_AT=str(number), FAIL_WITH=str(error))
        run = subprocess.run(sys.argv[2:], capture_output=True, text=True, env=environment)
        failing = re.search(r"vk(\w+) fails", run.stdout)
        where = "%s memory, error %d, call %d" % (memory, error, number)
        if run.returncode not in (0, 1):
            sys.exit("%s: the program ends with %d\n%s" % (where, run.returncode, run.stderr))
        if not failing:
            break
        where += ", vk%s:\n%s" % (failing.group(1), run.stdout)
        if "fails" in run.stdout[failing.end():] or "other data" in run.stdout or "in use" in run.stdout:
            sys.exit(where)
        # Without an instance there is nothing to release.
        if "all released" not in run.stdout and failing.group(1) not in ("EnumerateInstanceVersion",
                                                                          "CreateInstance"):
            sys.exit("something is left: " + where)
        said = [line.strip() for line in run.stdout[failing.end():].splitlines() if "(%d)" % error in line]
        if not said:
            # Closing tells nobody, and other memory may do.
            if "closing" in run.stdout[:failing.start()]:
                continue
            sys.exit("nobody is told: " + where)
        # A layer that fails is told of once by the hook.
        later = [line for line in run.stdout[run.stdout.index(said[-1]) + len(said[-1]):].splitlines()
                 if ":" in line and not line.startswith("  ")]
        if error == LOST and any("was lost" not in line for line in later):
            sys.exit("lost, and goes on: " + where)
        if len(said) != 1:
            sys.exit("told more than once: " + where)
        told.setdefault(failing.group(1), set()).add(said[0])
    else:
        sys.exit("calls without end")
for name in sorted(told):
    print("%s: %s" % (name, " | ".join(sorted(told[name]))))
print("every call failed")
