#!/usr/bin/env python3
"""Writes balance.mlir and its data: metrics of moe.balance, expected values.

    python3 gen_balance_fixtures.py --oracle=PATH/reference.py [--seed=20241122]

The oracle is the one of gen_fixtures.py; used are its functions topk, softmax,
sigmoid, loss_switch, loss_hf_topk, loss_z, loss_deepseek_seq, bias_update,
loss_dynmoe, loss_top_p_entropy and utilization. What it has no function for
(the load term of DynMoE's code, the collapse flag) is written down below. A
batch of no tokens has losses of 0.
"""
import argparse
import importlib.util
import os

import numpy as np

import gen_fixtures as fixtures

E, K, H, L = 8, 3, 5, 16
T_SIZES = (37, 1, 0)
UTILIZATION = {"normalized_entropy": "entropy_norm",
               "effective_experts": "effective_experts",
               "max_over_mean": "max_over_mean", "max_violation": "max_violation",
               "coefficient_of_variation": "cv", "dead_experts": "dead",
               "gini": "gini"}
# Loads of a longer window: even, one expert above half, few experts, nothing.
WINDOWS = {"even": [120, 115, 110, 125, 118, 112, 119, 121],
           "dominated": [900, 120, 115, 118, 121, 117, 119, 122],
           "narrow": [800, 790, 3, 2, 0, 0, 1, 0],
           "empty": [0] * E}


def dynmoe_load(idx):
    """E^2 mean_e(m_e c_e) over tokens with k_t > 0, plus mean(mask)."""
    mask = np.zeros((len(idx), E))
    for t, row in enumerate(idx):
        mask[t, row[row >= 0]] = 1.0
    some = mask[mask.sum(1) > 0]
    load = 0.0
    if len(some):
        m, c = (some / some.sum(1, keepdims=True)).mean(0), some.mean(0)
        load = E * E * np.mean(m * c)
    return load + (mask.mean() if len(mask) else 0.0)


def collapse(oracle, counts, k, spread=0.1, share=0.5, ratio=4, least=100):
    total = sum(counts)
    if total < least * E:
        return -1
    narrow = k < E and (oracle.utilization(counts)["effective_experts"]
                        < k + spread * (E - k))
    top = max(counts) > share * total and E >= ratio * k
    return int(narrow) + 2 * int(top)


def mean_or_0(values):
    return float(np.mean(values)) if len(values) else 0.0


def slices(t, length):
    return [slice(b, min(b + length, t)) for b in range(0, t, length)]


def counts_of(idx):
    return np.bincount(idx[idx >= 0].ravel(), minlength=E)


