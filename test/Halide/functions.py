"""Every operation of the table of lib/Halide, on edge values, against NumPy.

REQUIRES: halide, x86-64-v3, python-numpy
RUN: %python %s %moe_lib/libmoe_halide.so %moe_src/lib/Halide/Lanes.cpp %cc %t
"""
import ctypes
import itertools
import math
import re
import subprocess
import sys

import numpy as np

LANES = 16
TYPES = {"f32": np.float32, "f16": np.float16, "i1": np.bool_, "i8": np.int8,
         "i16": np.int16, "i32": np.int32, "i64": np.int64}
inf, nan = np.inf, np.nan
FLOATS = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, 1e-3, -1e-3, 1e-30,
                   -1e-30, 10.0, -10.0, 20.0, -20.0, 87.0, -87.0, 88.6, 89.0, -104.0, -105.0,
                   200.0, -200.0, 1e10, -1e10, 3e38, -3e38, inf, -inf, nan, 0.1, 7.0, -7.0],
                  np.float32)
INTS = [0, 1, -1, 2, -2, 3, 7, -7, 100, -100, 127, -128]


class Kernel(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("program", ctypes.c_char_p)]


class Buffer(ctypes.Structure):
    """halide_buffer_t, of which only `host` is read."""
    _fields_ = [("device", ctypes.c_uint64), ("interface", ctypes.c_void_p),
                ("host", ctypes.c_void_p), ("rest", ctypes.c_uint8 * 32)]


library_path, table, cc, folder = sys.argv[1:]
library = ctypes.CDLL(library_path)
library.moe_halide_obstacle.restype = ctypes.c_char_p


def compile_all(programs):
    """The functions of programs by their names."""
    kernels = (Kernel * len(programs))(*(Kernel(name.encode(), text.encode())
                                         for name, text in programs.items()))
    message = ctypes.create_string_buffer(500)
    target = b"x86-64-linux-sse41-avx-avx2-f16c-fma"
    if library.moe_halide_emit(kernels, len(programs), target, 1, (folder + ".s").encode(),
                               message, 500):
        sys.exit(message.value.decode())
    subprocess.run([cc, "-shared", "-o", folder + ".so", folder + ".s", "-lm"], check=True)
    made = ctypes.CDLL(folder + ".so")
    return {name: getattr(made, name) for name in programs}


def aligned(values, dtype):
    memory = np.zeros(LANES * 8 + 64, np.uint8)
    start = -memory.ctypes.data % 64
    array = memory[start:start + LANES * np.dtype(dtype).itemsize].view(dtype)
    array[:] = values
    return array


def run(function, operands, result):
    """`function` on whole columns of operands, some lanes at a time."""
    count = len(operands[0])
    out = []
    for first in range(0, count, LANES):
        arrays = []
        for operand in operands:
            part = operand[first:first + LANES]
            arrays.append(aligned(np.resize(part, LANES), operand.dtype))
        arrays.append(aligned(0, result))
        buffers = [Buffer(host=array.ctypes.data) for array in arrays]
        function(*(ctypes.byref(buffer) for buffer in buffers))
        out.append(arrays[-1][:min(LANES, count - first)].copy())
    return np.concatenate(out)


def vectorize(function):
    return np.vectorize(function, otypes=[np.float32])


def larger(nan_wins):
    def pick(a, b):
        if a != a or b != b:
            return nan if nan_wins else (b if a != a else a)
        return a if a > b or (a == b and not np.signbit(a)) else b
    return vectorize(pick)


def smaller(nan_wins):
    return lambda a, b: -larger(nan_wins)(-a, -b)


def quiet(function, outside=nan):
    """A function of math, on infinities and NaN by NumPy's rules."""
    def call(x):
        try:
            return function(float(x))
        except OverflowError:
            return inf
        except ValueError:
            return outside
    return vectorize(call)


UNARY = {"negf": np.negative, "absf": np.abs, "sqrt": np.sqrt, "floor": np.floor,
         "ceil": np.ceil, "trunc": np.trunc, "roundeven": np.round,
         "rsqrt": lambda x: 1 / np.sqrt(x.astype(np.float64)), "exp": np.exp,
         "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log1p": np.log1p,
         "log2": np.log2, "tanh": np.tanh, "erf": quiet(math.erf),
         "sin": np.sin, "cos": np.cos}
BINARY = {"addf": np.add, "subf": np.subtract, "mulf": np.multiply, "divf": np.divide,
          "maximumf": larger(True), "minimumf": smaller(True),
          "maxnumf": larger(False), "minnumf": smaller(False)}
