# ===- refit_router.py - Fits a router to what went well ------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""moe-refit-router: re-fits the weights of a router, and nothing else (RoMA, arXiv 2511.07419).

T tokens belong to S samples. With logits z = x W^T, p = softmax(z) in f64, and r_s the mean of p over the tokens of a
sample, the objective is

    J(W) = - sum_t g_t sum_e q_te log p_te  +  lambda / S sum_s sum_j a_sj |r_s - r_j|^2
           +  decay |W - W0|^2 / |W0|^2

q are the recorded weights of the chosen experts, scaled to the sum 1; g_t is by how much the loss of a token is less
than the mean, 0 if it is not, scaled to the sum 1. The first term stands for the loss, which only a run of the model
can tell: it is least where choices that went well are made again. Of those that went wrong nobody knows what had been
right. The second term, RoMA's, pulls the routing of a sample to those of its k nearest successful ones in the space of task
embeddings, with a_sj = exp(-d_sj^2 / mean of d_s^2), scaled to the sum 1.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Sequence, Tuple

import numpy as np

from . import _tables
from ._errors import Error, fail

__all__ = ["Measures", "Neighbours", "Objective", "Recording", "Refit", "main", "refit"]


@dataclass(frozen=True)
class Recording:
    """What a model did.

    x: floats [T, H], the router's input.
    indices: integers [T, K], the chosen experts; -1 in an unused slot.
    weights: floats [T, K], theirs.
    embeddings: floats [S, D], one of each sample's task.
    loss: floats [T] or [S], of each token or sample.
    sample: integers [T] in [0, S), the sample of each token; None: sample t is token t.
    success: booleans [S]; None: the samples whose mean loss is at most the median.
    """

    x: Any
    indices: Any
    weights: Any
    embeddings: Any
    loss: Any
    sample: Any = None
    success: Any = None


@dataclass(frozen=True)
class Neighbours:
    """For each sample its k nearest successful others, `rows` [S, k], and their `weights` [S, k] of sum 1. Where there
    are fewer than k, the rest has the weight 0."""

    rows: Any
    weights: Any


def neighbours(embeddings: Any, candidates: Any, k: int) -> Neighbours:
    """Of every sample among `candidates` (booleans [S]), without itself; equal distances in order of their numbers."""
    points = np.asarray(embeddings, np.float64)
    near = np.flatnonzero(candidates)
    k = min(k, len(near))
    rows, weights = np.zeros((len(points), k), np.int64), np.zeros((len(points), k))
    for s, point in enumerate(points):
        d = ((points[near] - point)**2).sum(axis=1)
        others = near != s
        best = np.argsort(d[others], kind="stable")[:k]
        rows[s, :len(best)] = near[others][best]
        d = d[others][best]
        if len(best):
            a = np.exp(-d / max(d.mean(), 1e-300))
            weights[s, :len(best)] = a / a.sum()
    return Neighbours(rows, weights)


def softmax(z: Any) -> Any:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def gains(loss: Any) -> Any:
    """g of the module's text; all 0 where all losses are equal."""
    g = np.maximum(loss.mean() - loss, 0)
    return g / max(float(g.sum()), 1e-300)


def cross_entropy(gain: Any, q: Any, z: Any) -> float:
    """The first term, of logits."""
    top_z = z.max(axis=1, keepdims=True)
    log_p = z - top_z - np.log(np.exp(z - top_z).sum(axis=1, keepdims=True))
    return float(-(gain[:, None] * q * log_p).sum())


def top(z: Any, k: int) -> Any:
    """The k largest of each row, the first of equals, as a mask [T, E]."""
    mask = np.zeros(z.shape, bool)
    np.put_along_axis(mask, np.argsort(-z, axis=1, kind="stable")[:, :k], True, axis=1)
    return mask


class Objective:
    """J and its gradient. Arrays as in the module's text: x [T, H], q [T, E], loss [T], sample [T] without gaps,
    near of S samples, and the weights from which the router starts, [E, H]."""

    def __init__(self, x: Any, q: Any, loss: Any, sample: Any, near: Neighbours, start: Any, strength: float,
                 decay: float) -> None:
        self.x, self.q, self.sample, self.near = x, q, sample, near
        self.gain = gains(loss)
        self.start, self.strength = start, strength
        self.decay = decay / max(float((start**2).sum()), 1e-300)
        self.tokens = np.bincount(sample, minlength=len(near.rows))

    def __call__(self, w: Any) -> Tuple[float, Any]:
        z = self.x @ w.T
        p = softmax(z)
        value = cross_entropy(self.gain, self.q, z)

        samples = len(self.tokens)
        r = np.zeros((samples, p.shape[1]))
        np.add.at(r, self.sample, p)
        r /= self.tokens[:, None]
        difference = r[:, None, :] - r[self.near.rows]
        scale = self.strength / samples
        value += scale * float((self.near.weights * (difference**2).sum(axis=2)).sum())
        pull = 2 * scale * self.near.weights[:, :, None] * difference
        dr = pull.sum(axis=1)
        np.add.at(dr, self.near.rows, -pull)
        dp = (dr / self.tokens[:, None])[self.sample]

        value += self.decay * float(((w - self.start)**2).sum())
        dz = p * (dp - (dp * p).sum(axis=1, keepdims=True))
        dz += self.gain[:, None] * (self.q.sum(axis=1, keepdims=True) * p - self.q)
        return value, dz.T @ self.x + 2 * self.decay * (w - self.start)


