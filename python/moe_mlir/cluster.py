# ===- cluster.py - Clusters of embeddings --------------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""moe-cluster: clusters of embeddings, for experts that search in documents (MODE, arXiv 2509.00100).

`kmeans` and `hdbscan` take embeddings [N, H] of any float type and return `Clusters`. With the metric "cosine"
lengths do not count; "l2" is for searches by distance or dot product.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from . import _tables
from ._errors import Error, fail

__all__ = ["Clusters", "Range", "group", "hdbscan", "kmeans", "main"]

METRICS = ("cosine", "l2")

#: Rows whose distances to all centroids are in memory at once.
_BLOCK = 4096


@dataclass(frozen=True)
class Range:
    """Clusters that are stored alike: chunks f32 [n, capacity, H], and ids i32 [n, capacity], which are rows of the
    embeddings, or -1 where a cluster has fewer."""

    chunks: Any
    ids: Any


@dataclass(frozen=True)
class Clusters:
    """E clusters of N embeddings, the largest first.

    centroids: f32 [E, H], the means; with "cosine" those of the rows scaled to length 1.
    offsets: i32 [E + 1]; cluster e is rows offsets[e] to offsets[e + 1] of `chunks`.
    permutation: i32 [N], which row of the embeddings each row of `chunks` is; ascending in each cluster.
    chunks: f32 [N, H], the embeddings in this order.
    """

    centroids: Any
    offsets: Any
    permutation: Any
    chunks: Any

    def ranges(self, shape: Sequence[Tuple[int, int]]) -> List[Range]:
        """The clusters as ranges of (how many, capacity), in their order. Raises Error where one does not fit."""
        expected, given = len(self.offsets) - 1, sum(n for n, _ in shape)
        if expected != given:
            fail(f"ranges: hold {given} clusters, and there are {expected}")
        found, e = [], 0
        for number, (n, capacity) in enumerate(shape):
            chunks = np.zeros((n, capacity, self.chunks.shape[1]), np.float32)
            ids = np.full((n, capacity), -1, np.int32)
            for i in range(n):
                begin, end = self.offsets[e], self.offsets[e + 1]
                if end - begin > capacity:
                    fail(f"ranges: cluster {e} has {end - begin} chunks, and range {number} has room for {capacity}")
                chunks[i, :end - begin] = self.chunks[begin:end]
                ids[i, :end - begin] = self.permutation[begin:end]
                e += 1
            found.append(Range(chunks, ids))
        return found


def _prepare(embeddings: Any, metric: str) -> Tuple[Any, Any]:
    """The embeddings as f32, and the points to cluster as f64."""
    array = np.asarray(embeddings)
    if metric not in METRICS:
        fail(f"metric: is {metric!r}; expected one of {', '.join(METRICS)}")
    if array.ndim != 2 or 0 in array.shape or array.dtype.kind != "f":
        fail(f"embeddings: are {array.dtype}{list(array.shape)}; expected floats [N, H]")
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(bad):
        fail(f"embeddings: row {bad[0]} holds a value that is not finite")
    points = array.astype(np.float64)
    if metric == "cosine":
        points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    return array.astype(np.float32), points


def _nearest(points: Any, centroids: Any) -> Tuple[Any, Any]:
    """The nearest centroid of each point, the first of equals, and the squared distance to it."""
    labels = np.empty(len(points), np.int64)
    distances = np.empty(len(points))
    squares = (centroids**2).sum(axis=1)
    for begin in range(0, len(points), _BLOCK):
        block = points[begin:begin + _BLOCK]
        d = squares - 2 * block @ centroids.T
        best = d.argmin(axis=1)
        labels[begin:begin + _BLOCK] = best
        # Not of the expansion, which leaves a rest where a point is its centroid.
        distances[begin:begin + _BLOCK] = ((block - centroids[best])**2).sum(axis=1)
    return labels, distances


