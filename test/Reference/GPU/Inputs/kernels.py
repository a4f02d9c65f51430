"""Compiling a layer for GPUs and comparing its kernels with the model, for the
tests of this folder.

The bound: x, what a product makes and a row of an expert are rounded to bf16, by
at most 2^-9 of a value, which is 2^-9 / sqrt(3) in the root mean square. Of a
result five such roundings are parts (x in two products, the product's result, a
row; one more for what activations amplify), independent and alike in size:
sqrt(5) * 2^-9 / sqrt(3) = 0.0025 of its row. The largest of some ten thousand
elements is within six times that. Twice it is allowed; a wrong element is off by
the size of the row, thirty times more.

Of weights in a format there are three more: those of each matrix, where they are not
multiplied as the integers they are.

Rows of E4M3 are rounded by at most 2^-4 of a value, 2^-4 / sqrt(3) in the root mean square and
less in that of all, as steps double: three such roundings are parts of a result (x in two
products, the product's result): sqrt(3) * 2^-4 / sqrt(3) = 0.0625 of its row, and six times that
is the largest.

On Vulkan rows are not rounded, but where they are f16 or bf16 in the model. What is left are
sums of f32 in other orders, and `int4` with scales of f32 and zeros, whose product with a code is
rounded before the sum: 1e-4 is a hundred times what they come to.

A test that is given `vulkan` last is for Vulkan's kernels, with a subgroup of each width."""
import json
import os
import shutil
import struct
import subprocess
import sys

BOUND, F32_BOUND = 12 * 0.0025, 1e-4
FORMAT_BOUND = BOUND * (8 / 5) ** 0.5
E4M3_BOUND = 6 * 0.0625
CHIPS = ("sm_80", "sm_90a", "gfx942", "gfx950")
WIDTHS = (4, 8, 16, 32, 64)
IS_VULKAN = sys.argv[-1] == "vulkan"
if IS_VULKAN:
    sys.argv.pop()
    CHIPS = tuple("vulkan-%d" % width for width in WIDTHS)


def run(*command):
    """Runs a tool; returns its exit status and all it wrote."""
    result = subprocess.run(command, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)
    return result.returncode, result.stdout


def must(*command):
    status, text = run(*command)
    if status:
        raise SystemExit("failed: %s\n%s" % (" ".join(command), text[:2000]))
    return text


def write_tensors(path, tensors):
    """Writes {name: (dtype, shape, list of numbers)} as .safetensors."""
    header, data = {}, b""
    for name, (dtype, shape, values) in tensors.items():
        own = struct.pack("<%d%s" % (len(values), "i" if dtype == "I32" else "f"),
                          *values)
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [len(data), len(data) + len(own)]}
        data += own
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def take_turns(chips, turn):
    """All chips, but of the widths of Vulkan one after another: what a kernel computes does
    not depend on them."""
    return [chips[turn % len(chips)]] if IS_VULKAN else chips


def get_width(chip):
    """The options that say how wide the subgroups of `vulkan-N` are."""
    return ["--subgroup=" + chip.split("-")[1]] if "-" in chip else []


# What was compiled last for Vulkan, for all widths: the layer as it was, and where.
compiled = None


def compile_for(chip, layer, kernels, *options):
    global compiled
    target = chip.split("-")[0]
    key = layer, os.stat(layer).st_mtime_ns
    if target == "vulkan" and compiled and compiled[0] == key:
        shutil.copy(compiled[1], kernels)
        return
    must("moe-compile", layer, "--target=" + target, "--compile-to=vector", "-o",
         kernels, *options)
    if target == "vulkan":
        compiled = key, kernels


class Failures:
    """What went wrong, one line each; the test fails at its end."""

    def __init__(self):
        self.lines, self.runs = [], 0

    def compare(self, what, chip, kernels, expected, *options, bound=BOUND):
        bound = F32_BOUND if IS_VULKAN else bound
        status, text = run("moe-interpret", "--gpu", kernels,
                           "--expect=" + expected, "--tolerance=%g" % bound,
                           *get_width(chip), *options)
        self.runs += 1
        if status or " ok" not in text:
            self.lines.append(what + ": " + text[:1000])

    def finish(self):
        print("%d runs, %d failures" % (self.runs, len(self.lines)))
        if self.lines:
            raise SystemExit("\n".join(self.lines))
