"""Layers whose weights are in formats, on a Vulkan device, against the interpreter.

usage: formats.py FOLDER LIBRARY TOKENS[,MORE...] [OPTION of moe-compile]...

One function has an expert body for every two formats: gate and up of the one, down of
the other. Another has plain gate and up, and rows of 40 in and out. LIBRARY is
libmoe_rt.so. Weights are made up; x and scores come from a seed. The first rows of
more tokens have to be those of fewer, bit for bit.
"""
import array
import ctypes
import json
import os
import random
import struct
import subprocess
import sys

FORMATS = ["f16", "fp8", "fp8<rows = 1, columns = 0>", "fp8<exponents = true>",
           "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k",
           "iq4_nl", "iq4_xs", "mxfp4", "mxfp4_blocks", "nvfp4", "tq1_0", "tq2_0",
           "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s", "int8",
           "int4<group = 64, scales = f16>",
           "int4<group = 128, scales = bf16, zeros = true>",
           "int4<group = 32, scales = bf16, order = pack_quantized>",
           "int4<group = 64, scales = f32, zeros = true>",
           "int4<group = 64, scales = f16, zeros = true, order = pack_quantized>",
           "int4<group = 128, scales = f16, zeros = true, order = awq>",
           "int4<group = 128, scales = f16, zeros = true, order = gptq>",
           "int4<group = 64, scales = f16, zeros = true, order = gptq_v2>",
           "int4<group = 64, scales = f16, zeros = true, order = hqq>"]
EXPERTS, SLOTS = 3, 2
LARGEST_ERROR = 1e-6


def layer(name, hidden, inner, pairs):
    """A function of x, scores and three matrices for each pair of formats."""
    x, scores = f"tensor<?x{hidden}xf32>", f"tensor<?x{EXPERTS}xf32>"
    arguments = [f'%x: {x} {{moe.name = "x", moe.dims = ["T"]}}',
                 f'%s: {scores} {{moe.name = "s", moe.dims = ["T"]}}']
    results, lines, returned = [], [], []
    up, down = f"{inner}x{hidden}xf32", f"{hidden}x{inner}xf32"
    for i, (first, second) in enumerate(pairs):
        for key, matrix, own in ("g", up, first), ("u", up, first), ("d", down, second):
            said = f", moe.format = #moe.{own}" if own else ""
            arguments.append(f'%{key}{i}: tensor<{EXPERTS}x{matrix}> '
                             f'{{moe.name = "{name}.{key}{i}"{said}}}')
        results.append(f'{x} {{moe.name = "y{i}", moe.dims = ["T"]}}')
        returned.append(f"%y{i}")
        lines.append(f"""
  %e{i} = moe.expert %rows by %r : ({x}, !moe.routing<{EXPERTS} x {SLOTS}>) -> {x}
  experts 0 to {EXPERTS} weights(%g{i}, %u{i}, %d{i} : tensor<{EXPERTS}x{up}>, tensor<{EXPERTS}x{up}>, tensor<{EXPERTS}x{down}>) {{
  ^bb0(%t: {x}, %g: tensor<{up}>, %u: tensor<{up}>, %d: tensor<{down}>):
    %f = moe.ffn %t gate(%g) up(%u) down(%d) activation(#moe.silu) : ({x}, tensor<{up}>, tensor<{up}>, tensor<{down}>) -> {x}
    moe.yield %f : {x}
  }}
  %y{i} = moe.combine %e{i} by %r : {x}, !moe.routing<{EXPERTS} x {SLOTS}> -> {x}""")
    return f"""func.func @{name}({", ".join(arguments)}) -> ({", ".join(results)}) {{
  %r = moe.router #moe.top_k<{SLOTS}> select(%s) weigh(%s) weighing [#moe.softmax] : {scores} -> !moe.routing<{EXPERTS} x {SLOTS}>
  %rows = moe.dispatch %x by %r : {x}, !moe.routing<{EXPERTS} x {SLOTS}> -> {x}{"".join(lines)}
  return {", ".join(returned)} : {", ".join([x] * len(pairs))}
}}
"""


def write(path, tensors):
    header, data = {}, b""
    for name, (shape, values) in tensors.items():
        header[name] = {"dtype": "F32", "shape": shape,
                        "data_offsets": [len(data), len(data) + 4 * len(values)]}
        data += values.tobytes()
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def read(path):
    with open(path, "rb") as file:
        data = file.read()
    size = struct.unpack("<Q", data[:8])[0]
    return {name: (entry["shape"], data[8 + size + entry["data_offsets"][0]:
                                        8 + size + entry["data_offsets"][1]])
            for name, entry in json.loads(data[8:8 + size]).items() if name != "__metadata__"}