def _means(points: Any, labels: Any, k: int) -> Any:
    sums = np.zeros((k, points.shape[1]))
    np.add.at(sums, labels, points)
    return sums / np.maximum(np.bincount(labels, minlength=k), 1)[:, None]


def _seed_centroids(points: Any, k: int, random: Any) -> Any:
    """k-means++: each with a probability that grows with the squared distance to those before."""
    chosen = [int(random.integers(len(points)))]
    distances = ((points - points[chosen[0]])**2).sum(axis=1)
    while len(chosen) < k:
        total = distances.sum()
        if total == 0:
            fail(f"clusters: {k} are wanted, and only {len(chosen)} embeddings differ")
        at = np.searchsorted(np.cumsum(distances), random.random() * total, side="right")
        # Rounding must not choose what has been chosen.
        at = int(at) if at < len(points) and distances[at] > 0 else int(distances.argmax())
        chosen.append(at)
        distances = np.minimum(distances, ((points - points[at])**2).sum(axis=1))
    return points[chosen]


def _lloyd(points: Any, k: int, random: Any, iterations: int) -> Tuple[float, Any]:
    centroids = _seed_centroids(points, k, random)
    labels, distances = _nearest(points, centroids)
    for _ in range(iterations):
        before = labels
        for empty in np.flatnonzero(np.bincount(labels, minlength=k) == 0):
            # The point that its cluster describes worst; never the last of a cluster.
            counts = np.bincount(labels, minlength=k)
            farthest = int(np.where(counts[labels] > 1, distances, -1).argmax())
            labels[farthest], distances[farthest] = empty, 0
        labels, distances = _nearest(points, _means(points, labels, k))
        if np.array_equal(labels, before):
            break
    return float(distances.sum()), labels


def kmeans(embeddings: Any, k: int, *, metric: str = "cosine", seed: int = 0, restarts: int = 10,
           iterations: int = 100) -> Clusters:
    """`k` clusters by k-means from k-means++; the best of `restarts`. The same seed gives the same bits.

    Raises Error if there are fewer than `k` embeddings that differ.
    """
    array, points = _prepare(embeddings, metric)
    if not 1 <= k <= len(points):
        fail(f"clusters: {k} are wanted of {len(points)} embeddings")
    random = np.random.default_rng(seed)
    best = min((_lloyd(points, k, random, iterations) for _ in range(max(restarts, 1))), key=lambda found: found[0])
    return _group(array, points, best[1])


def hdbscan(embeddings: Any, *, min_size: int = 5, metric: str = "cosine") -> Clusters:
    """The clusters that HDBSCAN of scikit-learn finds, of at least `min_size` embeddings; those that it calls noise
    go to the cluster whose centroid is nearest, and do not change the centroid.

    Raises Error without scikit-learn, and if there is no cluster.
    """
    array, points = _prepare(embeddings, metric)
    try:
        from sklearn.cluster import HDBSCAN
    except ImportError:
        fail("hdbscan: needs scikit-learn 1.3 or later (pip install 'moe-mlir[cluster]'); k-means needs nothing")
    if not 2 <= min_size <= len(points):
        fail(f"min-size: is {min_size}; expected 2 to {len(points)}, the number of embeddings")
    labels = HDBSCAN(min_cluster_size=min_size, copy=True).fit_predict(points)
    return _group(array, points, np.asarray(labels, np.int64))


def group(embeddings: Any, labels: Any, *, metric: str = "cosine") -> Clusters:
    """Clusters that something else has found: `labels` [N] are their numbers, negative for none (noise), which goes
    to the nearest centroid. Numbers that nobody has are left out."""
    array, points = _prepare(embeddings, metric)
    labels = np.asarray(labels)
    if labels.shape != (len(points),) or labels.dtype.kind not in "iu":
        fail(f"labels: are {labels.dtype}{list(labels.shape)}; expected integers [{len(points)}]")
    return _group(array, points, labels.astype(np.int64))


