"""Runs layers with the kernels of a code generator and verifies them.

usage: halide.py FOLDER TOKENS TYPE[,TYPE] ACTIVATION[,ACTIVATION] OPTION... [--same-bits]

FOLDER has TYPE.mlir with silu. With --same-bits results also have to be those of
this compiler's kernels, to the bit.
"""
import re
import subprocess
import sys

folder, tokens, types, activations, *options = sys.argv[1:]
same = "--same-bits" in options
options = [option for option in options if option != "--same-bits"]
target = next(option for option in options if option.startswith("--target="))
failed = 0


def run(model, output, *more):
    result = subprocess.run(["moe-run", model, "--random=1", "--tokens=" + tokens, "--verify",
                             "-o", output, *more], capture_output=True, text=True)
    line = re.search(r"^verify y: .*PASS$", result.stdout, re.M)
    if result.returncode or not line:
        print(result.stdout + result.stderr)
    return bool(line) and result.returncode == 0


for kind in types.split(","):
    for activation in activations.split(","):
        model = f"{folder}/{activation}.mlir"
        with open(f"{folder}/{kind}.mlir") as file:
            text = file.read()
        assert "#moe.silu" in text
        with open(model, "w") as file:
            file.write(text.replace("#moe.silu", "#moe." + activation))
        passed = run(model, folder + "/made.safetensors", *options)
        if same:
            passed &= run(model, folder + "/own.safetensors", target)
            with open(folder + "/made.safetensors", "rb") as made:
                with open(folder + "/own.safetensors", "rb") as own:
                    passed &= made.read() == own.read()
        print(f"{kind} {activation} {' '.join(options)}: {'PASS' if passed else 'FAIL'}")
        failed += not passed
sys.exit(failed > 0)