def run(*command):
    subprocess.run(command, check=True)


class Device:
    def __init__(self, library):
        self.rt = ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
        for name in "rt", "allocate":
            getattr(self.rt, "moe_vulkan_" + name).restype = ctypes.c_void_p
        self.rt.moe_vulkan_error.restype = ctypes.c_char_p
        self.device, message = ctypes.c_void_p(), ctypes.create_string_buffer(256)
        if self.rt.moe_vulkan_open(0, ctypes.byref(self.device), message, 256):
            sys.exit(message.value.decode())

    def check(self, failed):
        if failed:
            sys.exit(self.rt.moe_vulkan_error(self.device).decode())

    def upload(self, data):
        size = ctypes.c_size_t(len(data))
        address = ctypes.c_void_p(self.rt.moe_vulkan_allocate(self.device, size))
        self.check(not address)
        self.check(self.rt.moe_vulkan_copy_to(self.device, address, data, size))
        return address

    def download(self, address, size):
        data = ctypes.create_string_buffer(size)
        self.check(self.rt.moe_vulkan_copy_from(self.device, data, address, ctypes.c_size_t(size)))
        return data.raw

    def call(self, library, name, tokens, arguments):
        """Of addresses; the workspace comes last."""
        measure = getattr(library, name + "_workspace_bytes")
        measure.restype = ctypes.c_size_t
        size = ctypes.c_size_t(measure(ctypes.c_int64(tokens)))
        rt = ctypes.c_void_p(self.rt.moe_vulkan_rt(self.device))
        self.check(getattr(library, name)(rt, ctypes.c_int64(tokens), *arguments,
                                          self.upload(bytes(size.value)), size))


folder, library, counts, *options = sys.argv[1:]
os.chdir(folder)
pairs = list(zip(FORMATS[::2], FORMATS[1::2]))
with open("model.mlir", "w", encoding="utf-8") as file:
    file.write(layer("formats", 256, 256, pairs) + layer("rest", 40, 96, [("", "q4_0")]))
run("moe-opt", "--moe-store-weights", "model.mlir", "-o", "stored.mlir")
run("moe-compile", "--target=vulkan", "stored.mlir", *options, "-o", "layers")
run("moe-pack", "layers.json", "--random=1", "-o", "weights.safetensors")
with open("layers.json", encoding="utf-8") as file:
    functions = json.load(file)["functions"]
device, layers, packed = Device(library), ctypes.CDLL("./layers.so"), read("weights.safetensors")
numbers, bad = random.Random(7), 0
for function in functions:
    name, made, firsts = function["name"], {}, {}
    for tokens in map(int, counts.split(",")):
        inputs = {}
        for argument in function["arguments"]:
            if "packed" in argument:
                continue
            shape = [tokens, argument["shape"][1]]
            values = made.setdefault(argument["name"], array.array("f"))
            values.extend(numbers.gauss(0, 1) for _ in range(shape[0] * shape[1] - len(values)))
            inputs[argument["name"]] = shape, values
        write("inputs.safetensors", inputs)
        run("moe-interpret", "stored.mlir", f"--entry={name}", "--random=1", f"--tokens={tokens}",
            "--inputs=inputs.safetensors", "-o", "expected.safetensors")
        arguments = [device.upload(inputs[a["name"]][1].tobytes() if a["name"] in inputs
                                   else packed[f'{name}/{a["name"]}'][1])
                     for a in function["arguments"]]
        columns = function["results"][0]["shape"][1]
        results = [device.upload(b"\xff" * (4 * tokens * columns)) for _ in function["results"]]
        device.call(layers, name, tokens, arguments + results)
        for i, (said, address) in enumerate(zip(function["results"], results)):
            y = array.array("f", device.download(address, 4 * tokens * columns))
            expected = array.array("d", read("expected.safetensors")[said["name"]][1])
            largest = max(map(abs, expected))
            error = max(abs(a - b) if a == a else float("inf") for a, b in zip(y, expected)) / largest
            # Tiles of few rows and of many add up in one order.
            first = firsts.setdefault(said["name"], y)
            same = y[:len(first)] == first
            label = " and ".join(pairs[i]) if name == "formats" else "q4_0, 40 columns"
            ok = error < LARGEST_ERROR and same and 0.01 < largest < 1000
            print(f"{tokens} tokens, {label}: "
                  + ("ok" if ok else f"WRONG, error {error:.2g} of {largest:.2g}, same bits {same}"))
            bad += not ok
sys.exit(bad != 0)
