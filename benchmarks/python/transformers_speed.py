#!/usr/bin/env python3
"""Times a model of transformers with compiled experts beside its own implementations.

The model has the layers of OLMoE-1B-7B (H 2048, I 1024, E 64, K 8), few of them, a
small vocabulary, and random weights in bf16. Everything runs in one process, in
turns, and of each the median over rounds is shown: whole forward passes, the experts
of all layers alone, and steps of decoding behind a prompt. It needs the environment of
scripts/python-peers.sh, and
about 5 GB of memory a layer with all implementations.

    build/python/transformers/bin/python benchmarks/python/transformers_speed.py --json=out.json
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
import warnings

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))

import moe_mlir.transformers  # noqa: E402
from transformers import AutoModelForCausalLM, OlmoeConfig  # noqa: E402

OWN = ("eager", "batched_mm", "grouped_mm")
#: batched_mm copies the weights of each assignment: beyond this it needs more memory than there is.
BATCHED_MOST = 4
PROMPT, STEPS = 64, 8


def build(layers):
    """The model, with weights from a pool of random numbers: drawing them all takes minutes."""
    config = OlmoeConfig(vocab_size=8192, hidden_size=2048, intermediate_size=1024, num_hidden_layers=layers,
                         num_attention_heads=16, num_key_value_heads=16, num_experts=64, num_experts_per_tok=8,
                         max_position_embeddings=1024, pad_token_id=0, eos_token_id=1)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    rotary = model.model.rotary_emb
    model = model.to_empty(device="cpu").eval()
    model.model.rotary_emb = type(rotary)(config)
    generator = torch.Generator().manual_seed(0)
    pool = torch.randn(1 << 24, generator=generator)
    with torch.no_grad():
        for n, parameter in enumerate(model.parameters()):
            if parameter.dim() == 1:
                parameter.fill_(1)
                continue
            flat, scale = parameter.view(-1), 1 / parameter.shape[-1] ** 0.5
            at, shift = 0, 7919 * n
            while at < flat.numel():
                part = pool[shift % (1 << 20):][:flat.numel() - at]
                flat[at:at + part.numel()] = (part * scale).to(torch.bfloat16)
                at, shift = at + part.numel(), shift + 104729
    return model


def is_block(name):
    """Whether the variant has compiled routers: block, or block:FORMAT."""
    return name.split(":")[0] == "block"


class Variants:
    """The model's implementations, by name. Packed weights of several kinds are exchanged."""

    def __init__(self, model, names, packed):
        self.model = model
        self.modules = [m for m in model.modules() if hasattr(m, "_is_expert_parallel")]
        self.states = {}
        self.blocks = {}
        for name in names:
            if name in OWN:
                continue
            for module in self.modules:
                module.__dict__.pop("_moe_mlir", None)
            begin = time.monotonic()
            format_ = None if name in ("moe_mlir", "block") else name.split(":")[-1]
            folder = os.path.join(packed, name) if packed and format_ else None
            if is_block(name):
                moe_mlir.transformers.prepare(model, replace="block", weights_type=format_, packed=folder, strict=True,
                                              progress=False)
                self.blocks[name] = {module: module.__dict__["_moe_mlir_block"] for module in model.modules()
                                     if "_moe_mlir_block" in module.__dict__}
                if not self.blocks[name]:
                    sys.exit(f"{name}: no block was replaced")
                print(f"{name}: prepared in {time.monotonic() - begin:.1f} s", flush=True)
                continue
            report = moe_mlir.transformers.prepare(model, weights_type=format_, packed=folder, strict=True,
                                                   progress=False)
            self.states[name] = [module.__dict__["_moe_mlir"] for module in self.modules]
            megabytes = sum(entry.nbytes for entry in report.entries) / 1e6
            print(f"{name}: prepared in {time.monotonic() - begin:.1f} s, {megabytes:.0f} MB", flush=True)

    def choose(self, name):
        for blocks in self.blocks.values():
            for module in blocks:
                module.__dict__["_moe_mlir_block"] = self.blocks[name][module] if is_block(name) else None
        if is_block(name):
            return
        for module, state in zip(self.modules, self.states.get(name, [None] * len(self.modules))):
            module.__dict__["_moe_mlir"] = state
        self.model.set_experts_implementation("moe_mlir" if name in self.states else name)

    def has(self, name, what, tokens):
        if is_block(name):
            return what != "experts"
        return name != "batched_mm" or tokens <= BATCHED_MOST


