"""Models of one op each, as generic text of ops of another dialect, against
results that are computed elsewhere.

All cases of a run are one function: its arguments are their inputs, its results
theirs. It is converted by moe-opt and runs in moe-interpret.
"""

import json
import os
import subprocess

import numpy as np

TYPES = {"float32": ("f32", "F32"), "float64": ("f64", "F64"), "int64": ("i64", "I64"),
         "int32": ("i32", "I32"), "int8": ("i8", "I8"), "bool": ("i1", "BOOL")}
KINDS = {safe: np.dtype(name) for name, (_, safe) in TYPES.items()}


def save(path, tensors):
    header, data = {}, b""
    for name, a in tensors.items():
        raw = np.ascontiguousarray(a).tobytes()
        header[name] = {"dtype": TYPES[a.dtype.name][1], "shape": list(a.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + data)


def load(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    header.pop("__metadata__", None)
    return {name: np.frombuffer(data[slice(*v["data_offsets"])], KINDS[v["dtype"]]).reshape(v["shape"])
            for name, v in header.items() if not name.startswith("__padding__")}


def tensor_type(array, dynamic=False):
    element = TYPES[array.dtype.name][0]
    return "tensor<" + "".join(("?" if dynamic else str(n)) + "x" for n in array.shape) + element + ">"


def literal(array):
    """A constant; its elements as MLIR reads them."""
    def one(value):
        if array.dtype == bool:
            return "true" if value else "false"
        if array.dtype.kind != "f":
            return str(int(value))
        if np.isfinite(value):
            return repr(float(value)) if "." in repr(float(value)) or "e" in repr(float(value)) else repr(float(value)) + ".0"
        bits = array.dtype.type(value).tobytes()
        return "0x" + bits[::-1].hex().upper()

    def nested(a):
        return one(a[()]) if a.ndim == 0 else "[" + ", ".join(nested(x) for x in a) + "]"
    return f"arith.constant dense<{nested(array) if array.size else ''}> : {tensor_type(array)}"


def attribute(value):
    if isinstance(value, bool):
        raise TypeError("ONNX has no such attribute")
    if isinstance(value, int):
        return f"{value} : i64"
    if isinstance(value, float):
        return f"{value!r} : f32"
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, np.ndarray):
        return literal(value).removeprefix("arith.constant ")
    return "array<i64" + (": " if value else "") + ", ".join(map(str, value)) + ">"


class Constant:
    """An input that is a constant of the model."""

    def __init__(self, array):
        self.array = np.asarray(array)


class Cases:
    """Cases of ops of `dialect`, run together by run()."""

    def __init__(self, dialect, folder):
        self.dialect, self.folder = dialect, folder
        self.lines, self.arguments, self.inputs = [], [], {}
        self.results, self.covered = [], set()
        os.makedirs(folder, exist_ok=True)

    def add(self, op, inputs, expected, dynamic=True, **attributes):
        """`inputs` are arrays (arguments), Constants, or None where one is left
        out; `expected` is an array or a list of such, None for what is not
        compared. Arguments have dynamic sizes, too, unless not `dynamic`."""
        expected = expected if isinstance(expected, list) else [expected]
        self.covered.add(op)
        for sizes in (False, True) if dynamic else (False,):
            case = len(self.results)
            names, types, absent = [], [], []
            for i, value in enumerate(inputs):
                if value is None:
                    absent.append(i)
                    continue
                name = f"%c{case}_{i}"
                names.append(name)
                if isinstance(value, Constant):
                    self.lines.append(f"{name} = {literal(value.array)}")
                    types.append(tensor_type(value.array))
                    continue
                types.append(tensor_type(value, sizes))
                self.arguments.append(f'{name}: {types[-1]} {{moe.name = "{name[1:]}"}}')
                self.inputs[name[1:]] = value
            given = {**attributes, **({"onnx_absent": absent} if absent else {})}
            words = ", ".join(f"{key} = {attribute(value)}" for key, value in given.items())
            out = [f"tensor<*x{TYPES[e.dtype.name][0] if e is not None else 'f32'}>" for e in expected]
            self.lines.append(f'%r{case}:{len(out)} = "{self.dialect}.{op}"({", ".join(names)}) '
                              f'{{{words}}} : ({", ".join(types)}) -> ({", ".join(out)})')
            self.results.append((op + (" of dynamic sizes" if sizes else ""), expected, attributes))

    def result(self, case, i):
        """The unranked tensor that is result `i` of a case."""
        return f"%r{case}#{i}"

    def run(self, tolerance=1e-9):
        """The list of what is wrong."""
        returned, types, wanted = [], [], []
        for case, (op, expected, attributes) in enumerate(self.results):
            for i, array in enumerate(expected):
                if array is None:
                    continue
                name = f"%y{case}_{i}"
                unknown = tensor_type(array, True)
                self.lines.append(f"{name} = tensor.cast {self.result(case, i)} : tensor<*x{TYPES[array.dtype.name][0]}> to {unknown}")
                returned.append(name)
                types.append(f'{unknown} {{moe.name = "{name[1:]}"}}')
                wanted.append((name[1:], op, attributes, array))
        text = (f"func.func @ops({', '.join(self.arguments)}) -> ({', '.join(types)}) {{\n  "
                + "\n  ".join(self.lines) + f"\n  return {', '.join(returned)} : "
                + ", ".join(t.split(" ")[0] for t in types) + "\n}\n")
        path = [os.path.join(self.folder, name)
                for name in ("ops.mlir", "upstream.mlir", "in.safetensors", "out.safetensors")]
        with open(path[0], "w") as file:
            file.write(text)
        save(path[2], self.inputs)
        for command in (["moe-opt", "--allow-unregistered-dialect", "--moe-convert-foreign", path[0], "-o", path[1]],
                        ["moe-interpret", path[1], "--inputs=" + path[2], "-o", path[3]]):
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if done.returncode or (command[0] == "moe-opt" and done.stdout):
                return [f"{command[0]}: {done.stdout.decode()}"]
        failures, got = [], load(path[3])
        for name, op, attributes, array in wanted:
            result = got[name]
            if result.shape != array.shape:
                failures.append(f"{op} {attributes}: shape {result.shape}, expected {array.shape}")
            elif array.dtype.kind == "f":
                scale = max(1.0, float(np.max(np.abs(array), initial=0, where=np.isfinite(array))))
                if not np.allclose(result, array, rtol=0, atol=tolerance * scale, equal_nan=True):
                    failures.append(f"{op} {attributes}:\n{result}\nexpected\n{array}")
            elif not np.array_equal(result, array):
                failures.append(f"{op} {attributes}:\n{result}\nexpected\n{array}")
        return failures
