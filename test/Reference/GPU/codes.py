# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s %t
"""All codes and all scales of formats of small floats on NVIDIA's GPUs, which make
bf16 of them by their bits: numbers below the normal ones, both zeros, what is no
number, and scales whose products leave f32. Token t gives the values of column t of
an expert's down, one by one: gate and up hand on what is 1 in x, and every product
is a number of bf16, so that results are exact. Values are computed here, from the
definitions of OCP's formats. As few rows as are taken without lists, and as many as
are not."""
import json
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "Inputs"))
from kernels import compile_for, must

folder, = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
EXPERTS, OWN, N, K = 256, 3, 256, 64
NAN, INF = float("nan"), float("inf")
E2M1 = [0, .5, 1, 1.5, 2, 3, 4, 6]
E2M1 += [-value for value in E2M1]


def e4m3(code):
    sign, exponent, mantissa = code >> 7, code >> 3 & 15, code & 7
    if code & 127 == 127:
        return NAN
    value = (mantissa / 8 * 2.0 ** -6 if exponent == 0
             else (1 + mantissa / 8) * 2.0 ** (exponent - 7))
    return -value if sign else value


def e8m0(code):
    return NAN if code == 255 else 2.0 ** (code - 127)


# Of each format: the tensors of an expert's down as (name, type, bytes), and a
# function that gives the value of row n and column k.
def make_fp8(has_exponents):
    codes = [(16 * n + k if k < 16 else 64 + 8 * k + n) & 255
             for n in range(N) for k in range(K)]
    # What is no number makes none of its whole row: it stands in few.
    codes = [code if code & 127 != 127 or n < 32 else 126
             for code, n in zip(codes, (i // K for i in range(N * K)))]
    scales = [100 + n // 128 * 30 for n in range(0, N, 128)]
    stored = (("scales", "U8", bytes(scales)) if has_exponents else
              ("scales", "F32", struct.pack("<2f", *[1.5 * e8m0(s) for s in scales])))
    return ([("values", "F8_E4M3", bytes(codes)), stored],
            lambda n, k: e4m3(codes[n * K + k]) * e8m0(scales[n // 128]) *
            (1 if has_exponents else 1.5))


def pack_nibbles(codes, order):
    """Bytes of blocks, of which byte j has codes order(j) in its low and high bits."""
    return bytes(codes[low] | codes[high] << 4 for low, high in map(order, range(len(codes) // 2)))


def make_mxfp4(is_gguf):
    codes = [(n + 5 * k) % 16 for n in range(N) for k in range(K)]
    scales = [n if b == 0 else (255 - n) % 255 for n in range(N) for b in range(2)]
    order = (lambda j: (j, j + 16)) if is_gguf else (lambda j: (2 * j, 2 * j + 1))
    blocks = [pack_nibbles(codes[32 * b:32 * b + 32], order) for b in range(N * 2)]
    stored = ([("blocks", "U8", b"".join(bytes([s]) + b for s, b in zip(scales, blocks)))]
              if is_gguf else [("blocks", "U8", b"".join(blocks)), ("scales", "U8", bytes(scales))])
    return stored, lambda n, k: E2M1[codes[n * K + k]] * e8m0(scales[n * 2 + k // 32])


def make_nvfp4():
    codes = [(n + 5 * k) % 16 for n in range(N) for k in range(K)]
    # The sign of a scale does not count; what is no number is one of its row.
    scales = [(n if s == 0 else (n * 7 + 64 * s) % 127) & 255
              for n in range(N) for s in range(4)]
    blocks = b""
    for n in range(N):
        blocks += bytes(scales[4 * n:4 * n + 4])
        for s in range(4):
            own = codes[n * K + 16 * s:n * K + 16 * s + 16]
            blocks += pack_nibbles(own, lambda j: (j, j + 8))
    return ([("blocks", "U8", blocks)],
            lambda n, k: E2M1[codes[n * K + k]] * e4m3(scales[4 * n + k // 16] & 127))


FORMATS = {"fp8": make_fp8(False), "fp8<exponents = true>": make_fp8(True),
           "mxfp4": make_mxfp4(False), "mxfp4_blocks": make_mxfp4(True),
           "nvfp4": make_nvfp4()}


def to_f32(value):
    try:
        return struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return INF if value > 0 else -INF


def make_layer(form):
    x, up, down = f"tensor<?x{N}xf32>", f"{K}x{N}xf32", f"{N}x{K}xf32"
    routing = f"!moe.routing<{EXPERTS} x 1>"
    return f"""func.func @layer(%x: {x} {{moe.name = "x", moe.dims = ["T"]}},
    %i: tensor<?x1xi32> {{moe.name = "routing.indices", moe.dims = ["T"]}},
    %p: tensor<?x1xf32> {{moe.name = "routing.weights", moe.dims = ["T"]}},
    %up: tensor<{EXPERTS}x{up}> {{moe.name = "up", moe.format = #moe.fp8}},
    %down: tensor<{EXPERTS}x{down}> {{moe.name = "down", moe.format = #moe.{form}}})
    -> ({x} {{moe.name = "y", moe.dims = ["T"]}}) {{
  %r = moe.routing.make %i, %p : tensor<?x1xi32>, tensor<?x1xf32> -> {routing}
  %rows = moe.dispatch %x by %r : {x}, {routing} -> {x}
  %e = moe.expert %rows by %r : ({x}, {routing}) -> {x}
  experts 0 to {EXPERTS} weights(%up, %down : tensor<{EXPERTS}x{up}>, tensor<{EXPERTS}x{down}>) {{
  ^bb0(%t: {x}, %u: tensor<{up}>, %d: tensor<{down}>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu)
        : ({x}, tensor<{up}>, tensor<{down}>) -> {x}
    moe.yield %f : {x}
  }}
  %y = moe.combine %e by %r : {x}, {routing} -> {x}
  return %y : {x}
}}
"""


def write(path, tensors):
    header, data = {}, b""
    for name, kind, shape, content in tensors:
        header[name] = {"dtype": kind, "shape": shape,
                        "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def read(path, name):
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        begin, end = json.loads(file.read(size))[name]["data_offsets"]
        data = file.read()[begin:end]
    return struct.unpack(f"<{len(data) // 4}f", data)


def of_expert(content):
    """The same for all experts, of which the others have zeros."""
    return bytes(len(content) * OWN) + content + bytes(len(content) * (EXPERTS - OWN - 1))


def get_shapes(form):
    rows = [-(-N // 128), 1]
    return {"fp8": ([N, 1, K], rows), "mxfp4": ([N, 2, 16], [N, 2]),
            "mxfp4_blocks": ([N, 2, 17],), "nvfp4": ([N, 1, 36],)}[form.split("<")[0]]


wrong = []
for form, (stored, get_value) in FORMATS.items():
    model, kept, inputs, result = [os.path.join(folder, name) for name in (
        "model.mlir", "stored.mlir", "inputs.safetensors", "result.safetensors")]
    with open(model, "w", encoding="utf-8") as file:
        file.write(make_layer(form))
    must("moe-opt", "--moe-store-weights", model, "-o", kept)
    ones = b"".join(bytes(56 if k == j else 0 for k in range(N)) for j in range(K))
    weights = [("up.values", "F8_E4M3", [EXPERTS, K, 2, 128], of_expert(ones)),
               ("up.scales", "F32", [EXPERTS, 1, 2], struct.pack("<2f", 1, 1) * EXPERTS)]
    for (name, kind, content), shape in zip(stored, get_shapes(form)):
        own = "down." + name if len(stored) > 1 else "down"
        weights.append((own, kind, [EXPERTS] + shape, of_expert(content)))
    expected = [[to_f32(get_value(n, k)) for k in range(K)] for n in range(N)]
    no_number = [any(value != value for value in row) for row in expected]
    # A row for every eight experts needs no lists.
    for first, tokens in ((0, K), (0, K // 2), (K // 2, K // 2)):
        xs = b"".join(struct.pack(f"<{N}f", *(float(k == first + t) for k in range(N)))
                      for t in range(tokens))
        write(inputs, weights + [
            ("x", "F32", [tokens, N], xs),
            ("routing.indices", "I32", [tokens, 1], struct.pack("<i", OWN) * tokens),
            ("routing.weights", "F32", [tokens, 1], struct.pack("<f", 1) * tokens)])
        for chip in ("sm_80", "sm_90a"):
            kernels = os.path.join(folder, chip + ".mlir")
            compile_for(chip, kept, kernels)
            must("moe-interpret", "--gpu", kernels, f"--tokens={tokens}",
                 "--inputs=" + inputs, "--order=2", "-o", result)
            got = read(result, "y")
            for t in range(tokens):
                for n in range(N):
                    own, value = got[t * N + n], expected[n][first + t]
                    if own != own if no_number[n] else own == value:
                        continue
                    wrong.append(f"{form}, {chip}, {tokens} tokens: row {n}, "
                                 f"column {first + t}: "
                                 f"{own}, not {value}")
print(f"{len(wrong)} wrong")
if wrong:
    raise SystemExit("\n".join(wrong[:20]))