def forward(model, ids):
    begin = time.perf_counter()
    model(ids, use_cache=False, logits_to_keep=1)
    return time.perf_counter() - begin


def decode(model, ids):
    """Seconds for a token behind the prompt `ids`."""
    out = model(ids, use_cache=True, logits_to_keep=1)
    begin = time.perf_counter()
    for _ in range(STEPS):
        token = out.logits[:, -1:].argmax(dim=-1)
        out = model(token, past_key_values=out.past_key_values, use_cache=True)
    return (time.perf_counter() - begin) / STEPS


def experts_alone(modules, hidden_states, indices, weights):
    """Seconds for the experts of all layers, each on the same tokens and routing."""
    begin = time.perf_counter()
    for module in modules:
        module(hidden_states, indices, weights)
    return time.perf_counter() - begin


def cpu():
    try:
        lines = dict(line.split(":", 1) for line in open("/proc/cpuinfo") if ":" in line)
        return ", ".join(f"{key} {value.strip()}" for name, value in lines.items()
                         for key in [name.strip()] if key in ("model name", "cpu family", "model"))
    except OSError:
        return platform.processor()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--tokens", default="1,16,128,512", help="tokens of forward passes")
    parser.add_argument("--variants", default="eager,batched_mm,grouped_mm,moe_mlir,q8_0,q4_0",
                        help="implementations of transformers, moe_mlir, formats of its weights, and block or "
                        "block:FORMAT: with the router, which takes memory of its own")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--packed", help="folder that keeps weights in formats for the next run, which maps them: "
                        "pages are small then")
    parser.add_argument("--json", help="file for the figures")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    names = options.variants.split(",")
    model = build(options.layers)
    variants = Variants(model, names, options.packed)
    print(f"{cpu()}; {options.threads} threads, {options.layers} layers; measuring", flush=True)

    generator = torch.Generator().manual_seed(1)
    results = []
    counts = [int(t) for t in options.tokens.split(",")]
    cases = [(what, n) for what in ("forward", "experts") for n in counts] + [("decoding", 1)]
    with torch.inference_mode():
        for what, tokens in cases:
            ids = torch.randint(2, 8192, (1, PROMPT if what == "decoding" else tokens), generator=generator)
            x = torch.randn(tokens, 2048, generator=generator).to(torch.bfloat16)
            indices = torch.rand(tokens, 64, generator=generator).topk(8).indices
            weights = torch.rand(tokens, 8, generator=generator).to(torch.bfloat16)
            run = {"decoding": lambda: decode(model, ids), "forward": lambda: forward(model, ids),
                   "experts": lambda: experts_alone(variants.modules, x, indices, weights)}[what]
            longest = PROMPT if what == "decoding" else tokens
            present = [name for name in names if variants.has(name, what, longest)]
            times = {name: [] for name in present}
            # One round first that is not counted: packing, caches, threads.
            for i in range(options.rounds + 1):
                for name in present:
                    variants.choose(name)
                    seconds = run()
                    if i:
                        times[name].append(seconds)
            median = {name: statistics.median(values) for name, values in times.items()}
            own = [median[name] for name in OWN if name in median]
            best = min(own) if own else None
            line = f"{what}, {tokens} tokens:"
            for name in present:
                line += f"  {name} {1e3 * median[name]:.1f} ms"
                if name not in OWN and best:
                    line += f" ({best / median[name]:.2f} x)"
                results.append({"what": what, "tokens": tokens, "variant": name, "median": median[name],
                                "seconds": times[name], "speedup": best / median[name] if best else None})
            print(line, flush=True)
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"cpu": cpu(), "threads": options.threads, "layers": options.layers, "torch": torch.__version__,
                       "results": results}, file, indent=1)


if __name__ == "__main__":
    main()
