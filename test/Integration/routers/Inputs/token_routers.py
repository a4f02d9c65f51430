"""Compiled routers with data of their own against the interpreter.

usage: token_routers.py TARGET [--emulator=COMMAND] NAME...

Indices, offsets and tokens have to be the same, weights close, NaN where the
interpreter has NaN; one thread and several have to give the same bits, and so
have the first tokens of a batch alone unless tokens depend on each other. The
digest of all results is printed: it is the same on every target but vulkan, which
runs on its first device.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

target, names = sys.argv[1], [a for a in sys.argv[2:] if not a.startswith("--")]
device = ["--device=vulkan"] if target == "vulkan" else []
SIZES = (0, 5, 37) if device else (0, 1, 5, 16, 37, 301)
emulator = [a for a in sys.argv[2:] if a.startswith("--emulator=")]
rng = np.random.default_rng(5)


def save(path, tensors):
    kinds = {"float32": "F32", "int32": "I32"}
    header, data = {}, b""
    for key, a in tensors.items():
        raw = np.ascontiguousarray(a).tobytes()
        header[key] = {"dtype": kinds[a.dtype.name], "shape": list(a.shape),
                       "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text + data)


def load(path):
    kinds = {"F32": np.float32, "F64": np.float64, "I32": np.int32, "I64": np.int64}
    with open(path, "rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
        data = f.read()
    header.pop("__metadata__", None)
    return {k: np.frombuffer(data[v["data_offsets"][0]:v["data_offsets"][1]], kinds[v["dtype"]]).reshape(v["shape"])
            for k, v in header.items()}


class Router:
    """One function: inputs (name -> type), and routings (name, text, E, K)."""

    def __init__(self, inputs, make, coupled=False, prologue="", tolerance=2e-6):
        self.inputs, self.make, self.coupled = inputs, make, coupled
        self.prologue, self.tolerance, self.routings = prologue, tolerance, []

    def add(self, name, text, experts, slots):
        self.routings.append((name, text, experts, slots))
        return self

    def mlir(self):
        args, results, values, body = [], [], [], "\n  " + self.prologue
        for name, kind in self.inputs.items():
            dims = ', moe.dims = ["T"]' if "?" in kind else ""
            args.append(f'%{name}: {kind} {{moe.name = "{name}"{dims}}}')
        for name, text, e, k in self.routings:
            rt, v = f"!moe.routing<{e} x {k}>", "%" + name
            body += f"\n  {text}".replace("ROUTING", rt)
            for view, kind in (("indices", f"tensor<?x{k}xi32>"), ("weights", f"tensor<?x{k}xf32>"),
                               ("offsets", f"tensor<{e + 1}xi32>")):
                body += f"\n  {v}_{view} = moe.routing.{view} {v} : {rt} -> {kind}"
                dims = ', moe.dims = ["T"]' if "?" in kind else ""
                results.append((kind, f'{{moe.name = "{name}.{view}"{dims}}}'))
                values.append(f"{v}_{view}")
        return (f"func.func @route({', '.join(args)})\n    -> ({', '.join(f'{k} {a}' for k, a in results)}) {{{body}\n"
                f"  return {', '.join(values)} : {', '.join(k for k, _ in results)}\n}}\n")


def clear(tokens, experts, scale=2.0):
    """Scores that are far enough from each other that f32 orders them like f64."""
    steps = np.stack([rng.permutation(experts) for _ in range(tokens)]) if tokens else np.zeros((0, experts))
    return ((steps - experts / 2) * scale / experts + rng.uniform(-0.1, 0.1, (tokens, experts)) / experts).astype(np.float32)


def awkward(z):
    """The same with rows of ties, NaN, infinities, zeros of both signs and denormals."""
    rows = [[1, 1, 1], [np.nan, 1, 2], [np.nan] * 3, [-np.inf] * 3, [np.inf, 0, -np.inf], [0.0, -0.0, 0.0],
            [1e-40, -1e-40, 2e-40], [-1, -2, -1], [np.inf, np.inf, np.nan]]
    z = z.copy()
    for i, row in enumerate(rows):
        if 3 * i + 1 < len(z):
            z[3 * i + 1] = np.resize(row, z.shape[1])
    return z


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True, initial=-np.inf))
    return (e / e.sum(1, keepdims=True)).astype(np.float32)


def scores(e):
    return f"tensor<?x{e}xf32>"


def token_k(e, k):
    def make(t):
        count = rng.integers(-2, k + 3, t).astype(np.int32)
        return dict(z=awkward(clear(t, e)), k=count)
    using = "using(%k : tensor<?xi32>)"
    return (Router(dict(z=scores(e), k="tensor<?xi32>"), make)
            .add("plain", f"%plain = moe.router #moe.token_k<{k}> select(%z) weigh(%z) {using} : {scores(e)} -> ROUTING", e, k)
            .add("ones", f"%ones = moe.router #moe.token_k<{k}> select(%z) {using} : {scores(e)} -> ROUTING", e, k)
            .add("soft", f"%soft = moe.router #moe.token_k<{k}> select(%z) weigh(%z) {using} weighing [#moe.softmax]"
                 f" : {scores(e)} -> ROUTING", e, k))


def gshard(e):
    def make(t):
        p = awkward(softmax(clear(t, e, 4.0))) if e > 2 else softmax(clear(t, e, 4.0))
        top = np.sort(np.where(np.isfinite(p), p, 0), 1)[:, ::-1]
        g2 = top[:, 1] / np.maximum(top[:, :2].sum(1), 1e-30)
        # Random numbers that are far from every limit.
        u = rng.random(t)
        for limit in (2 * g2, g2 / 0.2, 2 * top[:, 1]):
            u = np.where(np.abs(u - limit) < 1e-3, np.clip(u + 0.01, 0, 1), u)
        return dict(p=p, u=u.astype(np.float32))
    r = Router(dict(p=scores(e), u="tensor<?xf32>"), make)
    for name, how, using in (("all", "second = all", ""), ("none", "second = none", ""),
                             ("threshold", "second = threshold, threshold = 0.3141", ""),
                             ("random", "second = random", " using(%u : tensor<?xf32>)"),
                             ("mesh", "second = random, threshold = 0.2", " using(%u : tensor<?xf32>)"),
                             ("nllb", "second = random, raw = true", " using(%u : tensor<?xf32>)")):
        r.add(name, f"%{name} = moe.router #moe.gshard<{how}> select(%p){using} : {scores(e)} -> ROUTING", e, 2)
    return r


def sparse_mixer(e, eps):
    def make(t):
        z = clear(t, e, 4.0)
        if e > 2:
            z = awkward(z)
        # No expert is on the border of near and far.
        for _ in range(20):
            m = np.sort(np.where(np.isnan(z), -np.inf, z), 1)[:, ::-1]
            bad = np.zeros(z.shape, bool)
            for r in range(min(2, e)):
                with np.errstate(all="ignore"):
                    ratio = (m[:, r:r + 1] - z) / np.maximum(np.abs(z), m[:, r:r + 1])
                bad |= np.abs(ratio - 2 * eps) < 1e-4
            if not bad.any():
                break
            z = np.where(bad, z - np.float32(0.001), z).astype(np.float32)
        return dict(z=z)
    return (Router(dict(z=scores(e)), make)
            .add("mixer", f"%mixer = moe.router #moe.sparse_mixer<eps = {eps}> select(%z) : {scores(e)} -> ROUTING", e, 2))


def hashed(e, k, v=53):
    table = np.stack([rng.permutation(e)[:k] for _ in range(v)]).astype(np.int32)
    def make(t):
        return dict(v=(rng.random((t, e)) + 0.1).astype(np.float32), ids=rng.integers(0, v, t).astype(np.int32), table=table)
    tensor = f"tensor<{v}x{k}xi32>"
    using = f"using(%ids, %table : tensor<?xi32>, {tensor})"
    return (Router(dict(v=scores(e), ids="tensor<?xi32>", table=tensor), make)
            .add("ones", f"%ones = moe.router #moe.hash<table, {k}> {using} : ROUTING", e, k)
            .add("v4", f"%v4 = moe.router #moe.hash<table, {k}> weigh(%v) {using}"
                 f" weighing [#moe.normalize<sum, eps = 1.0e-20>, #moe.scale<1.5>] : {scores(e)} -> ROUTING", e, k)
            .add("mod", f"%mod = moe.router #moe.hash<mod, 1> weigh(%v) using(%ids : tensor<?xi32>) : {scores(e)} -> ROUTING", e, 1))


def nearest(e, metric, h=24):
    c = rng.standard_normal((e, h)).astype(np.float32)
    c[e // 2] = 0
    def make(t):
        # A mixture of centroids in clear proportions, in a random order.
        parts = clear(t, e, 3.0)
        x = (parts @ np.linalg.pinv(np.where(np.arange(e)[:, None] == e // 2, rng.standard_normal((e, h)), c)).T).astype(np.float32)
        x[7:8] = 0
        return dict(x=x, c=c)
    return (Router(dict(x=f"tensor<?x{h}xf32>", c=f"tensor<{e}x{h}xf32>"), make, tolerance=2e-5,
                   prologue=f"%s = moe.similarity %x, %c metric({metric}) : tensor<?x{h}xf32>, tensor<{e}x{h}xf32> -> {scores(e)}")
            .add("share", f"%share = moe.router #moe.nearest_centroid<2> select(%s) : {scores(e)} -> ROUTING", e, 2)
            .add("soft", f"%soft = moe.router #moe.nearest_centroid<3, temperature = 0.5> select(%s) : {scores(e)} -> ROUTING", e, 3))


def sinkhorn(e, k, iterations=1000, scale=6.0):
    def make(t):
        # The plan of one token is flat whatever its scores: of ties only.
        z = clear(t, e, scale) if t != 1 else np.zeros((1, e), np.float32)
        return dict(z=z, v=rng.random((t, e)).astype(np.float32))
    return (Router(dict(z=scores(e), v=scores(e)), make, coupled=True)
            .add("plan", f"%plan = moe.router #moe.sinkhorn<{k}, tolerance = 1.0e-4, iterations = {iterations}>"
                 f" select(%z) weigh(%v) : {scores(e)} -> ROUTING", e, k)
            .add("sigmoid", f"%sigmoid = moe.router #moe.sinkhorn<{k}, tolerance = 1.0e-4, iterations = {iterations}>"
                 f" select(%z) weigh(%z) weighing [#moe.sigmoid] : {scores(e)} -> ROUTING", e, k))


def capacity(e, k):
    def make(t):
        idx = np.stack([rng.permutation(e)[:k] for _ in range(t)]).reshape(t, k) if t else np.zeros((0, k))
        idx = np.where(rng.random((t, k)) < 0.15, -1, idx)
        # Many equal weights and priorities, and some that are no numbers.
        w, p = rng.integers(0, 9, (t, k)) / 8, rng.integers(-3, 4, t) / 4
        for i, special in enumerate((np.nan, -np.inf, np.inf, -0.0, 1e-40)):
            w[i::17, 0], p[i::13] = special, special
        w = np.where(idx >= 0, w, 0)
        return dict(idx=idx.astype(np.int32), w=w.astype(np.float32), p=p.astype(np.float32))
    r = Router(dict(idx=f"tensor<?x{k}xi32>", w=f"tensor<?x{k}xf32>", p="tensor<?xf32>"), make, coupled=True,
               prologue=f"%r = moe.routing.make %idx, %w : tensor<?x{k}xi32>, tensor<?x{k}xf32> -> !moe.routing<{e} x {k}>")
    for name, how in (("plain", "capacity 3"), ("ceil", "factor 1.25"), ("floor", "factor 0.7 rounding floor"),
                      ("nearest", "factor 0.5 rounding nearest minimum 2"), ("groups", "factor 0.75 group_size 4"),
                      ("fixed", "capacity 2 group_size 5"), ("large", "factor 1.0e30"),
                      ("priority", "factor 0.5 by batch_priority (%p : tensor<?xf32>)"),
                      ("priority_groups", "capacity 1 group_size 13 by batch_priority (%p : tensor<?xf32>)"),
                      ("probability", "factor 0.5 by probability"),
                      ("probability_groups", "capacity 2 group_size 17 by probability")):
        r.add(name, f"%{name} = moe.routing.limit %r {how} : ROUTING", e, k)
    r.add("again", "%again = moe.routing.reweigh %ceil weighing"
          " [#moe.normalize<clamp, min = 1.1920928955078125e-07>] : ROUTING", e, k)
    return r


def switch(e):
    """A limit that the routing kernel applies itself, and one that it does not."""
    def make(t):
        return dict(z=clear(t, e, 4.0))
    r = Router(dict(z=scores(e)), make, coupled=True)
    r.add("r", f"%r = moe.router #moe.top_k<1> select(%z) weigh(%z) : {scores(e)} -> ROUTING", e, 1)
    r.add("one", f"%o = moe.router #moe.top_k<1> select(%z) weigh(%z) : {scores(e)} -> ROUTING\n"
          "  %one = moe.routing.limit %o capacity 3 : ROUTING", e, 1)
    r.add("factor", "%factor = moe.routing.limit %r factor 1.25 : ROUTING", e, 1)
    return r


ROUTERS = {
    "token_k": [token_k(8, 3), token_k(5, 5), token_k(40, 20)],
    "gshard": [gshard(2), gshard(6), gshard(64)],
    "sparse_mixer": [sparse_mixer(16, 0.01), sparse_mixer(5, 0.2), sparse_mixer(2, 0.1)],
    "hash": [hashed(8, 3), hashed(16, 6), hashed(3, 1)],
    "nearest_centroid": [nearest(6, "cosine"), nearest(16, "dot"), nearest(5, "l2")],
    "sinkhorn": [sinkhorn(8, 1), sinkhorn(6, 2), sinkhorn(40, 2), sinkhorn(16, 1, 2)],
    "capacity": [capacity(4, 2), capacity(8, 1), capacity(6, 3), switch(4)],
}


def same_bits(a, b):
    return a.shape == b.shape and a.tobytes() == b.tobytes()


def check(name, router, folder):
    at = lambda file: os.path.join(folder, file)
    with open(at("route.mlir"), "w") as out:
        out.write(router.mlir())
    subprocess.run(["moe-compile", at("route.mlir"), "-o", at("route"), f"--target={target}"], check=True)
    for t in SIZES:
        inputs = router.make(t)
        save(at("in.safetensors"), inputs)
        def run(file, count, threads):
            subprocess.run(["moe-run", at("route.json"), "--inputs=" + at(file), f"--tokens={count}",
                            *(device or [f"--threads={threads}"]), "--output=" + at("out.safetensors"), *emulator],
                           check=True,
                           stdout=subprocess.DEVNULL)
            return load(at("out.safetensors"))
        got = run("in.safetensors", t, 1)
        subprocess.run(["moe-interpret", at("route.mlir"), "--inputs=" + at("in.safetensors"),
                        "-o", at("want.safetensors")], check=True, stdout=subprocess.DEVNULL)
        want = load(at("want.safetensors"))
        for key, value in got.items():
            expected = want[key]
            where = f"{name} on {target}, {t} tokens, {key}"
            if value.dtype == np.int32:
                if not np.array_equal(value, expected):
                    row = np.argwhere(value != expected)[0][0]
                    sys.exit(f"{where}: row {row} is {value[row]} instead of {expected[row]}")
                continue
            nan = np.isnan(expected)
            with np.errstate(invalid="ignore"):
                distance = np.abs(value - expected)
            close = distance <= router.tolerance * np.maximum(1, np.abs(expected))
            ok = np.where(nan, np.isnan(value), close | (value == expected))
            if not ok.all():
                row = np.argwhere(~ok)[0][0]
                sys.exit(f"{where}: row {row} is {value[row]} instead of {expected[row]}; inputs "
                         f"{ {k: v[row] for k, v in inputs.items() if len(v) == t} }")
        for key in sorted(got):
            # The sign of a NaN is the machine's.
            value = got[key]
            digest.update(np.where(np.isnan(value), np.float32(np.nan), value).tobytes()
                          if value.dtype == np.float32 else value.tobytes())
        for key, value in ({} if device else run("in.safetensors", t, 3)).items():
            if not same_bits(value, got[key]):
                sys.exit(f"{name} on {target}, {t} tokens, {key}: three threads give other bits")
        if t == 37 and not router.coupled:
            few = {k: v[:9] if "?" in router.inputs[k] else v for k, v in inputs.items()}
            save(at("few.safetensors"), few)
            for key, value in run("few.safetensors", 9, 1).items():
                if not key.endswith("offsets") and not same_bits(value, got[key][:9]):
                    sys.exit(f"{name} on {target}, {key}: the first 9 of 37 tokens alone give other bits")


def check_hash_errors(folder):
    """Ids and rows of the table that are invalid end the call."""
    e, k, v = 5, 2, 7
    router = hashed(e, k, v)
    at = lambda file: os.path.join(folder, file)
    with open(at("route.mlir"), "w") as out:
        out.write(router.mlir())
    subprocess.run(["moe-compile", at("route.mlir"), "-o", at("route"), f"--target={target}"], check=True)
    range_error = "a token id is not in the table of the hash router"
    table_error = "the hash router's table sends a token to an expert that there is not, or to one twice"
    def case(what, message, **changes):
        inputs = router.make(23)
        inputs["ids"][:2] = [0, v - 1]
        inputs["table"] = inputs["table"].copy()
        for key, (place, value) in changes.items():
            inputs[key][place] = value
        save(at("in.safetensors"), inputs)
        for tool in (["moe-run", at("route.json"), *emulator], ["moe-interpret", at("route.mlir")]):
            result = subprocess.run([*tool, "--inputs=" + at("in.safetensors"), "-o", at("out.safetensors")],
                                    capture_output=True, text=True)
            if (result.returncode == 0) != (message is None):
                sys.exit(f"{what}: {tool[0]} returned {result.returncode}: {result.stderr}")
            if message and tool[0] == "moe-run" and (message not in result.stderr or "status 8" not in result.stderr):
                sys.exit(f"{what}: {result.stderr}")
    case("valid", None)
    case("negative", range_error, ids=(22, -1))
    case("lowest", range_error, ids=(5, -2**31))
    case("end of the table", range_error, ids=(7, v))
    case("highest", range_error, ids=(0, 2**31 - 1))
    case("no such expert", table_error, table=((0, 1), e))
    case("negative expert", table_error, table=((v - 1, 0), -1))
    case("twice", table_error, table=((0, slice(None)), 3))


for name in names:
    if name == "hash_errors":
        with tempfile.TemporaryDirectory() as folder:
            check_hash_errors(folder)
        print(f"{name} on {target}: ok")
        continue
    rng, digest = np.random.default_rng(5), hashlib.sha256()
    for router in ROUTERS[name]:
        with tempfile.TemporaryDirectory() as folder:
            check(name, router, folder)
    print(f"{name} on {target}: ok, {digest.hexdigest()[:16]}")
