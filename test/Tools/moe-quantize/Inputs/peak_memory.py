"""Runs a command, and checks that it never has more than so many MiB in memory:
peak_memory.py MIB COMMAND..."""

import resource
import subprocess
import sys

result = subprocess.run(sys.argv[2:], stdout=subprocess.DEVNULL)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
if result.returncode != 0 or peak > int(sys.argv[1]):
    sys.exit("status %d, %.0f MiB" % (result.returncode, peak))
