# Every configuration in examples/models imports, all layers, into valid IR that
# survives a round trip, and there is nothing to say about them.
#
# RUN: %python %s %examples/models

import glob
import os
import subprocess
import sys

files = sorted(glob.glob(os.path.join(sys.argv[1], "*.json")))
assert len(files) >= 20, files
for path in files:
    for options in (["--layers=all", "--weights-type=bf16"], ["--tokens=7"]):
        done = subprocess.run(["moe-import", *options, path], check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        module = done.stdout
        assert done.stderr == b"", (path, done.stderr)
        assert module.count(b"func.func") >= 1, path
        subprocess.run(["moe-opt", "--verify-roundtrip", "-o", os.devnull],
                       input=module, check=True)
