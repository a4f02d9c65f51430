"""Lets each call of the driver fail in turn, and says what the program says.

usage: fail.py folder-of-the-driver program [how its errors begin]
"""
import os
import re
import subprocess
import sys

ERROR = sys.argv[3] if len(sys.argv) > 3 else "CUDA_ERROR"

for number in range(1, 1000):
    environment = dict(os.environ, LD_LIBRARY_PATH=sys.argv[1],
                       FAIL_AT=str(number))
    run = subprocess.run([sys.argv[2], "0", "13"], capture_output=True,
                         text=True, env=environment)
    failing = re.search(r"(\w+) fails", run.stdout)
    if run.returncode not in (0, 1):
        sys.exit("call %d: the program ends with %d" % (number, run.returncode))
    if not failing:
        print("every call failed once")
        break
    said = [line.strip() for line in run.stdout.splitlines()
            if ERROR in line or line == "device failure"]
    if "\nok\n" in run.stdout[:failing.start()] and not said:
        continue  # While closing, which tells nobody.
    if not any(ERROR in line for line in said):
        sys.exit("call %d, %s: nobody is told:\n%s" %
                 (number, failing.group(1), run.stdout))
    print("%s: %s" % (failing.group(1), ": ".join(reversed(said))))
