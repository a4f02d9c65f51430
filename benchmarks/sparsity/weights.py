"""Times layers with weights of which zeros are not stored beside dense ones, on one thread.

usage: weights.py [--rounds=N] [--calls=N] [--experts=N] [--build=BUILD] [NAME...]

The layer is that of OLMoE-1B-7B with 32 experts (--experts), 8 of them for a token.
The two forms run in turn, in processes of their own, 20 calls each (--calls), 5 times
(--rounds). The least time of each is printed, and their ratio beside what theory says:
that of bytes where memory binds, that of multiply-adds where arithmetic does. Which
weights are zeros does not matter for the time, so that they are made up.
"""
import argparse
import json
import os
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
# Name: the types of weights before and after, options of the latter, theory by bytes and by multiply-adds.
CASES = {
    "2:4, f32": ("f32", "sparse24<f32>", [], 1 / 0.53125, 2),
    "2:4, bf16, rows in f32": ("bf16", "sparse24<bf16>", [], 1 / 0.5625, None),
    "2:4, bf16": ("bf16", "sparse24<bf16>", ["--activations=bf16"], 1 / 0.5625, 2),
    "half of the blocks, f32": ("f32", "sparse_blocks<values = f32, kept = {half}>", [], 2, 2),
    "half of the blocks, bf16": ("bf16", "sparse_blocks<values = bf16, kept = {half}>", ["--activations=bf16"], 2, 2),
}
TOKENS = (1, 4, 16, 64, 256)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--experts", type=int, default=32)
    parser.add_argument("--build", default=os.path.join(HERE, "..", "..", "build"))
    parser.add_argument("names", nargs="*", choices=[[], *CASES])
    args = parser.parse_args()
    with open(os.path.join(HERE, "..", "..", "examples", "models", "OLMoE-1B-7B.json")) as file:
        config = json.load(file)
    # Lists are of one length here: rows of gate, up and down are as long.
    config["intermediate_size"] = config["hidden_size"]
    with tempfile.TemporaryDirectory() as scratch:
        def tool(name, *options):
            subprocess.run([os.path.join(args.build, "bin", name), *options], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def path(name):
            return os.path.join(scratch, name)

        with open(path("config.json"), "w") as file:
            json.dump(config, file)
        print("| weights | T | by bytes | by products | dense, ms | sparse, ms | ratio |\n|---|---|---|---|---|---|---|")
        for name in args.names or CASES:
            before, after, options, by_bytes, by_products = CASES[name]
            half = config["hidden_size"] // 64
            for form, kind, more in (("before", before, []), ("after", after.format(half=half), options)):
                tool("moe-import", "--layers=first", "--experts=%d" % args.experts, "--weights-type=" + kind,
                     path("config.json"), "-o", path(form + ".mlir"))
                tool("moe-compile", path(form + ".mlir"), "-o", path(form), "--target=native", *more)
            for t in TOKENS:
                least = {"before": float("inf"), "after": float("inf")}
                for _ in range(args.rounds):
                    for form in least:
                        tool("moe-run", path(form + ".json"), "--random=1", "--tokens=%d" % t, "--threads=1",
                             "--bench=%d" % args.calls, "--json=" + path("time.json"))
                        with open(path("time.json")) as file:
                            least[form] = min(least[form], json.load(file)["minimum_ms"])
                print("| %s | %d | %.2f | %s | %.2f | %.2f | %.2f |" % (
                    name, t, by_bytes, "%.2f" % by_products if by_products else "",
                    least["before"], least["after"], least["before"] / least["after"]), flush=True)


main()
