"""Calls a layer with buffers of the exact size, at the edges of mapped memory.

usage: guarded.py FOLDER [TARGET]

Reading or writing one element too far on either side is a fault.
"""

import ctypes
import json
import os
import subprocess
import sys

import numpy as np

H, I = 40, 24
PAGE = os.sysconf("SC_PAGE_SIZE")
folder = sys.argv[1]
target = sys.argv[2] if len(sys.argv) > 2 else "native"
rng = np.random.default_rng(5)

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


class Guarded:
    """`size` bytes with pages without access on both sides."""

    def __init__(self, size, atEnd):
        self.pages = max(1, -(-size // PAGE))
        self.base = libc.mmap(None, (self.pages + 2) * PAGE, 3, 0x22, -1, 0)
        for page in (0, self.pages + 1):
            assert libc.mprotect(self.base + page * PAGE, PAGE, 0) == 0
        self.address = self.base + PAGE + (self.pages * PAGE - size if atEnd else 0)
        self.bytes = (ctypes.c_char * max(1, size)).from_address(self.address) if size else b""

    def close(self):
        libc.munmap(self.base, (self.pages + 2) * PAGE)


def model(E, K, trusted, limit):
    rows, routing = f"tensor<?x{H}xf32>", f"!moe.routing<{E} x {K}>"
    gate, down = f"tensor<{E}x{I}x{H}xf32>", f"tensor<{E}x{H}x{I}xf32>"
    return f"""
func.func @layer(%x: {rows} {{moe.name = "x", moe.dims = ["T"]}},
    %i: tensor<?x{K}xi32> {{moe.name = "indices", moe.dims = ["T"]}},
    %w: tensor<?x{K}xf32> {{moe.name = "weights", moe.dims = ["S"]}},
    %wu: {gate} {{moe.name = "up"}}, %wd: {down} {{moe.name = "down"}})
    -> ({rows} {{moe.name = "y", moe.dims = ["T"]}}, tensor<?x{K}xi32> {{moe.name = "kept", moe.dims = ["T"]}}) {{
  %r0 = moe.routing.make %i, %w {trusted} : tensor<?x{K}xi32>, tensor<?x{K}xf32> -> {routing}
  %r = moe.routing.limit %r0 capacity {limit} : {routing}
  %k = moe.routing.indices %r : {routing} -> tensor<?x{K}xi32>
  %rows = moe.dispatch %x by %r : {rows}, {routing} -> {rows}
  %out = moe.expert %rows by %r : ({rows}, {routing}) -> {rows}
    experts 0 to {E} weights(%wu, %wd : {gate}, {down}) {{
    ^bb0(%t: {rows}, %u: tensor<{I}x{H}xf32>, %d: tensor<{H}x{I}xf32>):
      %f = moe.ffn %t up(%u) down(%d) activation(#moe.silu) : ({rows}, tensor<{I}x{H}xf32>, tensor<{H}x{I}xf32>) -> {rows}
      moe.yield %f : {rows}
    }}
  %y = moe.combine %out by %r : {rows}, {routing} -> {rows}
  return %y, %k : {rows}, tensor<?x{K}xi32>
}}
"""


class Layer:
    def __init__(self, name, text):
        path = os.path.join(folder, name)
        with open(path + ".mlir", "w") as out:
            out.write(text)
        subprocess.run(["moe-compile", path + ".mlir", "-o", path, f"--target={target}", "--emit=shared,manifest"], check=True)
        with open(path + ".json") as file:
            self.function = json.load(file)["functions"][0]
        library = ctypes.CDLL(path + ".so")
        self.invoke = library.layer__invoke
        self.invoke.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
        self.workspace = library.layer__invoke_workspace
        self.workspace.restype = ctypes.c_size_t
        self.workspace.argtypes = [ctypes.c_void_p]

    def call(self, indices, atEnd, S=None):
        """The status, and whether a result was written."""
        T = len(indices)
        values = {"T": T, "S": T if S is None else S}
        names = self.function["sizes"]
        sizes = (ctypes.c_int64 * len(names))(*[values[n] for n in names])
        buffers, results = [], []
        for kind in "arguments", "results":
            for value in self.function[kind]:
                shape = [values.get(d, d) for d in value["shape"]]
                size = int(np.prod(shape)) * {"f32": 4, "i32": 4, "u8": 1}[value["dtype"]]
                buffer = Guarded(size, atEnd)
                buffers.append(buffer)
                if kind == "results":
                    results.append(buffer)
                    fill = b"\xa5" * size
                elif value["name"] == "indices":
                    fill = indices.astype(np.int32).tobytes()
                else:
                    fill = rng.uniform(-1, 1, size // 4).astype(np.float32).tobytes()
                ctypes.memmove(buffer.address, fill, size)
        bytes_ = self.workspace(sizes)
        workspace = Guarded(bytes_, atEnd)
        pointers = (ctypes.c_void_p * len(buffers))(*[b.address for b in buffers])
        status = self.invoke(None, sizes, pointers, workspace.address, bytes_)
        written = any(bytes(b.bytes) != b"\xa5" * len(bytes(b.bytes)) for b in results)
        for buffer in buffers + [workspace]:
            buffer.close()
        return status, written


def expect(got, want, what):
    if got != want:
        sys.exit(f"{what}: status, written = {got} instead of {want}")


# A row against itself, and the marks of many slots.
for E, K in (6, 3), (8, 1), (40, 20):
    checked = Layer(f"checked{K}", model(E, K, "", 3))
    trusted = Layer(f"trusted{K}", model(E, K, "trusted", 3))
    for atEnd in True, False:
        for T in 0, 1, 5, 64:
            good = np.array([rng.permutation(E)[:K] for _ in range(T)]).reshape(T, K)
            expect(checked.call(good, atEnd), (0, T > 0), f"good, T = {T}")
            if T == 0:
                continue
            for token in {0, T - 1}:
                for slot in {0, K - 1}:
                    for expert in -2, E, -2**31, 2**31 - 1:
                        bad = good.copy()
                        bad[token, slot] = expert
                        expect(checked.call(bad, atEnd), (6, False), f"expert {expert}, T = {T}")
                    if K > 1:
                        bad = good.copy()
                        bad[token, slot] = bad[token, K // 2 if slot != K // 2 else 0]
                        expect(checked.call(bad, atEnd), (6, False), f"twice, T = {T}, slot = {slot}")
            expect(checked.call(good, atEnd, S=T + 1), (2, False), "more weights than tokens")
            expect(checked.call(good, atEnd, S=T - 1), (2, False), "fewer weights than tokens")
            # Trust is not for memory.
            for garbage in (np.full((T, K), E - 1), rng.integers(-2**31, 2**31, (T, K)), rng.integers(-2, E + 2, (T, K))):
                expect(trusted.call(garbage, atEnd), (0, True), f"garbage, T = {T}")
    print(f"{E} experts, {K} slots: ok")