def minimize(objective: Any, start: Any, steps: int, rate: float) -> Any:
    """Adam on all tokens at once. Steps are `rate` of the weights' root mean square; the best weights are kept."""
    w, best, least = start.copy(), start, np.inf
    first, second = np.zeros_like(w), np.zeros_like(w)
    size = rate * max(float(np.sqrt((start**2).mean())), 1e-12)
    for step in range(1, steps + 2):
        value, gradient = objective(w)
        if value < least:
            least, best = value, w.copy()
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        w -= size * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-15)
    return best


@dataclass(frozen=True)
class Measures:
    """Of the samples that were held back.

    agreement: which part of the top K of their tokens successful neighbours chose, too, as recorded: for each of the
        neighbours the share of its choices that each expert got, times K and at most 1, weighted as in J; in [0, 1].
    loss: the first term of J, which stands for the loss.
    """

    agreement: float
    loss: float


@dataclass(frozen=True)
class Refit:
    """weights: f32 [E, H]; before and after: what they did to the samples `held_back` (booleans [S]); reproduced: the
    part of the recorded choices that the old weights make of x."""

    weights: Any
    before: Measures
    after: Measures
    held_back: Any
    success: Any
    reproduced: float


def _floats(name: str, value: Any, rank: int) -> Any:
    array = np.asarray(value)
    if array.ndim != rank or 0 in array.shape or array.dtype.kind not in "fiub":
        fail(f"{name}: is {array.dtype}{list(array.shape)}; expected numbers with {rank} dimensions")
    if not np.isfinite(array).all():
        fail(f"{name}: row {np.argwhere(~np.isfinite(array))[0][0]} holds a value that is not finite")
    return array.astype(np.float64)


def _integers(name: str, value: Any, shape: Tuple[int, ...], least: int, most: int) -> Any:
    array = np.asarray(value)
    if array.dtype.kind not in "iu" or array.shape != shape:
        fail(f"{name}: is {array.dtype}{list(array.shape)}; expected integers {list(shape)}")
    bad = np.argwhere((array < least) | (array > most))
    if len(bad):
        fail(f"{name}: row {bad[0][0]} holds {array[tuple(bad[0])]}; expected {least} to {most}")
    return array.astype(np.int64)


class _Checked:
    """A recording whose arrays fit together and to the weights [E, H], as f64 and int64."""

    def __init__(self, weights: Any, given: Recording) -> None:
        self.w = _floats("router", weights, 2)
        experts, hidden = self.w.shape
        self.x = _floats("x", given.x, 2)
        tokens = len(self.x)
        if self.x.shape[1] != hidden:
            fail(f"x: has {self.x.shape[1]} columns, and the router's weights have {hidden}")
        shape = np.shape(given.indices)
        self.slots = shape[1] if len(shape) == 2 else 0
        if not 1 <= self.slots <= experts:
            fail(f"routing.indices: is {list(shape)}; expected [{tokens}, K] with K up to {experts}")
        self.indices = _integers("routing.indices", given.indices, (tokens, self.slots), -1, experts - 1)
        recorded = _floats("routing.weights", given.weights, 2)
        if recorded.shape != self.indices.shape:
            fail(f"routing.weights: is {list(recorded.shape)}; expected {list(self.indices.shape)}")
        self.embeddings = _floats("embeddings", given.embeddings, 2)
        samples = len(self.embeddings)
        if given.sample is None and samples != tokens:
            fail(f"embeddings: are of {samples} samples for {tokens} tokens; expected one for each, or a tensor "
                 "'sample' [T]")
        self.sample = (np.arange(tokens) if given.sample is None
                       else _integers("sample", given.sample, (tokens,), 0, samples - 1))
        self.counts = np.bincount(self.sample, minlength=samples)
        if not self.counts.all():
            fail(f"sample: no token belongs to sample {int(self.counts.argmin())} of {samples}")
        loss = _floats("loss", given.loss, 1)
        if len(loss) not in (tokens, samples):
            fail(f"loss: has {len(loss)} values; expected {tokens}, of tokens, or {samples}, of samples")
        self.loss = loss if len(loss) == tokens else loss[self.sample]
        mean = np.bincount(self.sample, self.loss, samples) / self.counts
        self.success = mean <= np.median(mean) if given.success is None else np.asarray(given.success).astype(bool)
        if self.success.shape != (samples,):
            fail(f"success: is {list(self.success.shape)}; expected [{samples}]")

        used = self.indices >= 0
        rows = np.nonzero(used)[0]
        self.chosen, self.q = np.zeros((tokens, experts), bool), np.zeros((tokens, experts))
        self.chosen[rows, self.indices[used]] = True
        np.add.at(self.q, (rows, self.indices[used]), np.maximum(recorded[used], 0))
        self.q /= np.maximum(self.q.sum(axis=1, keepdims=True), 1e-300)


