# The cache: what is found again and what is not, limits, several processes, and
# processes that are killed.
#
# RUN: %python %s %t

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
import layers

import moe_mlir
from moe_mlir import Error, _cache

OUT = layers.folder()
IR = (layers.INPUTS / "scale.mlir").read_text()


class Cache(unittest.TestCase):
    def setUp(self):
        self.root = OUT / "cache"
        shutil.rmtree(self.root, ignore_errors=True)
        os.environ["MOE_MLIR_CACHE"] = str(self.root)
        os.environ.pop("MOE_MLIR_CACHE_LIMIT", None)

    def start(self, bin_folder, ir=IR):
        # Whatever this process was told to ignore.
        code = ("import signal, sys, moe_mlir; signal.signal(signal.SIGINT, signal.default_int_handler); "
                "print(moe_mlir.compile(sys.argv[1]).path)")
        return subprocess.Popen([sys.executable, "-c", code, ir], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, env={**os.environ, "MOE_MLIR_BIN": str(bin_folder)}, start_new_session=True)

    def is_empty(self):
        return not _cache.entries() and not any((self.root / "tmp").iterdir())

    def test_key(self):
        """IR, options and the compiler make an entry; the same again is found."""
        first = moe_mlir.compile(IR)
        self.assertEqual(first.functions, ("scale",))
        made = first.path.stat().st_mtime_ns
        self.assertEqual(moe_mlir.compile(IR).path, first.path)
        self.assertEqual(first.path.stat().st_mtime_ns, made)
        keys = {first.key, moe_mlir.compile(IR + "\n").key, moe_mlir.compile(IR, options=["--no-fuse"]).key,
                moe_mlir.compile(IR, targets=None).key}
        folder, calls = layers.slow_tools(OUT, 0)
        before = os.environ["MOE_MLIR_BIN"]
        os.environ["MOE_MLIR_BIN"] = str(folder)
        try:
            keys.add(moe_mlir.compile(IR).key)
            moe_mlir.compile(IR)
        finally:
            os.environ["MOE_MLIR_BIN"] = before
        self.assertEqual(calls.read_text(), "called\n")
        self.assertEqual(len(keys), 5)
        self.assertEqual(len(_cache.entries()), 5)

    def test_no_cache(self):
        artifact = moe_mlir.compile(IR, cache=False)
        self.assertFalse(self.root.exists())
        folder = artifact.path.parent
        artifact.load()
        del artifact
        self.assertFalse(folder.exists())

    def test_damaged(self):
        """What somebody cut or edited is made again."""
        path = moe_mlir.compile(IR).path
        good = path.read_bytes()
        for damage in (lambda: os.truncate(path, len(good) // 2), path.unlink,
                       lambda: path.with_suffix(".json").write_text("{"), path.with_suffix(".json").unlink):
            damage()
            self.assertEqual(moe_mlir.compile(IR).path, path)
            self.assertEqual(path.read_bytes(), good)

    def test_mark(self):
        """An entry without what marks it is none, and is not in the way of the next; with a
        damaged one it counts, so that it goes when its time has come."""
        path = moe_mlir.compile(IR).path
        mark = path.with_name("entry.json")
        mark.write_bytes(b"{\xff")
        self.assertEqual([(entry.path, entry.what) for entry in _cache.entries()], [(path.parent, "")])
        self.assertEqual(moe_mlir.compile(IR).path, path)
        mark.unlink()
        self.assertEqual(_cache.entries(), [])
        self.assertEqual(moe_mlir.compile(IR).path, path)
        self.assertEqual(len(_cache.entries()), 1)
        self.assertFalse(list((self.root / "tmp").iterdir()))
        shutil.rmtree(path.parent)
        path.parent.write_text("a file")
        self.assertEqual(moe_mlir.compile(IR).path, path)

    def test_limit_of_several(self):
        """Threads and processes that fill a cache beyond its limit at once: all have the
        artifact that they made, and what is left in the end is within the limit."""
        size = _cache._entry("artifacts", moe_mlir.compile(IR).path.parent).nbytes
        most = 6 * size  # One is made by each of five at a time, and ten in all.
        os.environ["MOE_MLIR_CACHE_LIMIT"] = str(most)
        processes = [self.start(os.environ["MOE_MLIR_BIN"], IR + "\n" * n) for n in range(1, 4)]
        failures = []

        def fill(first):
            try:
                for n in range(first, first + 3):
                    moe_mlir.compile(IR + "\n" * n, progress=False)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=fill, args=(first,)) for first in (10, 20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for process in processes:
            _, said = process.communicate()
            self.assertEqual((said, process.returncode), ("", 0))
        self.assertEqual(failures, [])
        _cache.prune()
        left = _cache.entries()
        self.assertTrue(left)
        self.assertLessEqual(sum(entry.nbytes for entry in left), most)
        self.assertFalse(list((self.root / "tmp").iterdir()))

    def test_limit(self):
        """The least recently used goes first, and never what was just made."""
        entries = [moe_mlir.compile(IR + "\n" * n) for n in range(3)]
        for age, artifact in zip((300, 200, 100), entries):
            mark = artifact.path.with_name("entry.json")
            os.utime(mark, (time.time() - age,) * 2)
        moe_mlir.compile(IR)  # The oldest is now the newest.
        size = max(entry.nbytes for entry in _cache.entries())
        gone = _cache.prune(2 * size)
        self.assertEqual([entry.path for entry in gone], [entries[1].path.parent])
        os.environ["MOE_MLIR_CACHE_LIMIT"] = "1kB"
        last = moe_mlir.compile(IR + "\n" * 9)
        self.assertEqual([entry.path for entry in _cache.entries()], [last.path.parent])
        last.load()
        self.assertEqual([entry.path for entry in _cache.clear()], [last.path.parent])
        self.assertTrue(self.is_empty())
        os.environ["MOE_MLIR_CACHE_LIMIT"] = "much"
        with self.assertRaisesRegex(Error, "'much': not a size; expected"):
            moe_mlir.compile(IR)

    def test_sizes(self):
        for text, size in (("0", 0), ("12", 12), ("50GB", 50 * 10 ** 9), ("1.5 TB", 15 * 10 ** 11),
                           ("2MiB", 2 << 20), ("3k", 3000)):
            self.assertEqual(_cache.parse_size(text), size)

    def test_several_processes(self):
        """One compiles, the others wait for it."""
        folder, calls = layers.slow_tools(OUT, 1)
        processes = [self.start(folder) for _ in range(4)]
        results = [process.communicate() + (process.returncode,) for process in processes]
        self.assertEqual({r[1:] for r in results}, {("", 0)})
        self.assertEqual(len({r[0] for r in results}), 1)
        self.assertEqual(calls.read_text(), "called\n")

    def test_killed(self):
        """What a killed process leaves is seen by nobody, and goes."""
        folder, calls = layers.slow_tools(OUT, 2)
        process = self.start(folder)
        while not calls.exists():
            time.sleep(0.02)
        # While it is at work, its folder is left alone, however old its files seem.
        (work,) = (self.root / "tmp").iterdir()
        for path in (*work.iterdir(), work):
            os.utime(path, (0, 0))
        _cache._clean()
        self.assertEqual(len(list((self.root / "tmp").iterdir())), 1)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        self.assertFalse(_cache.entries())
        moe_mlir.compile(IR).load()
        self.assertFalse(list((self.root / "tmp").iterdir()))

    def test_interrupted(self):
        """Ctrl-C ends the tool and leaves nothing."""
        folder, calls = layers.slow_tools(OUT, 3)
        process = self.start(folder)
        while not calls.exists():
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGINT)
        process.communicate()
        self.assertNotEqual(process.returncode, 0)
        self.assertTrue(self.is_empty())

    def test_cleared_meanwhile(self):
        """An artifact that is loaded is not disturbed by others that clear the cache."""
        artifact = moe_mlir.compile(IR)
        layer = artifact.load()
        _cache.clear()
        import numpy as np
        y, _ = layer(np.ones((2, 4), np.float32), a=2.0, z=np.ones((1, 4), np.float32))
        self.assertTrue((y == 2).all())
        self.assertTrue(moe_mlir.compile(IR).path.exists())

    def test_places_that_cannot_be_written(self):
        file = OUT / "file"
        file.write_text("")
        for place in (file / "cache", Path("/proc/moe-mlir")):
            os.environ["MOE_MLIR_CACHE"] = str(place)
            with self.assertRaisesRegex(Error, "cannot write to the cache: .*; set MOE_MLIR_CACHE") as caught:
                moe_mlir.compile(IR)
            self.assertNotIn("\n", str(caught.exception))
            self.assertEqual(_cache.entries(), [])
        # What is there is found in a folder that is only read.
        os.environ["MOE_MLIR_CACHE"] = str(self.root)
        path = moe_mlir.compile(IR).path
        if os.geteuid() != 0:
            for folder in (self.root, self.root / "artifacts", path.parent):
                folder.chmod(0o555)
            try:
                self.assertEqual(moe_mlir.compile(IR).path, path)
                with self.assertRaisesRegex(Error, "cannot write to the cache"):
                    moe_mlir.compile(IR + "\n")
            finally:
                for folder in (self.root, self.root / "artifacts", path.parent):
                    folder.chmod(0o755)

    def test_full(self):
        """No room: one line, and nothing is left. A limit of the size of files stands for it."""
        code = ("import resource, signal, sys, moe_mlir\n"
                "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
                "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
                "try: moe_mlir.compile(sys.argv[1])\n"
                "except moe_mlir.Error as error: print(error)\n")
        result = subprocess.run([sys.executable, "-c", code, IR], capture_output=True, text=True)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(len(result.stdout.splitlines()), 1, result.stdout)
        self.assertTrue(self.is_empty())


if __name__ == "__main__":
    unittest.main()
