# Clusters of embeddings: k-means against what the data was made of, labels with noise,
# ranges, HDBSCAN where scikit-learn is, and what is refused.
#
# RUN: %python %s %t

import os
import subprocess
import sys
import unittest
from unittest import mock

import numpy as np

import moe_mlir
from moe_mlir import cluster

OUT = sys.argv.pop(1)
os.makedirs(OUT, exist_ok=True)


def blobs(sizes, columns=8, seed=3):
    """Embeddings around means that are far apart, in a random order, and the number of each one's mean."""
    random = np.random.default_rng(seed)
    means = 10 * np.eye(len(sizes), columns)
    own = random.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return (means[own] + 0.3 * random.standard_normal((len(own), columns))).astype(np.float32), own


def program(*arguments):
    done = subprocess.run([sys.executable, "-m", "moe_mlir.cluster", *map(str, arguments)], capture_output=True,
                          text=True)
    return done.returncode, done.stdout, done.stderr


class Cluster(unittest.TestCase):
    SIZES = (30, 21, 9, 4)

    def check(self, found, array, own, metric):
        """That clusters are those of the data, their arrays say the same, and the largest is first."""
        self.assertEqual(list(np.diff(found.offsets)), list(self.SIZES))
        self.assertTrue(np.array_equal(np.sort(found.permutation), np.arange(len(array))))
        self.assertTrue(np.array_equal(found.chunks, array[found.permutation]))
        for e, (begin, end) in enumerate(zip(found.offsets, found.offsets[1:])):
            rows = found.permutation[begin:end]
            self.assertEqual(set(own[rows]), {e})
            self.assertTrue((np.diff(rows) > 0).all())
            members = array[rows].astype(np.float64)
            if metric == "cosine":
                members /= np.linalg.norm(members, axis=1, keepdims=True)
            np.testing.assert_allclose(found.centroids[e], members.mean(axis=0), atol=1e-6)

    def test_kmeans(self):
        array, own = blobs(self.SIZES)
        for metric in cluster.METRICS:
            found = cluster.kmeans(array, 4, metric=metric)
            self.check(found, array, own, metric)
            again = cluster.kmeans(array, 4, metric=metric)
            self.assertEqual(found.centroids.tobytes(), again.centroids.tobytes())

    def test_lengths_count_only_for_l2(self):
        """Two directions with two lengths each."""
        array = np.array([[1, 0], [9, 0], [1, 0.1], [9, 0.1], [0, 1], [0, 9]], np.float64)
        self.assertEqual(sorted(cluster.kmeans(array, 2).permutation[:4]), [0, 1, 2, 3])
        by_distance = cluster.kmeans(array, 3, metric="l2")
        begins, rows = by_distance.offsets, by_distance.permutation
        self.assertEqual([rows[a:b].tolist() for a, b in zip(begins, begins[1:])], [[0, 2, 4], [1, 3], [5]])

    def test_every_cluster_has_one(self):
        """As many clusters as embeddings, twice the same among them: too many by one."""
        array = np.eye(5)
        self.assertEqual(list(np.diff(cluster.kmeans(array, 5).offsets)), [1] * 5)
        array[4] = array[0]
        with self.assertRaisesRegex(moe_mlir.Error, "5 are wanted, and only 4 embeddings differ"):
            cluster.kmeans(array, 5)

    def test_noise_goes_to_the_nearest(self):
        """And does not move the centroid; numbers that nobody has are left out."""
        array = np.array([[0, 0], [0, 2], [8, 0], [8, 2], [8, 1], [5, 1]], np.float32)
        found = cluster.group(array, np.array([7, 7, 2, 2, 2, -1]), metric="l2")
        self.assertEqual(list(found.permutation), [2, 3, 4, 5, 0, 1])
        self.assertEqual(found.centroids.tolist(), [[8, 1], [0, 1]])
        with self.assertRaisesRegex(moe_mlir.Error, "all of them are noise"):
            cluster.group(array, np.full(6, -1))

    def test_ranges(self):
        array, own = blobs(self.SIZES)
        found = cluster.kmeans(array, 4)
        first, second = found.ranges([(1, 32), (3, 21)])
        self.assertEqual((first.chunks.shape, second.ids.shape), ((1, 32, 8), (3, 21)))
        self.assertEqual(list(second.ids[2, 4:]), [-1] * 17)
        self.assertFalse(second.chunks[2, 4:].any())
        for ids, chunks in zip(second.ids, second.chunks):
            kept = ids[ids >= 0]
            self.assertTrue(np.array_equal(chunks[:len(kept)], array[kept]))
        with self.assertRaisesRegex(moe_mlir.Error, "cluster 1 has 21 chunks, and range 1 has room for 20"):
            found.ranges([(1, 32), (3, 20)])
        with self.assertRaisesRegex(moe_mlir.Error, "hold 3 clusters, and there are 4"):
            found.ranges([(3, 32)])

    def test_hdbscan(self):
        array, own = blobs(self.SIZES)
        with mock.patch.dict(sys.modules, {"sklearn.cluster": None}):
            with self.assertRaisesRegex(moe_mlir.Error, "needs scikit-learn"):
                cluster.hdbscan(array)
        try:
            import sklearn.cluster  # noqa: F401
        except ImportError:
            self.skipTest("scikit-learn is not there")
        found = cluster.hdbscan(array, min_size=3)
        self.assertEqual(list(np.diff(found.offsets)), list(self.SIZES))

    def test_program(self):
        array, own = blobs(self.SIZES)
        path = os.path.join(OUT, "e.npy")
        np.save(path, array)
        status, said, _ = program(path, "--clusters=4", "-o", OUT + "/made")
        self.assertEqual((status, said), (0, "64 chunks in 4 clusters of 4 to 30\n"))
        made = {name: np.load(f"{OUT}/made/{name}.npy") for name in ("centroids", "offsets", "permutation", "chunks")}
        self.assertEqual(made["offsets"].tolist(), [0, 30, 51, 60, 64])
        self.assertTrue(np.array_equal(made["chunks"], array[made["permutation"]]))
        program(path, "--clusters=4", "--ranges=2x30,2x9", "-o", OUT + "/made.safetensors")
        from moe_mlir import _tables
        tensors = _tables.read_all([OUT + "/made.safetensors"])
        self.assertEqual({name: tensor.shape for name, tensor in tensors.items()}, {
            "centroids": (4, 8), "range.0.chunks": (2, 30, 8), "range.0.ids": (2, 30), "range.1.chunks": (2, 9, 8),
            "range.1.ids": (2, 9)})

    def test_refused(self):
        array, _ = blobs(self.SIZES)
        bad = array.copy()
        bad[5, 1] = np.nan
        for name, value in (("good", array), ("bad", bad), ("flat", array[0]), ("whole", array.astype(int))):
            np.save(f"{OUT}/{name}.npy", value)
        for said, *arguments in (
                ("bad.npy: embeddings: row 5 holds a value that is not finite", "bad.npy", "--clusters=2"),
                (r"flat.npy: embeddings: are float32\[8\]; expected floats \[N, H\]", "flat.npy", "--clusters=2"),
                ("embeddings: are int64", "whole.npy", "--clusters=2"),
                ("65 are wanted of 64 embeddings", "good.npy", "--clusters=65"),
                ("0 are wanted", "good.npy", "--clusters=0"),
                ("expected either --clusters=K or --hdbscan", "good.npy"),
                ("expected either", "good.npy", "--clusters=2", "--hdbscan"),
                ("--ranges: '3'; expected numbers", "good.npy", "--clusters=3", "--ranges=3"),
                ("missing.npy: cannot read: No such file", "missing.npy", "--clusters=3"),
                ("4 tensors do not fit", "good.npy", "--clusters=3", "-o", OUT + "/one.npy")):
            output = [] if "-o" in arguments else ["-o", OUT + "/nothing"]
            status, _, error = program(os.path.join(OUT, arguments[0]), *arguments[1:], *output)
            self.assertEqual(status, 1, said)
            self.assertRegex(error, r"\Amoe-cluster: error: .*" + said)
            self.assertEqual(error.count("\n"), 1, error)
        self.assertFalse(os.path.exists(OUT + "/nothing"))


if __name__ == "__main__":
    unittest.main()
