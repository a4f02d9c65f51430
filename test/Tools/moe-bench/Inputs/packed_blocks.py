"""What blocks.py makes of packed weights, against the interpreter of the model.

usage: packed_blocks.py BENCHMARKS FOLDER
"""
import json
import os
import struct
import subprocess
import sys

import numpy as np

benchmarks, folder = sys.argv[1:]
sys.path.insert(0, benchmarks)
import blocks

os.makedirs(folder, exist_ok=True)
os.chdir(folder)
EXPERTS, HIDDEN, INNER = 2, 256, 256
TYPES = {"F32": np.float32, "F64": np.float64, "U8": np.uint8, "I8": np.uint8}


def read(path):
    with open(path, "rb") as file:
        data = file.read()
    size = struct.unpack("<Q", data[:8])[0]
    return {name: np.frombuffer(data[8 + size + entry["data_offsets"][0]:8 + size + entry["data_offsets"][1]],
                                TYPES[entry["dtype"]]).reshape(entry["shape"])
            for name, entry in json.loads(data[8:8 + size]).items() if name != "__metadata__"}


def write_layer(path, said):
    """Experts whose weights are in a format."""
    x, scores, routing = f"tensor<?x{HIDDEN}xf32>", f"tensor<?x{EXPERTS}xf32>", f"!moe.routing<{EXPERTS} x 1>"
    up, down = f"{INNER}x{HIDDEN}xf32", f"{HIDDEN}x{INNER}xf32"
    weights = ", ".join(f'%{key}: tensor<{EXPERTS}x{matrix}> {{moe.name = "{key}", moe.format = #moe.{said}}}'
                        for key, matrix in (("gate", up), ("up", up), ("down", down)))
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"""func.func @layer(%x: {x} {{moe.name = "x", moe.dims = ["T"]}},
    %s: {scores} {{moe.name = "s", moe.dims = ["T"]}}, {weights}) -> ({x} {{moe.name = "y", moe.dims = ["T"]}}) {{
  %r = moe.router #moe.top_k<1> select(%s) weigh(%s) weighing [#moe.softmax] : {scores} -> {routing}
  %rows = moe.dispatch %x by %r : {x}, {routing} -> {x}
  %e = moe.expert %rows by %r : ({x}, {routing}) -> {x}
  experts 0 to {EXPERTS} weights(%gate, %up, %down : tensor<{EXPERTS}x{up}>, tensor<{EXPERTS}x{up}>, tensor<{EXPERTS}x{down}>) {{
  ^bb0(%t: {x}, %g: tensor<{up}>, %u: tensor<{up}>, %d: tensor<{down}>):
    %f = moe.ffn %t gate(%g) up(%u) down(%d) activation(#moe.silu) : ({x}, tensor<{up}>, tensor<{up}>, tensor<{down}>) -> {x}
    moe.yield %f : {x}
  }}
  %y = moe.combine %e by %r : {x}, {routing} -> {x}
  return %y : {x}
}}
""")


def write_values(path, said, sources):
    """A function of what weights are stored in, that returns them."""
    arguments, lines, results = [], [], []
    for source in sources:
        names, types = [], []
        for tensor in source["storage"]:
            names.append(f"%a{len(arguments)}")
            types.append(f"tensor<{'x'.join(map(str, tensor['shape']))}x{tensor['dtype']}>")
            arguments.append(f'{names[-1]}: {types[-1]} {{moe.name = "{tensor["name"]}"}}')
        results.append(f"tensor<{'x'.join(map(str, source['shape']))}xf32>")
        lines.append(f"  %v{len(lines)} = moe.dequantize #moe.{said} ({', '.join(names)} : {', '.join(types)}) : {results[-1]}")
    named = ", ".join(f'{t} {{moe.name = "{s["name"]}"}}' for t, s in zip(results, sources))
    values = ", ".join(f"%v{i}" for i in range(len(lines)))
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"func.func @values({', '.join(arguments)}) -> ({named}) {{\n" + "\n".join(lines) +
                   f"\n  return {values} : {', '.join(results)}\n}}\n")


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


for name in blocks.FORMATS:
    said = {"int4": "int4<group = 128, scales = bf16>"}.get(name, name)
    write_layer("layer.mlir", said)
    run("moe-opt", "--moe-store-weights", "layer.mlir", "-o", "stored.mlir")
    run("moe-compile", "--target=sm_90a", "stored.mlir", "-o", "layer")
    run("moe-pack", "layer.json", "--random=5", "-o", "packed.safetensors")
    with open("layer.json", encoding="utf-8") as file:
        arguments = [a for a in json.load(file)["functions"][0]["arguments"] if "packed" in a]
    sources = [source for argument in arguments for source in argument["packed"]["sources"]]
    write_values("values.mlir", said, sources)
    run("moe-interpret", "values.mlir", "--random=5", "-o", "values.safetensors")
    wanted, data, checked = read("values.safetensors"), read("packed.safetensors"), 0
    for argument in arguments:
        packed = blocks.Packed.of(argument["packed"])
        own = data[argument["name"]].reshape(packed.experts, -1)
        for expert in range(packed.experts):
            found = packed.decode(np, name, own[expert].astype(np.float64))
            wants = np.concatenate([wanted[source["name"]][expert] for source in argument["packed"]["sources"]])
            # f32 rounds them once.
            assert np.abs(found - wants).max() <= 1e-6 * np.abs(wants).max(), (name, argument["name"], expert)
            checked += found.size
    print(f"{name}: {checked} right")
