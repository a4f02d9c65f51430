"""Routers with the experts of one token in lanes, and with tokens in lanes.

usage: same_choice.py TARGET [--emulator=COMMAND]

Every score function and every weighing, over scores that are hard to order, are
compiled three times: with schedules that select for all tokens one after
another, for vectors of tokens only, and as the target chooses. All have to give
the same bits (but for the sign and payload of a NaN), for a whole batch, for a
single token and for tokens that fill no vector.
"""

import itertools
import json
import os
import random
import re
import struct
import subprocess
import sys
import tempfile

SIZES = (1, 2, 6, 37)
target, options = sys.argv[1], sys.argv[2:]

EXP = "%x = math.exp %a : f32\n"
SIGMOID = ("%n = arith.negf %a : f32\n%x = math.exp %n : f32\n%d = arith.addf %x, %one : f32\n"
           "%q = arith.divf %one, %d : f32\n")
SOFTPLUS = EXP + "%l = math.log1p %x : f32\n%q = math.sqrt %l : f32\n"
SCORES = ["given", "softmax", "sigmoid", "softplus", "softmax bias", "sigmoid bias", "softplus bias", "columns"]
WEIGHINGS = ["", "#moe.softmax", "#moe.sigmoid", "#moe.scale<2.5>", "#moe.normalize<sum, eps = 0.0>",
             "#moe.normalize<sum, eps = 1.0e-20>, #moe.scale<2.5>", "#moe.normalize<clamp, min = 1.0e-12>",
             "#moe.normalize<p_norm, p = 1.0>", "#moe.normalize<p_norm, p = 2.0>"]
# Experts, and the policy: fewer than lanes, whole vectors and not, one level of
# vectors and two, all experts.
POLICIES = [(e, f"top_k<{k}>", k) for e, k in
            [(1, 1), (5, 5), (8, 2), (16, 16), (17, 3), (64, 6), (64, 64), (72, 20), (128, 8), (130, 9), (512, 22), (1030, 6)]]
POLICIES += [(e, f"group_top_k<{k}, groups = {g}, keep = {keep}, reduce = {reduce}>", k) for e, k, g, keep, reduce in
             [(256, 8, 8, 4, "top2"), (24, 6, 8, 3, "top2"), (60, 20, 3, 2, "max"), (160, 6, 8, 3, "max"),
              (34, 4, 17, 2, "top2"), (16, 2, 16, 2, "max"), (18, 7, 2, 2, "top2"), (96, 3, 24, 5, "max")]]


def router(p, e, policy, k, score, weighing):
    """Arguments, lines and results of a router; all names begin with `p`."""
    rows = f"tensor<?x{e}xf32>"
    kind, _, biased = score.partition(" ")
    columns = kind == "columns"
    arguments = [f'%z: {f"tensor<{e}x?xf32>" if columns else rows} {{moe.name = "{p}.z", moe.dims = ["T"]}}']
    lines = [f"%c = arith.constant {int(columns)} : index", "%one = arith.constant 1.0 : f32"]
    lines.append(f"%T = tensor.dim %z, %c : {f'tensor<{e}x?xf32>' if columns else rows}")
    lines.append(f"%e = tensor.empty(%T) : {rows}")
    same = "affine_map<(i, j) -> (i, j)>"

    def generic(result, ins, maps, body):
        names, types = ", ".join(i for i, _ in ins), ", ".join(t for _, t in ins)
        block = ", ".join(f"%{v}: f32" for v in "ab"[:len(ins)])
        lines.append(f'{result} = linalg.generic {{indexing_maps = [{", ".join(maps + [same])}], iterator_types = ["parallel", "parallel"]}} '
                     f"ins({names} : {types}) outs(%e : {rows}) {{\n^bb0({block}, %o: f32):\n{body}linalg.yield %q : f32\n}} -> {rows}")

    weigh = select = "%z"
    if columns:
        generic("%s", [("%z", f"tensor<{e}x?xf32>")], ["affine_map<(i, j) -> (j, i)>"], "%q = arith.addf %a, %one : f32\n")
        weigh = select = "%s"
    elif kind != "given":
        weigh = select = "%s"
        if kind == "softmax":
            lines.append(f"%s = linalg.softmax dimension(1) ins(%z : {rows}) outs(%e : {rows}) -> {rows}")
        else:
            generic("%s", [("%z", rows)], [same], SIGMOID if kind == "sigmoid" else SOFTPLUS)
    if biased:
        arguments.append(f'%bias: tensor<{e}xf32> {{moe.name = "{p}.bias"}}')
        generic("%u", [("%s", rows), ("%bias", f"tensor<{e}xf32>")], [same, "affine_map<(i, j) -> (j)>"], "%q = arith.addf %a, %b : f32\n")
        select = "%u"
    routing = f"!moe.routing<{e} x {k}>"
    lines.append(f"%r = moe.router #moe.{policy} select({select}) weigh({weigh}) "
                 + (f"weighing [{weighing}] " if weighing else "") + f": {rows} -> {routing}")
    lines.append(f"%i = moe.routing.indices %r : {routing} -> tensor<?x{k}xi32>")
    lines.append(f"%w = moe.routing.weights %r : {routing} -> tensor<?x{k}xf32>")
    own = lambda text: text.replace("%", f"%{p}_")
    results = [(own("%i"), f"tensor<?x{k}xi32>", "indices"), (own("%w"), f"tensor<?x{k}xf32>", "weights")]
    return ([own(a) for a in arguments], [own(line) for line in lines],
            [(value, type, f'{type} {{moe.name = "{p}.{view}", moe.dims = ["T"]}}') for value, type, view in results])


