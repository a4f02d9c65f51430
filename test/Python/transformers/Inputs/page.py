"""Runs the Python code of a page, with a tiny model in the folder olmoe.

usage: page.py PAGE      in an empty folder
"""

import os
import re
import sys

import models

models.model("olmoe", intermediate_size=64).save_pretrained("olmoe")
blocks = re.findall(r"^```python\n(.*?)^```", open(sys.argv[1]).read(), re.M | re.S)
assert len(blocks) >= 5, len(blocks)
namespace = {}
for block in blocks:
    exec(compile(block, sys.argv[1], "exec"), namespace)
for name in ("routing.html", "profile.json", "routings.safetensors", "packed"):
    assert os.path.exists(name), name
print(f"{len(blocks)} blocks ran")
