# One layer called by several threads at once, with weights that are exchanged
# meanwhile; and by children of a fork.
#
# RUN: %python %s %t

import os
import sys
import threading
import unittest

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
import layers

import moe_mlir
from moe_mlir import Error, Routing

OUT = layers.folder()


class Threads(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.path = layers.build(layers.INPUTS / "experts.mlir", OUT / "m")
        cls.layer = moe_mlir.load(cls.path, function="experts", threads=1)
        cls.layer.weights = cls.layer.pack(layers.weights())

    def run_all(self, bodies):
        failures = []

        def guard(body):
            try:
                body()
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=guard, args=(body,)) for body in bodies]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def test_calls(self):
        """Results of many threads are those of one; errors go to who made them."""
        cases = [layers.inputs(n, seed=n) for n in (1, 3, 40, 200)]
        expected = [self.layer(x, routing=routing) for x, _, routing in cases]

        def call(i):
            x, _, routing = cases[i]
            out = np.empty_like(x)
            for _ in range(50):
                assert (self.layer(x, routing=routing) == expected[i]).all()
                assert (self.layer(x, routing=routing, out=out) == expected[i]).all()

        def fail(i):
            x, _, routing = cases[i]
            bad = routing.indices + 8
            for _ in range(50):
                try:
                    self.layer(x, routing=Routing(bad, routing.weights))
                except Error as error:
                    assert error.status == 6 and "routing.indices" in str(error)
                else:
                    raise AssertionError("no error")

        self.run_all([lambda i=i: call(i) for i in range(4)] + [lambda: fail(2), lambda: fail(1)])

    def test_interpreter_lock(self):
        """A function of ctypes without this flag lets other threads run meanwhile."""
        self.assertFalse(type(self.layer._invoke)._flags_ & 4, "FUNCFLAG_PYTHONAPI")

    def test_exchange(self):
        """Calls that run keep the weights they began with."""
        x, _, routing = layers.inputs(50)
        sets = [layers.weights(seed) for seed in (1, 2)]
        own = moe_mlir.load(self.path, function="experts", threads=1)
        expected = []
        for tensors in sets:
            own.weights = own.pack(tensors)
            expected.append(own(x, routing=routing))
        isDone = threading.Event()

        def call():
            while not isDone.is_set():
                y = own(x, routing=routing)
                assert any((y == e).all() for e in expected)

        def exchange():
            try:
                for i in range(40):
                    own.weights = own.pack(sets[i % 2])
            finally:
                isDone.set()

        self.run_all([call, call, exchange])

    def test_fork(self):
        """A child of a process whose runtime has threads calls layers, too."""
        two = moe_mlir.load(self.path, function="experts", weights=self.layer.weights, threads=2)
        x, _, routing = layers.inputs(64)
        y = two(x, routing=routing)
        child = os.fork()
        if child == 0:
            os._exit(0 if (two(x, routing=routing) == y).all() else 1)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)


if __name__ == "__main__":
    unittest.main()