def function(name, cases):
    arguments, lines, results = ([x for part in parts for x in part] for parts in zip(*(router(*c) for c in cases)))
    body = "\n".join(lines)
    return (f"func.func @{name}({', '.join(arguments)}) -> ({', '.join(r for _, _, r in results)}) {{\n{body}\n"
            f"return {', '.join(v for v, _, _ in results)} : {', '.join(t for _, t, _ in results)}\n}}\n")


def row(rng, e, kind):
    inf, nan = float("inf"), float("nan")
    if kind == 0:
        return [rng.choice([-1.0, 0.0, -0.0, 0.5]) for _ in range(e)]
    if kind == 1:
        return [rng.choice([0.0, -0.0, nan, inf, -inf, 1.0])] * e
    if kind == 2:
        return [rng.choice([nan, inf, -inf, 0.0, -0.0, 2.0, -3.0]) for _ in range(e)]
    if kind == 3:
        return [nan if rng.random() < 0.9 else rng.gauss(0, 1) for _ in range(e)]
    if kind == 4:
        return [-inf if rng.random() < 0.9 else nan for _ in range(e)]
    if kind == 5:
        return [rng.randint(-3, 3) * 1e-45 for _ in range(e)]
    if kind == 6:
        return [float(i) for i in range(e)]
    if kind == 7:
        return [rng.choice([-1, 1]) * 10.0 ** rng.uniform(-37, 37) for _ in range(e)]
    return [rng.gauss(0, rng.choice([0.1, 1, 20])) for _ in range(e)]


def save(path, tensors):
    header, data = {}, b""
    for name, (shape, values) in tensors.items():
        raw = struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text + data)


def load(path):
    """The results as words, with all NaN alike."""
    with open(path, "rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
        data = f.read()
    results = {}
    for name, at in header.items():
        if name == "__metadata__":
            continue
        begin, end = at["data_offsets"]
        words = struct.unpack(f"<{(end - begin) // 4}I", data[begin:end])
        isFloat = at["dtype"] == "F32"
        results[name] = [0x7FC00000 if isFloat and w & 0x7FFFFFFF > 0x7F800000 else w for w in words]
    return results


def main():
    rng = random.Random(7)
    functions = {}
    for i, (score, weighing) in enumerate(itertools.product(SCORES, WEIGHINGS)):
        e, policy, k = POLICIES[(i * 7 + i // len(POLICIES)) % len(POLICIES)]
        functions.setdefault(score.replace(" ", "_"), []).append((f"r{i}", e, policy, k, score, weighing))
    with tempfile.TemporaryDirectory() as folder:
        at = lambda name: os.path.join(folder, name)
        with open(at("routers.mlir"), "w") as f:
            f.writelines(function(*item) for item in functions.items())
        subprocess.run(["moe-compile", at("routers.mlir"), "--target=" + target, "--compile-to=planned", "-o", at("chosen.mlir")], check=True)
        with open(at("chosen.mlir")) as f:
            planned = f.read()
        forms = {"lanes": re.sub(r", single = \d+", "", planned), "chosen": planned,
                 "rows": re.sub(r"route_schedule<lanes = (\d+)(, single = \d+)?", r"route_schedule<lanes = \1, single = \1", planned)}
        assert len(set(forms.values())) == 3, "the schedules are not what they were"
        for form, text in forms.items():
            with open(at(form + ".mlir"), "w") as f:
                f.write(text)
            subprocess.run(["moe-compile", at(form + ".mlir"), "-o", at(form), "--emit=" + ("lib" if options else "shared") + ",manifest"], check=True)
        tokens = 0
        for (name, cases), t in itertools.product(functions.items(), SIZES):
            tensors = {}
            for p, e, policy, k, score, weighing in cases:
                # Another kind of row is the first for each router.
                rows = [row(rng, e, (i + int(p[1:])) % 9) for i in range(t)]
                values = [v for r in (zip(*rows) if score == "columns" else rows) for v in r]
                tensors[p + ".z"] = ([e, t] if score == "columns" else [t, e], values)
                if "bias" in score:
                    tensors[p + ".bias"] = ([e], [rng.choice([-0.5, 0.0, 0.25]) for _ in range(e)])
            save(at("in.safetensors"), tensors)
            results = {}
            for form in forms:
                subprocess.run(["moe-run", at(form + ".json"), "--entry=" + name, "--inputs=" + at("in.safetensors"),
                                "--output=" + at("out.safetensors"), "--threads=1", *options], check=True, stdout=subprocess.DEVNULL)
                results[form] = load(at("out.safetensors"))
            tokens += t * len(cases)
            for form, (p, e, policy, k, score, weighing) in itertools.product(("chosen", "rows"), cases):
                for part in (p + ".indices", p + ".weights"):
                    have, want = results[form][part], results["lanes"][part]
                    for i in range(len(want)):
                        if have[i] != want[i]:
                            sys.exit(f"{policy}, {e} experts, {score}, {weighing}: {part} of token {i // k} of {t}, slot {i % k} is "
                                     f"{have[i]:#x} by {form}, {want[i]:#x} by lanes; scores {tensors[p + '.z']}")
        print(f"{target}: {sum(map(len, functions.values()))} routers, {tokens} tokens: the same bits")


main()
