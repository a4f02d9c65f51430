#!/usr/bin/env python3
"""Writes the fixtures of policies that give each token its own number of experts.

    python3 gen_ragged_fixtures.py [--seed=20240911]

For each policy a model of routers over one tensor of scores, scores of random
and of awkward values, and the choice and weights that a few lines of NumPy below
derive from the definitions of the policies. Scores are f32 and so exact for the
interpreter and for kernels; expected weights are f64.
"""
import argparse
import os

import numpy as np

from gen_fixtures import HERE, save

E = 21              # what imports this file may set it before calling functions
T_SIZES = (5, 1, 0, 37)
F32 = np.float32


# --------------------------------------------------------------------------
# Definitions, one row or one column at a time
# --------------------------------------------------------------------------

def best_first(values):
    """Places of `values`: larger first, the lower of equals, NaN last."""
    return sorted(range(len(values)),
                  key=lambda i: (np.isnan(values[i]), 0 if np.isnan(values[i]) else -values[i], i))


def mask_row(chosen, scores, fallback):
    """Slots of one token from a condition for each expert."""
    if fallback and not any(chosen):
        chosen = [e == best_first(scores)[0] for e in range(E)]
    return [e if c else -1 for e, c in enumerate(chosen)]


def top_any(scores, thresholds, min_k, fallback_score=False):
    idx, w = [], []
    for row in scores:
        above = [s > t for s, t in zip(row, thresholds)]
        slots = mask_row(above, row, min_k)
        k = sum(s >= 0 for s in slots)
        value = 1.0 / max(k, 1)
        if fallback_score and not any(above) and k:
            value = row[best_first(row)[0]]
        idx.append(slots)
        w.append([value if s >= 0 else 0.0 for s in slots])
    return idx, w


def own_scores(idx, scores):
    """Every chosen expert's score as its weight."""
    return idx, [[row[s] if s >= 0 else 0.0 for s in slots] for slots, row in zip(idx, scores)]


def threshold(scores, value, min_k):
    return own_scores([mask_row([s > value for s in row], row, min_k) for row in scores], scores)


def min_p(scores, p):
    idx = []
    for row in scores:
        numbers = [s for s in row if not np.isnan(s)]
        least = p * max(numbers) if numbers else np.nan
        idx.append(mask_row([s >= least for s in row], row, True))
    return own_scores(idx, scores)


def top_p(scores, p, strict):
    idx = []
    for row in scores:
        slots, total, done = [], 0.0, False
        for j, e in enumerate(best_first(row)):
            if j > 0 and not (total <= p if strict else total < p):
                done = True
            slots.append(-1 if done else e)
            total += row[e]
        idx.append(slots)
    return own_scores(idx, scores)


def expert_choice(scores, capacity=None, factor=None):
    tokens = len(scores)
    if capacity is None:
        capacity = round(tokens * factor / E)      # Python rounds halves to even
    capacity = min(max(capacity, 1), tokens)
    idx = np.full((tokens, E), -1)
    for e in range(E):
        for t in best_first([row[e] for row in scores])[:capacity]:
            idx[t, e] = e
    return own_scores(idx, scores)


def sums_to_one(idx, w):
    """Weights divided by their sum over the used slots, plus 1e-20."""
    return idx, [list(np.array(row) / (sum(row) + 1e-20)) for row in w]


def squares(idx, w):
    return idx, [[v * v for v in row] for row in w]


# --------------------------------------------------------------------------
# Scores
# --------------------------------------------------------------------------

AWKWARD_THRESHOLDS = [0.5, 0.5, 0.25, 0.0, np.inf, np.nan]


