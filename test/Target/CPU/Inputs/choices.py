"""What is chosen for the chips that are known by name, one line each.

usage: choices.py F32_LAYER BF16_LAYER FOLDER

Every chip is printed as a file and read back: both ways lead to the same IR.
"""
import json
import os
import re
import subprocess
import sys

f32, bf16, folder = sys.argv[1:]
failed = False


def compile_with(*arguments):
    result = subprocess.run(["moe-compile"] + list(arguments),
                            capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit("moe-compile %s: %s" % (" ".join(arguments), result.stderr))
    return result.stdout


def plan(layer, option):
    return compile_with(layer, option, "--compile-to=planned", "-o", "-")


def inner_of(ir):
    """How the experts multiply; the router's weights are f32 in every layer."""
    return ", ".join(sorted(set(re.findall(
        r"moek\.grouped_matmul.*?schedule\(#moe_cpu\.schedule<(\w+)", ir, re.S))))


for line in compile_with("--list-targets").splitlines():
    name = line.split()[0]
    path = os.path.join(folder, name + ".json")
    compile_with("--print-target", "--target=" + name, "-o", path)
    with open(path) as chip:
        if json.load(chip)["target"] != "cpu":
            continue
    chosen = []
    for kind, layer in (("f32", f32), ("bf16", bf16)):
        ir = plan(layer, "--target=" + name)
        if ir != plan(layer, "--target-description=" + path):
            print("%s: %s is another chip" % (name, path))
            failed = True
        chosen.append("%s %s" % (kind, inner_of(ir)))
    print("%s: %s" % (name, ", ".join(chosen)))
sys.exit(failed)
