"""Records the routings of example models, one for each kind of router, and replays
them bit for bit.

usage: replay.py EXAMPLES_FOLDER f32|bf16 [TARGET]

Only widths are changed: routers, groups, capacities, shared experts,
activations and biases are the model's own. Two layers of each are imported.
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np

MODELS = [
    "DBRX", "DeepSeek-V2", "DeepSeek-V3", "ERNIE-4.5-21B-A3B", "Granite-3.0-3B-A800M", "Jamba-v0.1",
    "Llama-4-Scout-17B-16E", "LongCat-Flash", "Mixtral-8x7B", "NLLB-MoE-54B", "OLMoE-1B-7B", "Phi-3.5-MoE",
    "Qwen1.5-MoE-A2.7B", "Qwen3-Next-80B-A3B", "gpt-oss-20b", "switch-base-8",
]
WIDTHS = {
    "expert_ffn_hidden_size": 40, "hidden_size": 96, "d_model": 96, "moe_intermediate_size": 40, "intermediate_size": 40,
    "intermediate_size_mlp": 40, "shared_expert_intermediate_size": 72, "shared_intermediate_size": 72,
    "ffn_hidden_size": 40, "d_ff": 40,
}
TYPES = {"F32": np.float32, "I32": np.int32}


def shrink(value):
    if isinstance(value, dict):
        return {k: WIDTHS[k] if k in WIDTHS and isinstance(v, int) else shrink(v) for k, v in value.items()}
    return value


def run(*command):
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{result.stdout}{result.stderr}")


def read(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    return {name: np.frombuffer(data[slice(*t["data_offsets"])], TYPES[t["dtype"]]).reshape(t["shape"])
            for name, t in header.items() if name != "__metadata__"}


def expect(condition, what):
    if not condition:
        raise RuntimeError(what)


def check(path, folder, weights, target):
    """Returns what was special about the routings."""
    at = lambda name: os.path.join(folder, name)
    with open(path) as file:
        small = shrink(json.load(file))
    with open(at("config.json"), "w") as out:
        json.dump(small, out)
    run("moe-import", at("config.json"), f"--weights-type={weights}", "--layers=all", "-o", at("layers.mlir"))
    for kind, option in ("plain", []), ("record", ["--record-routing"]), ("replay", ["--replay-routing"]):
        run("moe-compile", at("layers.mlir"), "-o", at(kind), f"--target={target}", "--emit=shared,manifest", *option)
    with open(at("plain.json")) as file:
        functions = [f["name"] for f in json.load(file)["functions"]]
    notes = set()
    for layer in functions[:2]:
        for tokens in (1, 33, 640) if "switch" in path else (1, 33):
            def call(kind, *options):
                run("moe-run", at(kind + ".json"), f"--entry={layer}", "--random=5", f"--tokens={tokens}",
                    "--output=" + at(kind + ".safetensors"), *options)
                return read(at(kind + ".safetensors"))
            plain, recorded = call("plain"), call("record")
            replayed = call("replay", "--inputs=" + at("record.safetensors"))
            y = plain["y"].tobytes()
            expect(recorded["y"].tobytes() == y, f"{layer}, T = {tokens}: recording changes y")
            expect(replayed["y"].tobytes() == y, f"{layer}, T = {tokens}: replay changes y")
            indices, counts = recorded["routing.indices"], recorded["routing.counts"]
            expect((np.bincount(indices[indices >= 0], minlength=len(counts)) == counts).all(), "counts are wrong")
            expect((recorded["routing.weights"][indices < 0] == 0).all(), "weights of unused slots")
            if (indices < 0).any():
                notes.add("dropped")
            # Something is replayed: another routing gives another y.
            if tokens > 1:
                other = np.roll(indices, 1, axis=0)
                np.save(at("routing.indices.npy"), other)
                np.save(at("routing.weights.npy"), recorded["routing.weights"])
                changed = call("replay", "--inputs=" + at("routing.indices.npy") + "," + at("routing.weights.npy"))
                expect(changed["y"].tobytes() != y, f"{layer}: y does not depend on the routing")
    return f"{len(functions[:2])} layers" + "".join(", " + note for note in sorted(notes))


def main(examples, weights, target="native"):
    failures = 0
    for name in MODELS:
        path = os.path.join(examples, "models", name + ".json")
        with tempfile.TemporaryDirectory() as folder:
            try:
                print(f"{name} {weights}: same bits, {check(path, folder, weights, target)}", flush=True)
            except RuntimeError as error:
                failures += 1
                print(f"{name} {weights}: {error}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
