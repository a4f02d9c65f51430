"""Compiles models for Vulkan and lets spirv-val look at their modules.

usage: valid.py EXAMPLES_FOLDER FOLDER MODEL...

The last module stays in FOLDER as module.spv, and its model as layer.mlir.
"""

import os
import struct
import subprocess
import sys

examples, folder = sys.argv[1:3]
at = lambda name: os.path.join(folder, name)
for model in sys.argv[3:]:
    for weights in ("f32", "bf16"):
        config = os.path.join(examples, "models", model + ".json")
        subprocess.run(["moe-import", "--layers=first", f"--weights-type={weights}", config, "-o", at("layer.mlir")],
                       check=True)
        subprocess.run(["moe-compile", "--target=vulkan", "--emit=obj", at("layer.mlir"), "-o", at("layer")], check=True)
        with open(at("layer.o"), "rb") as file:
            data = file.read()
        begin = data.index(b"MOEV")
        size, = struct.unpack("<I", data[begin + 4:begin + 8])
        words = data[begin + 8:begin + 8 + size]
        if len(words) != size or size % 4 or words[:4] != b"\x03\x02\x23\x07":
            sys.exit(f"{model}: no module of {size} bytes at {begin}")
        with open(at("module.spv"), "wb") as file:
            file.write(words)
        subprocess.run(["spirv-val", "--target-env", "vulkan1.2", at("module.spv")], check=True)
        print(f"{model} {weights} is valid")
