"""Compiling a layer for GPUs and comparing its kernels with the model, for the
tests of this folder.

The bound: x, what a product makes and a row of an expert are rounded to bf16, by
at most 2^-9 of a value, which is 2^-9 / sqrt(3) in the root mean square. Of a
result five such roundings are parts (x in two products, the product's result, a
row; one more for what activations amplify), independent and alike in size:
sqrt(5) * 2^-9 / sqrt(3) = 0.0025 of its row. The largest of some ten thousand
elements is within six times that. Twice it is allowed; a wrong element is off by
the size of the row, thirty times more."""
import json
import struct
import subprocess

BOUND = 12 * 0.0025
CHIPS = ("sm_80", "sm_90a", "gfx942", "gfx950")


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


def compile_for(chip, layer, kernels):
    must("moe-compile", layer, "--target=" + chip, "--compile-to=vector", "-o",
         kernels)


class Failures:
    """What went wrong, one line each; the test fails at its end."""

    def __init__(self):
        self.lines, self.runs = [], 0

    def compare(self, what, kernels, expected, *options, bound=BOUND):
        status, text = run("moe-interpret", "--gpu", kernels,
                           "--expect=" + expected, "--tolerance=%g" % bound,
                           *options)
        self.runs += 1
        if status or " ok" not in text:
            self.lines.append(what + ": " + text[:1000])

    def finish(self):
        print("%d runs, %d failures" % (self.runs, len(self.lines)))
        if self.lines:
            raise SystemExit("\n".join(self.lines))
