"""Cases of the torch dialect: its types, and numbers and lists as values."""

import numpy as np

from one_op import Cases

ELEMENTS = {"float32": "f32", "float64": "f64", "int64": "si64", "int32": "si32", "bool": "i1"}
BUILTIN = {"float32": "f32", "float64": "f64", "int64": "i64", "int32": "i32", "bool": "i1"}


def vtensor(array, dynamic=False):
    sizes = ",".join("?" if dynamic else str(n) for n in array.shape)
    return f"!torch.vtensor<[{sizes}],{ELEMENTS[array.dtype.name]}>"


class TorchCases(Cases):
    """add(op, operands, expected): operands are arrays (arguments), numbers, strings,
    None, or lists of those."""

    def __init__(self, folder):
        super().__init__("torch", folder)
        self.count = 0

    def operand(self, value, dynamic):
        """The name and type of a value."""
        name = f"%v{self.count}"
        self.count += 1
        if isinstance(value, (np.ndarray, np.generic)):
            value = np.asarray(value)
            kind = vtensor(value, dynamic)
            self.arguments.append(f'{name}: {kind} {{moe.name = "{name[1:]}"}}')
            self.inputs[name[1:]] = value
            return name, kind
        if isinstance(value, list):
            parts = [self.operand(part, dynamic) for part in value]
            inner = "vtensor" if any(isinstance(part, np.ndarray) for part in value) else "int"
            self.lines.append(f'{name} = "torch.prim.ListConstruct"({", ".join(p[0] for p in parts)}) : '
                              f'({", ".join(p[1] for p in parts)}) -> !torch.list<{inner}>')
            return name, f"!torch.list<{inner}>"
        kind, text = {bool: ("bool", str(value).lower()), int: ("int", f"{value} : i64"),
                      float: ("float", f"{value!r} : f64"), str: ("str", f'"{value}"'),
                      type(None): ("none", None)}[type(value)]
        properties = "" if text is None else f" <{{value = {text}}}>"
        self.lines.append(f'{name} = "torch.constant.{kind}"(){properties} : () -> !torch.{kind}')
        return name, f"!torch.{kind}"

    def add(self, op, operands, expected, dynamic=True, name=None):
        expected = [np.asarray(e) for e in (expected if isinstance(expected, list) else [expected])]
        self.covered.add(op)
        properties = f' <{{name = "{name}"}}>' if name else ""
        for sizes in (False, True) if dynamic else (False,):
            case = len(self.results)
            values = [self.operand(value, sizes) for value in operands]
            results = [vtensor(e, sizes) for e in expected]
            self.lines.append(f'%t{case}:{len(expected)} = "torch.{op}"({", ".join(v[0] for v in values)}){properties} : '
                              f'({", ".join(v[1] for v in values)}) -> ({", ".join(results)})')
            for i, (array, kind) in enumerate(zip(expected, results)):
                self.lines.append(f'%b{case}_{i} = "torch_c.to_builtin_tensor"(%t{case}#{i}) : ({kind}) -> '
                                  f"tensor<*x{BUILTIN[array.dtype.name]}>")
            self.results.append((op + (" of dynamic sizes" if sizes else ""), expected, {"name": name}))

    def result(self, case, i):
        return f"%b{case}_{i}"