def _group(array: Any, points: Any, labels: Any) -> Clusters:
    known = labels >= 0
    if not known.any():
        fail("embeddings: all of them are noise, in no cluster; try a smaller --min-size, or k-means")
    numbers, own = np.unique(labels[known], return_inverse=True)
    means = _means(points[known], own, len(numbers))
    labels = labels.copy()
    labels[known] = own
    labels[~known] = _nearest(points[~known], means)[0]
    counts = np.bincount(labels, minlength=len(numbers))
    order = np.argsort(-counts, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    permutation = np.argsort(rank[labels], kind="stable")
    offsets = np.concatenate([[0], np.cumsum(counts[order])])
    return Clusters(means[order].astype(np.float32), offsets.astype(np.int32), permutation.astype(np.int32),
                    np.ascontiguousarray(array[permutation]))


# -- The command line ---------------------------------------------------------


def _shape(text: str) -> List[Tuple[int, int]]:
    found = []
    for one in text.split(","):
        match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", one)
        if not match:
            fail(f"--ranges: {one!r}; expected numbers of clusters and of chunks in each, such as 2x256,6x64")
        found.append((int(match.group(1)), int(match.group(2))))
    return found


def _parser() -> _tables.Parser:
    parser = _tables.Parser(prog="moe-cluster", description="Clusters embeddings for experts that search in "
                            "documents. Writes centroids, offsets, permutation and chunks.")
    parser.add_argument("embeddings", help="a .npy file, floats [N, H]")
    parser.add_argument("-o", dest="output", metavar="FOLDER|FILE.safetensors", required=True,
                        help="where tensors go: NAME.npy in a folder, or one file")
    parser.add_argument("--clusters", type=int, metavar="K", help="k-means with K clusters")
    parser.add_argument("--hdbscan", action="store_true", help="as many clusters as HDBSCAN finds (scikit-learn)")
    parser.add_argument("--min-size", type=int, default=5, metavar="N", help="HDBSCAN: of so many chunks (default: 5)")
    parser.add_argument("--metric", choices=METRICS, default="cosine", help="default: cosine; l2 for dot products, too")
    parser.add_argument("--seed", type=int, default=0, help="of k-means (default: 0)")
    parser.add_argument("--ranges", metavar="NxM,...", help="write range.I.chunks and range.I.ids in place of "
                        "the last three: N clusters with room for M chunks each, the largest clusters first")
    return parser


def _run(args: Any) -> None:
    if args.hdbscan == (args.clusters is not None):
        fail("expected either --clusters=K or --hdbscan")
    shape = _shape(args.ranges) if args.ranges else []
    path = Path(args.embeddings)
    array = _tables.read_npy(path)
    try:
        found = (hdbscan(array, min_size=args.min_size, metric=args.metric) if args.hdbscan
                 else kmeans(array, args.clusters, metric=args.metric, seed=args.seed))
        ranges = found.ranges(shape) if shape else []
    except Error as error:
        fail(f"{path}: {error}")
    tensors: Dict[str, Tuple[str, Any]] = {"centroids": ("F32", found.centroids)}
    if not ranges:
        tensors.update({"offsets": ("I32", found.offsets), "permutation": ("I32", found.permutation),
                        "chunks": ("F32", found.chunks)})
    for i, one in enumerate(ranges):
        tensors[f"range.{i}.chunks"] = ("F32", one.chunks)
        tensors[f"range.{i}.ids"] = ("I32", one.ids)
    _tables.write(Path(args.output), tensors)
    sizes = np.diff(found.offsets)
    print(f"{len(found.permutation)} chunks in {len(sizes)} clusters of {sizes.min()} to {sizes.max()}")


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Runs the program; returns the exit status."""
    args = _parser().parse_args(arguments)
    try:
        _run(args)
    except Error as error:
        print(f"moe-cluster: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