def _measure(given: _Checked, w: Any, held_back: Any, near: Neighbours) -> Measures:
    """Neighbours' choices are those that were recorded, whatever the weights are now."""
    z = given.x @ w.T
    share = np.zeros((len(given.counts), len(w)))
    np.add.at(share, given.sample, given.chosen.astype(np.float64))
    share = np.minimum(share * given.slots / np.maximum(share.sum(axis=1, keepdims=True), 1), 1)
    expected = (near.weights[:, :, None] * share[near.rows]).sum(axis=1)
    at = held_back[given.sample]
    agreement = (top(z, given.slots) * expected[given.sample])[at].sum() / (given.slots * at.sum())
    return Measures(float(agreement), cross_entropy(gains(given.loss[at]), given.q[at], z[at]))


def refit(weights: Any, recording: Recording, *, strength: float = 1.0, k: int = 5, decay: float = 1e-3,
          hold_back: float = 0.2, steps: int = 300, rate: float = 0.01, seed: int = 0, dtype: str = "F32") -> Refit:
    """Re-fits `weights` [E, H] to a recording; `strength` is lambda. A part `hold_back` of the samples is not used but
    for measuring, with neighbours among the others. Results are values that `dtype` (F32, BF16, F16) can hold. The
    same seed gives the same bits.

    Raises Error if tensors do not fit together, if no sample that is used was successful, and if the weights do not
    make at least 90 % of the recorded choices of x: then they are another router's.
    """
    given = _Checked(weights, recording)
    samples = len(given.embeddings)
    held = int(round(hold_back * samples))
    if not 1 <= held < samples:
        fail(f"hold-back: {hold_back:g} of {samples} samples are {held}; expected at least one, and one that is used")
    if k < 1 or steps < 1 or not (rate > 0 and strength >= 0 and decay >= 0):
        fail("expected neighbours and steps of at least 1, a rate above 0, and lambda and decay of at least 0")
    used = (given.indices >= 0).sum()
    reproduced = float((top(given.x @ given.w.T, given.slots) & given.chosen).sum() / max(used, 1))
    if reproduced < 0.9:
        fail(f"router: its weights choose {100 * reproduced:.0f} % of the recorded experts of x; expected at least "
             "90 %: another layer's, or its choice is not that of the largest x W^T")
    held_back = np.zeros(samples, bool)
    held_back[np.random.default_rng(seed).permutation(samples)[:held]] = True
    candidates = given.success & ~held_back
    if not candidates.any():
        fail(f"success: none of the {samples - held} samples that are used was successful")

    # What is left, with samples numbered without gaps.
    number = np.cumsum(~held_back) - 1
    at = ~held_back[given.sample]
    near = neighbours(given.embeddings[~held_back], candidates[~held_back], k)
    objective = Objective(given.x[at], given.q[at], given.loss[at], number[given.sample[at]], near, given.w, strength,
                          decay)
    fitted = _tables.round_to(dtype, minimize(objective, given.w, steps, rate))
    near = neighbours(given.embeddings, candidates, k)
    return Refit(fitted, _measure(given, given.w, held_back, near),
                 _measure(given, fitted.astype(np.float64), held_back, near), held_back, given.success, reproduced)


# -- The command line ---------------------------------------------------------


