"""Imports, compiles, runs and verifies a layer in each format of weights.

usage: run_formats.py CONFIG FOLDER TOKENS [--formats=A;B] [--rows=f16] [OPTION of moe-run]...

--rows is the type of tokens, going in and coming out, and of all that experts get.
"""
import re
import subprocess
import sys

ALL = ["f16", "fp8", "fp8<rows = 1, columns = 0>", "q4_0", "q4_1", "q5_0", "q5_1",
       "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl", "iq4_xs",
       "mxfp4", "mxfp4_blocks", "nvfp4", "tq1_0", "tq2_0", "iq2_xxs", "iq2_xs", "iq2_s",
       "iq3_xxs", "iq3_s", "fp8<exponents = true>",
       "sparse24<bf16>", "sparse24<f16>", "sparse24<f32>",
       "sparse_blocks<values = bf16, kept = 2>", "sparse_blocks<values = f32, kept = 3, columns = 16>",
       "int8", "int4<group = 64, scales = f16>",
       "int4<group = 128, scales = bf16, zeros = true>",
       "int4<group = 32, scales = bf16, order = pack_quantized>"]
ALL += ["int4<group = %s, scales = f16, zeros = true, order = %s>" % pair for pair in
        [(64, "pack_quantized"), (128, "awq"), (128, "gptq"), (64, "gptq_v2"), (64, "hqq")]]



def with_rows(text, element):
    """The model with such tokens; its router widens them."""
    plain = re.search(r"%x: (tensor<\?x\d+x)f32>", text)[1]
    lines = []
    for line in text.splitlines():
        if "linalg.matmul" in line:
            lines.append(f"    %wide = arith.extf %x : {plain}{element}> to {plain}f32>")
            line = line.replace("ins(%x,", "ins(%wide,")
        else:
            line = line.replace(f"{plain}f32>", f"{plain}{element}>")
        lines.append(line)
    return "\n".join(lines)


config, folder, tokens, *options = sys.argv[1:]
formats = ALL
if options and options[0].startswith("--formats="):
    formats = options.pop(0).split("=", 1)[1].split(";")

rows = "f32"
if options and options[0].startswith("--rows="):
    rows = options.pop(0).split("=", 1)[1]

passed = 0
for name in formats:
    model = f"{folder}/model.mlir"
    subprocess.run(["moe-import", f"--weights-type={name}", config, "-o", model],
                   check=True)
    if rows != "f32":
        with open(model) as file:
            text = with_rows(file.read(), rows)
        with open(model, "w") as file:
            file.write(text)
    result = subprocess.run(
        ["moe-run", model, "--random=1", f"--tokens={tokens}", "--verify"] + options,
        capture_output=True, text=True)
    line = re.search(r"^verify y: .*$", result.stdout, re.M)
    print(f"{name}: {line[0] if line else result.stderr}")
    passed += result.returncode == 0 and bool(line) and line[0].endswith("PASS")
print(f"{passed} of {len(formats)} formats passed")
sys.exit(passed != len(formats))