class Case:
    """The metrics of one number of tokens: (op, inputs, metric) -> value."""

    def __init__(self, o, rng, t):
        f32 = np.float32
        z = (2 * rng.standard_normal((t, E))).astype(f32)
        p = o.softmax(z).astype(f32) if t else z
        s = o.sigmoid(rng.standard_normal((t, E))).astype(f32)
        top = o.topk(p.astype(float), K)[1].astype(np.int32) if t else np.zeros((0, K), np.int32)
        any_ = rng.permuted(np.tile(np.arange(E, dtype=np.int32), (t, 1)), axis=1)[:, :K]
        any_[rng.random((t, K)) < 0.4] = -1
        if t > 2:
            any_[2] = -1
        bias = rng.standard_normal(E).astype(f32)
        similarity = rng.standard_normal((H, E)).astype(f32)
        similarity[:, 6] = 0
        active = np.ones(E, f32)
        active[[1, 4]] = 0
        self.inputs = {
            "logits": z, "probabilities": p, "scores": s, "top": np.ascontiguousarray(top),
            "any": np.ascontiguousarray(any_), "weights": np.ones((t, K), f32),
            "bias": bias, "similarity": similarity, "active": active,
            **{f"window.{name}": np.array(w, np.int32) for name, w in WINDOWS.items()}}

        z, p, s = z.astype(float), p.astype(float), s.astype(float)
        sim, act = similarity.astype(float), active.astype(float)
        load = counts_of(any_)
        one = lambda value: value() if t else 0.0
        switch = lambda idx, k: one(lambda: o.loss_switch(p, idx, E, k))
        groups = lambda idx, k: mean_or_0(
            [o.loss_switch(p[g], idx[g], E, k) for g in slices(t, L)])
        sequences = lambda k, alpha, length: mean_or_0(
            [o.loss_deepseek_seq(s[g], o.topk(s[g], k)[1], k, alpha)
             for g in slices(t, length or max(t, 1))])
        p_in, z_in, s_in = "scores(%probabilities", "logits(%logits", "scores(%scores"
        # (routing, input, metric, value)
        self.rows = [
            ("top", p_in, "#moe.switch_loss", switch(top, K)),
            ("top", p_in, "#moe.switch_loss<first>", switch(top[:, :1], 1)),
            ("top", p_in, "#moe.switch_loss<k = 1>", one(lambda: o.loss_hf_topk(p, K))),
            ("top", p_in, f"#moe.switch_loss<length = {L}>", groups(top, K)),
            ("top", p_in, f"#moe.switch_loss<first, length = {L}>", groups(top[:, :1], 1)),
            ("any", p_in, "#moe.switch_loss<k = 1>", switch(any_, 1)),
            ("any", p_in, f"#moe.switch_loss<k = 2, length = {L}>", groups(any_, 2)),
            ("top", p_in, "#moe.score_entropy", one(lambda: o.loss_top_p_entropy(p))),
            ("top", z_in, "#moe.z_loss", one(lambda: o.loss_z(z))),
            ("any", s_in, "#moe.sequence_loss", sequences(K, 1e-4, 0)),
            ("any", s_in, f"#moe.sequence_loss<alpha = 0.5, k = 2, length = {L}>",
             sequences(2, 0.5, L)),
            ("any", None, "#moe.dynmoe_load_loss", dynmoe_load(any_)),
            ("top", None, "#moe.dynmoe_load_loss", dynmoe_load(top)),
            ("any", "similarity(%similarity", "#moe.dynmoe_loss", o.loss_dynmoe(sim, np.ones(E))),
            ("any", "active", "#moe.dynmoe_loss", o.loss_dynmoe(sim, act)),
            ("any", "bias(%bias", "#moe.bias_update", o.bias_update(bias, load, 1e-3)),
            ("any", "bias(%bias", "#moe.bias_update<gamma = 0.25>", o.bias_update(bias, load, 0.25)),
            ("any", "bias+even", "#moe.bias_update<gamma = 0.25>",
             o.bias_update(bias, WINDOWS["even"], 0.25)),
            ("any", None, "#moe.expert_counts", load),
            ("top", None, "#moe.collapse", collapse(o, counts_of(top), K)),
            ("top", None, "#moe.collapse<assignments = 1>", collapse(o, counts_of(top), K, least=1)),
        ]
        for routing, idx in (("top", top), ("any", any_)):
            stats = o.utilization(counts_of(idx))
            for metric, key in UTILIZATION.items():
                self.rows.append((routing, None, "#moe." + metric, stats[key]))
        for name, window in WINDOWS.items():
            stats = o.utilization(window)
            for metric, key in UTILIZATION.items():
                self.rows.append(("any", "window." + name, "#moe." + metric, stats[key]))
            for k in (1, 2):
                self.rows.append(("any", "window." + name, f"#moe.collapse<k = {k}>",
                                  collapse(o, window, k)))
        self.rows.append(("any", "window.dominated",
                          "#moe.collapse<k = 2, spread = 0.0, share = 0.6, ratio = 2>",
                          collapse(o, WINDOWS["dominated"], 2, 0.0, 0.6, 2)))

    def expected(self):
        out = {}
        for i, (_, _, metric, value) in enumerate(self.rows):
            kind = np.int32 if is_int(metric) else np.float64
            out[result_name(i, metric)] = np.asarray(value, kind)
        return out


def is_int(metric):
    return metric.split("<")[0] in ("#moe.expert_counts", "#moe.dead_experts", "#moe.collapse")


