"""examples/mode.mlir on clusters that moe-cluster made, against a search in NumPy.

usage: mode.py MODEL.mlir FOLDER [option of moe-run...]

Among the data are chunks that are equally similar, two clusters with fewer than four
chunks together, a query of zeros and one that is not a number.
"""
import os
import subprocess
import sys

import numpy as np

model, folder, *options = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
random = np.random.default_rng(5)
sizes = [40, 33, 12, 11, 2, 1]
means = 2 * random.standard_normal((6, 32))
chunks = np.repeat(means, sizes, axis=0) + 0.5 * random.standard_normal((sum(sizes), 32))
chunks[7], chunks[41] = chunks[3], 2 * chunks[60]  # equal cosines: in order of their ids
chunks = chunks[random.permutation(len(chunks))].astype(np.float32)
np.save(folder + "/embeddings.npy", chunks)
subprocess.run([sys.executable, "-m", "moe_mlir.cluster", folder + "/embeddings.npy", "--clusters=6",
                "--ranges=2x48,4x16", "-o", folder + "/clusters"], check=True)

queries = np.concatenate([
    chunks[::5], means[4] + means[5] + 0.1 * random.standard_normal((4, 32)), random.standard_normal((61, 32)),
    np.zeros((1, 32)), np.full((1, 32), np.nan)]).astype(np.float32)
np.save(folder + "/x.npy", queries)
names = ["centroids", "range.0.chunks", "range.0.ids", "range.1.chunks", "range.1.ids"]
inputs = ",".join([folder + "/x.npy"] + ["%s/clusters/%s.npy" % (folder, name) for name in names])
subprocess.run(["moe-run", model, "--inputs=" + inputs, "-o", folder + "/out", *options], check=True)
ids, scores = np.load(folder + "/out/ids.npy"), np.load(folder + "/out/scores.npy")

# The members of each cluster, from what was written; nothing is lost or twice.
centroids = np.load(folder + "/clusters/centroids.npy")
members = [row[row >= 0] for i in range(2) for row in np.load("%s/clusters/range.%d.ids.npy" % (folder, i))]
assert sorted(np.concatenate(members)) == list(range(len(chunks))), members
assert sorted(map(len, members)) == sorted(sizes), members


def cosines(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    a, b = (v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-12) for v in (a, b))
    return a @ b.T


padded = 0
for t, (to_centroids, to_chunks) in enumerate(zip(cosines(queries, centroids), cosines(queries, chunks))):
    if np.isnan(to_chunks).any():
        assert (ids[t] == -1).all() and (scores[t] == -np.inf).all(), (ids[t], scores[t])
        continue
    order = np.argsort(-to_centroids, kind="stable")
    assert t == len(queries) - 2 or to_centroids[order[1]] - to_centroids[order[2]] > 1e-5, "a tie of centroids"
    found = np.concatenate([members[e] for e in order[:2]])
    # Equal are those that differ by the rounding of f64.
    best = sorted(found, key=lambda c: (-round(to_chunks[c], 12), c))[:4]
    n = len(best)
    padded += n < 4
    assert list(ids[t, :n]) == best and (ids[t, n:] == -1).all(), (t, ids[t], best, to_chunks[best])
    assert np.abs(scores[t, :n] - to_chunks[best]).max() < 1e-5 and (scores[t, n:] == -np.inf).all(), t
assert padded > 0
print("%d queries: ok" % len(queries))