ORDER = {"eq": np.equal, "gt": np.greater, "ge": np.greater_equal, "lt": np.less,
         "le": np.less_equal, "ne": np.not_equal}


def unordered(a, b):
    return np.isnan(a) | np.isnan(b)


COMPARE = {"cmpf.ord": lambda a, b: ~unordered(a, b), "cmpf.uno": unordered}
for name, function in ORDER.items():
    COMPARE["cmpf.o" + name] = lambda a, b, f=function: f(a, b) & ~unordered(a, b)
    COMPARE["cmpf.u" + name] = lambda a, b, f=function: f(a, b) | unordered(a, b)


def unsigned(function):
    return lambda a, b: function(a.view(np.uint32), b.view(np.uint32))


INT = {"addi": np.add, "subi": np.subtract, "muli": np.multiply, "andi": np.bitwise_and,
       "ori": np.bitwise_or, "xori": np.bitwise_xor, "maxsi": np.maximum, "minsi": np.minimum,
       "divsi": lambda a, b: np.trunc(a / b).astype(np.int32), "remsi": np.fmod,
       "divui": unsigned(np.floor_divide), "remui": unsigned(np.remainder),
       "maxui": unsigned(np.maximum), "minui": unsigned(np.minimum),
       "shli": lambda a, b: a << b, "shrsi": lambda a, b: a >> b,
       "shrui": unsigned(lambda a, b: a >> b)}
INT_COMPARE = {"cmpi.eq": np.equal, "cmpi.ne": np.not_equal}
for name in ("gt", "ge", "lt", "le"):
    INT_COMPARE["cmpi.s" + name] = ORDER[name]
    INT_COMPARE["cmpi.u" + name] = unsigned(ORDER[name])

cases = {}  # name: (program, operands, result type, expected, error in ulps)


def case(opcode, types, result, operands, expected, ulps=0, suffix=""):
    lines = ["lanes %d" % LANES] + ["argument " + t for t in types]
    lines.append("%s %s %s" % (opcode, result, " ".join(map(str, range(len(types))))))
    lines.append("yield %d" % len(types))
    name = "case_" + opcode.replace(".", "_") + suffix
    cases[name] = ("\n".join(lines), operands, TYPES[result], expected, ulps)


with np.errstate(all="ignore"):
    pairs = np.array(list(itertools.product(FLOATS, FLOATS)), np.float32)
    a, b = np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])
    exact = {"negf", "absf", "sqrt", "floor", "ceil", "trunc", "roundeven"}
    for opcode, function in UNARY.items():
        x = np.concatenate([FLOATS, np.linspace(-9, 9, 997, dtype=np.float32)])
        if opcode in ("sin", "cos"):
            x = x[np.abs(x) < 100]
        expected = np.asarray(function(x if opcode in exact else x.astype(np.float64)))
        case(opcode, ["f32"], "f32", [x], expected.astype(np.float32),
             0 if opcode in exact else 8)
    for opcode, function in BINARY.items():
        case(opcode, ["f32"] * 2, "f32", [a, b], function(a, b).astype(np.float32))
    for opcode, function in COMPARE.items():
        case(opcode, ["f32"] * 2, "i1", [a, b], function(a, b))
    ints = np.array(list(itertools.product(INTS, INTS)), np.int32)
    i, j = np.ascontiguousarray(ints[:, 0]), np.ascontiguousarray(ints[:, 1])
    for opcode, function in INT.items():
        p, q = i, j
        if opcode.startswith(("div", "rem")):
            p, q = i[j != 0], j[j != 0]
        if opcode.startswith("sh"):
            q = np.abs(j) % 32
        case(opcode, ["i32"] * 2, "i32", [p, q], np.asarray(function(p, q)).view(np.int32)
             if np.asarray(function(p, q)).dtype != np.int32 else function(p, q))
    for opcode, function in INT_COMPARE.items():
        case(opcode, ["i32"] * 2, "i1", [i, j], function(i, j))
    chosen = i > j
    case("select", ["i1", "f32", "f32"], "f32",
         [chosen, i.astype(np.float32), j.astype(np.float32)],
         np.where(chosen, i, j).astype(np.float32))
    halves = FLOATS[np.abs(FLOATS) < 6e4]
    case("extf", ["f16"], "f32", [halves.astype(np.float16)],
         halves.astype(np.float16).astype(np.float32))
    case("truncf", ["f32"], "f16", [halves], halves.astype(np.float16))
    small = FLOATS[np.abs(FLOATS) < 1e9]
    case("fptosi", ["f32"], "i32", [small], small.astype(np.int32))
    positive = np.array([0, 1, 2.5, 100, 3e9], np.float32)
    case("fptoui", ["f32"], "i32", [positive], positive.astype(np.uint32).view(np.int32))
    case("sitofp", ["i32"], "f32", [i], i.astype(np.float32))
    case("uitofp", ["i32"], "f32", [i], i.view(np.uint32).astype(np.float32))
    case("uitofp", ["i1"], "f32", [chosen], chosen.astype(np.float32), suffix="_of_i1")
    bytes_ = i.astype(np.int8)
    case("extsi", ["i8"], "i32", [bytes_], bytes_.astype(np.int32))
    case("extui", ["i8"], "i32", [bytes_], bytes_.view(np.uint8).astype(np.int32))
    case("extsi", ["i1"], "i32", [chosen], -chosen.astype(np.int32), suffix="_of_i1")
    case("trunci", ["i32"], "i8", [i], i.astype(np.int8))
    case("trunci", ["i32"], "i1", [i], (i & 1) != 0, suffix="_to_i1")
    case("bitcast", ["f32"], "i32", [FLOATS], FLOATS.view(np.int32))