def awkward_rows():
    nan, inf = np.nan, np.inf
    tile = lambda *values: np.resize(np.array(values, F32), E)
    half, step = F32(0.5), np.nextafter(F32(0.5), F32(1.0)) - F32(0.5)
    one_hot = np.zeros(E, F32)
    one_hot[E * 2 // 3] = 1
    powers = np.array([2.0 ** -(e + 1) for e in range(E)], F32)
    return np.array([
        tile(0.125, 0.25, 0.25, 0.125, 0.25),          # ties
        tile(0.0, -0.0),                               # zeros of both signs
        tile(nan, 0.75, nan, -inf, 0.25),              # NaN between numbers
        tile(nan),
        tile(-inf),
        tile(inf, 0.5, inf, 0.0, -inf),
        tile(-inf, -inf, 0.75),
        tile(-1, -2, -3, -0.5),                        # below every threshold
        tile(1e-45, 0, -1e-45, 3e-39, -0.0, 1e-38),    # denormals
        tile(0.5),                                     # every threshold exactly
        tile(half, half + step, half - step / 2),      # next to the threshold
        powers,                                        # sums that are exact
        powers[::-1],
        one_hot,
        tile(1.0, 0.5, 0.25, 0.125),
        tile(nan, nan, nan, 1.0),
        tile(1e37, 1e37, 1.0),                         # far above 1
    ], F32)


def ordinary_rows(rng, policy, tokens):
    z = 2 * rng.standard_normal((tokens, E))
    if policy in ("top-any", "threshold"):
        return (1 / (1 + np.exp(1 - z))).astype(F32)
    return softmax(z).astype(F32)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# --------------------------------------------------------------------------
# Models
# --------------------------------------------------------------------------

def squares_region():
    return f""" weights {{
  ^bb0(%v: vector<{E}xf32>, %used: vector<{E}xi1>):
    %s = arith.mulf %v, %v : vector<{E}xf32>
    moe.yield %s : vector<{E}xf32>
  }}"""


class Case:
    def __init__(self, name, policy, choose, weigh=True, using="", weighing="", region=""):
        self.__dict__.update(locals())


def cases_of(thresholds):
    """Policy file -> its routers."""
    any_case = lambda name, params, *args: Case(
        name, f"#moe.top_any<{params}>", lambda s: top_any(s, thresholds, *args), weigh=False,
        using=f" using(%thresholds : tensor<{E}xf32>)")
    return {
        "top-any": [
            any_case("min0", "min_k = 0", 0),
            any_case("min1", "min_k = 1", 1),
            any_case("score", "min_k = 1, fallback = score", 1, True),
        ],
        "threshold": [
            Case("min0", "#moe.threshold<0.5, min_k = 0>", lambda s: threshold(s, 0.5, 0)),
            Case("min1", "#moe.threshold<0.5, min_k = 1>", lambda s: threshold(s, 0.5, 1)),
            Case("zero", "#moe.threshold<0.0, min_k = 0>", lambda s: threshold(s, 0.0, 0)),
            Case("below", "#moe.threshold<-1.0, min_k = 0>", lambda s: threshold(s, -1.0, 0)),
        ],
        "min-p": [
            Case("quarter", "#moe.min_p<0.25>", lambda s: min_p(s, 0.25)),
            Case("zero", "#moe.min_p<0.0>", lambda s: min_p(s, 0.0)),
            Case("one", "#moe.min_p<1.0>", lambda s: min_p(s, 1.0)),
        ],
        "top-p": [
            Case("strict", "#moe.top_p<0.5, strict = true>", lambda s: top_p(s, 0.5, True)),
            Case("reach", "#moe.top_p<0.5, strict = false>", lambda s: top_p(s, 0.5, False)),
            Case("zero", "#moe.top_p<0.0, strict = true>", lambda s: top_p(s, 0.0, True)),
            Case("below", "#moe.top_p<-1.0, strict = true>", lambda s: top_p(s, -1.0, True)),
            Case("most", "#moe.top_p<0.875, strict = false>", lambda s: top_p(s, 0.875, False)),
            Case("all", "#moe.top_p<2.0, strict = true>", lambda s: top_p(s, 2.0, True)),
        ],
        "expert-choice": [
            Case("one", "#moe.expert_choice<capacity = 1>", lambda s: expert_choice(s, 1)),
            Case("three", "#moe.expert_choice<capacity = 3>", lambda s: expert_choice(s, 3)),
            Case("many", "#moe.expert_choice<capacity = 1000>", lambda s: expert_choice(s, 1000)),
            # 5 tokens: 2.5, which is even below; 1 token: 0.5; 37: 18.5.
            Case("halves", "#moe.expert_choice<factor = 10.5>", lambda s: expert_choice(s, None, 10.5)),
            Case("few", "#moe.expert_choice<factor = 0.1>", lambda s: expert_choice(s, None, 0.1)),
            Case("ones", "#moe.expert_choice<factor = 4.0>",
                 lambda s: (lambda i, w: (i, [[float(j >= 0) for j in r] for r in i]))(
                     *expert_choice(s, None, 4.0)), weigh=False),
            Case("sum", "#moe.expert_choice<factor = 4.0>",
                 lambda s: sums_to_one(*expert_choice(s, None, 4.0)),
                 weighing=" weighing [#moe.normalize<sum, eps = 1.0e-20>]"),
            Case("squares", "#moe.expert_choice<factor = 4.0>",
                 lambda s: squares(*expert_choice(s, None, 4.0)), region=squares_region()),
        ],
    }


def model(cases, has_thresholds):
    rows, slots = f"tensor<?x{E}xf32>", f"tensor<?x{E}xi32>"
    rt = f"!moe.routing<{E} x {E}>"
    args = [f'%scores: {rows} {{moe.name = "scores", moe.dims = ["T"]}}']
    if has_thresholds:
        args.append(f'%thresholds: tensor<{E}xf32> {{moe.name = "thresholds"}}')
    body, results, values = "", [], []
    for case in cases:
        n = case.name
        weigh = " weigh(%scores)" if case.weigh else ""
        body += f"""
  %r_{n} = moe.router {case.policy} select(%scores){weigh}{case.using}{case.weighing}
      : {rows} -> {rt}{case.region}
  %i_{n} = moe.routing.indices %r_{n} : {rt} -> {slots}
  %w_{n} = moe.routing.weights %r_{n} : {rt} -> {rows}
  %o_{n} = moe.routing.offsets %r_{n} : {rt} -> tensor<{E + 1}xi32>"""
        for kind, value, key, dims in ((slots, f"%i_{n}", "idx", ', moe.dims = ["T"]'),
                                       (rows, f"%w_{n}", "w", ', moe.dims = ["T"]'),
                                       (f"tensor<{E + 1}xi32>", f"%o_{n}", "offsets", "")):
            results.append((kind, f'{kind} {{moe.name = "{n}.{key}"{dims}}}'))
            values.append(value)
    text = "func.func @route(" + ",\n                ".join(args) + ")\n    -> ("
    text += ",\n        ".join(r for _, r in results) + f") {{{body}\n  return {', '.join(values)}\n"
    return text + "      : " + ", ".join(k for k, _ in results) + "\n}"


def expected(cases, scores):
    data = {}
    exact = scores.astype(np.float64)
    for case in cases:
        idx, w = case.choose([list(row) for row in exact])
        idx = np.array(idx, np.int32).reshape(-1, E)
        counts = [np.count_nonzero(idx == e) for e in range(E)]
        data[case.name + ".idx"] = idx
        data[case.name + ".w"] = np.array(w, np.float64).reshape(-1, E)
        data[case.name + ".offsets"] = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return data


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=20240911)
    seed = parser.parse_args().seed
    rng = np.random.default_rng(seed)
    thresholds = rng.uniform(0.3, 0.7, E).astype(F32)
    thresholds[:6] = AWKWARD_THRESHOLDS
    for name, cases in cases_of(thresholds.astype(np.float64)).items():
        sets = {"awkward": awkward_rows()}
        for t in T_SIZES:
            sets[f"t{t}"] = ordinary_rows(rng, name, t)
        more = {"thresholds": thresholds} if name == "top-any" else {}
        runs = []
        for key, scores in sets.items():
            save(f"{name}-{key}", {"scores": scores, **more, **expected(cases, scores)}, seed)
            file = f"%S/Inputs/{name}-{key}.safetensors"
            runs.append(f"--inputs={file} --expect={file} --tolerance=1e-12")
        with open(os.path.join(HERE, name + ".mlir"), "w") as f:
            f.write("// Written by gen_ragged_fixtures.py.\n")
            f.writelines(f"// RUN: moe-interpret %s {run}\n" for run in runs)
            f.write("\n" + model(cases, bool(more)) + "\n")


if __name__ == "__main__":
    with np.errstate(all="ignore"):
        main()
