"""Lets each call of the driver fail in turn while moe-run calls a layer.

usage: fail_run.py folder-of-the-driver artifact.so
"""
import os
import re
import subprocess
import sys

for number in range(1, 1000):
    environment = dict(os.environ, LD_LIBRARY_PATH=sys.argv[1], STREAM="0", FAIL_AT=str(number))
    run = subprocess.run(["moe-run", sys.argv[2], "--random=1", "--tokens=3"], capture_output=True, text=True,
                         env=environment)
    failing = re.search(r"(\w+) fails", run.stdout)
    if not failing:
        break
    said = [line for line in run.stderr.splitlines() if "error: " in line]
    if run.returncode == 0:
        # While releasing, which tells nobody.
        if not said and "y: f32" in run.stdout[:failing.start()]:
            continue
        sys.exit("call %d, %s: nobody is told:\n%s" % (number, failing.group(1), run.stdout))
    if run.returncode != 1 or len(said) != 1:
        sys.exit("call %d, %s: ends with %d:\n%s" % (number, failing.group(1), run.returncode, run.stderr))
    print("%s: %s" % (failing.group(1), said[0].split("error: ", 1)[1]))
print("every call failed once")