# A value that is used twice, a constant, and two results.
cases["case_shared"] = (
    "lanes 16\nargument f32\nexp f32 0\nconstant f32 1065353216\naddf f32 1 2\n"
    "mulf f32 3 1\nyield 4", [FLOATS[:16]], np.float32,
    ((np.exp(FLOATS[:16].astype(np.float64)) + 1) * np.exp(FLOATS[:16].astype(np.float64)))
    .astype(np.float32), 8)

functions = compile_all({name: values[0] for name, values in cases.items()})
failed = []
for name, (_, operands, result, expected, ulps) in cases.items():
    got = run(functions[name], operands, result)
    if result == np.float32:
        scale = np.maximum(np.abs(expected.astype(np.float64)), 2.0 ** -126)
        with np.errstate(all="ignore"):
            near = np.abs(got.astype(np.float64) - expected) <= ulps * 2.0 ** -23 * scale
        same = (got == expected) & ((np.signbit(got) == np.signbit(expected)) | (ulps > 0))
        wrong = ~(same | near & np.isfinite(expected) & (ulps > 0)
                  | np.isnan(got) & np.isnan(expected))
    else:
        wrong = ~((got == expected) | (got != got) & (expected != expected))
    if wrong.any():
        at = int(np.argmax(wrong))
        failed.append("%s(%s) = %s, expected %s" % (
            name, ", ".join(str(o[at]) for o in operands), got[at], expected[at]))

known = set(re.findall(r'^      \{"([a-z0-9.]+)",', open(table).read(), re.M))
known -= set(TYPES) | {"bf16"}
tested = {values[0].split("\n")[-2].split()[0] for values in cases.values()}
if known - tested:
    failed.append("no case for " + ", ".join(sorted(known - tested)))
if len(known) < 60:
    failed.append("the table was not found")

# What it refuses, in a few words.
for program, words in {
        "": "a program begins with",
        "lanes 0": "expected 'lanes'",
        "lanes 16\nargument f32": "yields nothing",
        "lanes 16\nargument f64\nyield 0": "has values of f64",
        "lanes 16\nargument f32\npowf f32 0 0\nyield 1": "has the operation powf",
        "lanes 16\nargument f32\naddf f32 0\nyield 1": "addf has 1 operands",
        "lanes 16\nargument f32\naddf f32 0 7\nyield 1": "'7' is no number up to",
        "lanes 16\nargument f32\naddf f32 0 1\nyield 1": "value 1 is not there yet",
        "lanes 16\nargument i32\naddf f32 0 outside\nyield 1": "'outside' is no number",
        "lanes 16\nconstant i8 300\nyield 0": "'300' is no number up to 255",
        "lanes 16\nargument f32\ncmpf.olt f32 0 0\nyield 1": "cmpf.olt gives no f32",
        "tile fma rows 4 columns 32 lanes 16": "tiles multiply by fma, widen or dot_bf16",
        "tile dot rows 4 columns 32 lanes 16 pitch 64": "tiles multiply by fma, widen or dot_bf16",
        "tile fma rows 0 columns 32 lanes 16 pitch 64": "no tile of 0 rows",
        "tile fma rows 4 lanes 16 columns 32 pitch 64": "expected 'columns'",
        "tile fma rows 4 columns 24 lanes 16 pitch 64": "no tile of 4 rows and 24 columns"}.items():
    said = library.moe_halide_obstacle(program.encode()).decode()
    if not said.startswith(words):
        failed.append("%r: said %r" % (program, said))

for line in failed:
    print(line)
print("%d of %d cases as NumPy has them" % (len(cases) - len(failed), len(cases)))
sys.exit(bool(failed))