def _parser() -> _tables.Parser:
    parser = _tables.Parser(prog="moe-refit-router", description="Re-fits the weights of a router to recorded "
                            "routings, task embeddings and losses, and says what it does to samples held back. "
                            "Experts stay as they are.")
    parser.add_argument("weights", help="a .safetensors file with the router's weights [E, H], or a .npy file")
    parser.add_argument("--router", metavar="NAME", help="the tensor (default: the only one)")
    parser.add_argument("--inputs", metavar="FILE,...", required=True, help="the tensors x, routing.indices, "
                        "routing.weights, embeddings and loss or correct, and if there are, sample and success: "
                        ".npy files named so, .safetensors files, folders")
    parser.add_argument("-o", dest="output", metavar="FILE", required=True,
                        help=".safetensors (the tensor under its name, in its type) or .npy")
    parser.add_argument("--lambda", dest="strength", type=float, default=1.0, metavar="X",
                        help="how much neighbours count (default: 1)")
    parser.add_argument("--neighbours", type=int, default=5, metavar="K", help="how many (default: 5)")
    parser.add_argument("--decay", type=float, default=1e-3, metavar="X",
                        help="how much a change of the weights costs (default: 0.001)")
    parser.add_argument("--hold-back", type=float, default=0.2, metavar="PART",
                        help="samples for measuring alone (default: 0.2)")
    parser.add_argument("--steps", type=int, default=300, metavar="N", help="of the gradient (default: 300)")
    parser.add_argument("--rate", type=float, default=0.01, metavar="X",
                        help="their size, by that of the weights (default: 0.01)")
    parser.add_argument("--seed", type=int, default=0, help="which samples are held back (default: 0)")
    parser.add_argument("--held-back-out", metavar="FILE.npy", help="write which those were, booleans [S]")
    return parser


def _read_weights(path: Path, name: Optional[str]) -> Tuple[str, str, Any]:
    """Name, type and values of the router."""
    if path.suffix != ".safetensors":
        return name or path.stem, "F32", _tables.read_npy(path)
    tensors = _tables.read_safetensors(path)
    if name is None:
        if len(tensors) != 1:
            fail(f"{path}: has {len(tensors)} tensors; choose one with --router=NAME")
        name = next(iter(tensors))
    if name not in tensors:
        fail(f"{path}: has no tensor {name!r}")
    dtype, array = tensors[name]
    if dtype not in ("F32", "BF16", "F16"):
        fail(f"{path}: tensor {name!r} is {dtype}; expected F32, BF16 or F16")
    return name, dtype, array


def _read_recording(text: str) -> Recording:
    tensors = _tables.read_all(text.split(","))
    if ("loss" in tensors) == ("correct" in tensors):
        fail("--inputs: expected either a tensor 'loss' or a tensor 'correct'")
    for name in ("x", "routing.indices", "routing.weights", "embeddings"):
        if name not in tensors:
            fail(f"--inputs: no file has a tensor {name!r}")
    loss, success = tensors.get("loss"), tensors.get("success")
    if loss is None:
        correct = np.asarray(tensors["correct"])
        if correct.shape != (len(tensors["embeddings"]),) or not np.isin(correct, (0, 1)).all():
            fail(f"correct: is {correct.dtype}{list(correct.shape)}; expected 0 or 1 for each of "
                 f"{len(tensors['embeddings'])} samples")
        loss, success = 1 - correct.astype(np.float64), correct if success is None else success
    return Recording(tensors["x"], tensors["routing.indices"], tensors["routing.weights"], tensors["embeddings"], loss,
                     tensors.get("sample"), success)


def _run(args: Any) -> None:
    path, target = Path(args.weights), Path(args.output)
    if target.suffix not in (".safetensors", ".npy"):
        fail(f"-o {target}: expected a .safetensors or .npy file")
    name, dtype, weights = _read_weights(path, args.router)
    found = refit(weights, _read_recording(args.inputs), strength=args.strength, k=args.neighbours, decay=args.decay,
                  hold_back=args.hold_back, steps=args.steps, rate=args.rate, seed=args.seed, dtype=dtype)
    _tables.write(target, {name: (dtype, found.weights)})
    if args.held_back_out:
        _tables.write(Path(args.held_back_out).with_suffix(".npy"), {"held_back": ("BOOL", found.held_back)})
    held = int(found.held_back.sum())
    print(f"{name}: {100 * found.reproduced:.1f} % of the recorded choices are those of its weights")
    print(f"{len(found.success)} samples, {int(found.success.sum())} successful; {held} held back, on which")
    print(f"  agreement with successful neighbours: {found.before.agreement:.4f} before, "
          f"{found.after.agreement:.4f} after")
    print(f"  loss proxy: {found.before.loss:.4f} before, {found.after.loss:.4f} after")


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Runs the program; returns the exit status."""
    args = _parser().parse_args(arguments)
    try:
        _run(args)
    except Error as error:
        print(f"moe-refit-router: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