def result_name(i, metric):
    return f"{i}.{metric.split('.', 1)[1].split('<')[0]}"


def result_type(metric):
    shape = f"{E}x" if metric.split("<")[0] in ("#moe.expert_counts", "#moe.bias_update") else ""
    return f"tensor<{shape}{'i32' if is_int(metric) else 'f32'}>"


def input_text(given):
    types = {"scores(%probabilities": "?x8xf32", "scores(%scores": "?x8xf32",
             "logits(%logits": "?x8xf32", "bias(%bias": "8xf32",
             "similarity(%similarity": "5x8xf32"}
    if given is None:
        return ""
    if given == "active":
        return " similarity(%similarity : tensor<5x8xf32>) active(%active : tensor<8xf32>)"
    if given == "bias+even":
        return " bias(%bias : tensor<8xf32>) counts(%window_even : tensor<8xi32>)"
    if given.startswith("window."):
        return f" counts(%{given.replace('.', '_')} : tensor<8xi32>)"
    return f" {given} : tensor<{types[given]}>)"


def mlir(case):
    rt = f"!moe.routing<{E} x {K}>"
    kinds = {"float32": "f32", "int32": "i32"}
    args = []
    for name, a in case.inputs.items():
        has_tokens = name in ("logits", "probabilities", "scores", "top", "any", "weights")
        shape = "x".join(["?"] * has_tokens + [str(n) for n in a.shape[has_tokens:]])
        dims = ', moe.dims = ["T"]' if has_tokens else ""
        args.append(f'%{name.replace(".", "_")}: tensor<{shape}x{kinds[a.dtype.name]}> '
                    f'{{moe.name = "{name}"{dims}}}')
    body = "".join(
        f"  %r_{name} = moe.routing.make %{name}, %weights : tensor<?x{K}xi32>, "
        f"tensor<?x{K}xf32> -> {rt}\n" for name in ("top", "any"))
    # One op for each routing and inputs, in the order of the rows.
    ops = {}
    for i, (routing, given, metric, _) in enumerate(case.rows):
        ops.setdefault((routing, given), []).append((i, metric))
    for (routing, given), metrics in ops.items():
        values = ", ".join(f"%v{i}" for i, _ in metrics)
        listed = ",\n       ".join(metric for _, metric in metrics)
        types = ", ".join(result_type(metric) for _, metric in metrics)
        body += (f"  {values} = moe.balance %r_{routing}\n      [{listed}]\n     "
                 f"{input_text(given)}\n      : {rt} -> {types}\n")
    results = ", ".join(f'{result_type(m)} {{moe.name = "{result_name(i, m)}"}}'
                        for i, (_, _, m, _) in enumerate(case.rows))
    values = ", ".join(f"%v{i}" for i in range(len(case.rows)))
    types = ", ".join(result_type(m) for _, _, m, _ in case.rows)
    return ("func.func @balance(\n    " + ",\n    ".join(args) + f")\n    -> ({results}) {{\n"
            + body + f"  return {values} : {types}\n}}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--oracle", required=True)
    parser.add_argument("--seed", type=int, default=20241122)
    args = parser.parse_args()
    spec = importlib.util.spec_from_file_location("oracle", args.oracle)
    oracle = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(oracle)
    rng = np.random.default_rng(args.seed)
    runs = []
    for t in T_SIZES:
        case = Case(oracle, rng, t)
        fixtures.save(f"balance-t{t}", case.inputs, args.seed)
        fixtures.save(f"balance-t{t}-expected", case.expected(), args.seed)
        base = f"%S/Inputs/balance-t{t}"
        runs.append(f"--inputs={base}.safetensors --expect={base}-expected.safetensors "
                    "--tolerance=1e-12")
    with open(os.path.join(fixtures.HERE, "balance.mlir"), "w") as f:
        f.write("// Written by gen_balance_fixtures.py.\n")
        f.writelines(f"// RUN: moe-interpret %s {run}\n" for run in runs)
        f.write("\n" + mlir(case) + "\n")


if __name__ == "__main__":
    main()
