# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s %t
# RUN: %python %s %t vulkan
"""Policies that see all tokens: experts that choose, limits of what experts keep in
each order of dropping, and balanced plans, whose weights are what the plan chose.
Scores have ties, and numbers that are none."""
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "Inputs"))
from kernels import CHIPS, Failures, compile_for, must, write_tensors

folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
EXPERTS, SLOTS = 6, 2
SCORES, PAIRS = "tensor<?x%dxf32>" % EXPERTS, "tensor<?x%dxi32>" % SLOTS
WEIGHTS = "tensor<?x%dxf32>" % SLOTS
ROUTING = "!moe.routing<%d x %d>" % (EXPERTS, SLOTS)

LIMITS = ("capacity 3", "factor 1.25 group_size 8",
          "factor 0.5 by batch_priority (%p : tensor<?xf32>)",
          "capacity 1 group_size 13 by batch_priority (%p : tensor<?xf32>)",
          "factor 0.5 rounding nearest minimum 2 by probability",
          "capacity 2 group_size 17 by probability")


def make_function(name, arguments, lines, routings):
    """A function that returns indices and weights of routings."""
    results, values, types = [], [], []
    for i, (routing, slots) in enumerate(routings):
        own = "!moe.routing<%d x %d>" % (EXPERTS, slots)
        for what, element in (("indices", "i32"), ("weights", "f32")):
            tensor = "tensor<?x%dx%s>" % (slots, element)
            lines.append("  %%%s%d = moe.routing.%s %s : %s -> %s" %
                         (what, i, what, routing, own, tensor))
            results.append('%s {moe.name = "%s%d", moe.dims = ["T"]}' %
                           (tensor, what, i))
            values.append("%%%s%d" % (what, i))
            types.append(tensor)
    given = ", ".join('%%%s: %s {moe.name = "%s", moe.dims = ["T"]}' %
                      (n, t, n) for n, t in arguments)
    return "func.func @%s(%s) -> (%s) {\n%s\n  return %s : %s\n}\n" % (
        name, given, ", ".join(results), "\n".join(lines), ", ".join(values),
        ", ".join(types))


def make_models():
    yield "choice", make_function(
        "choice", [("s", SCORES)],
        ["  %%r%d = moe.router #moe.expert_choice<factor = %s> select(%%s) "
         "weigh(%%s) weighing [%s] : %s -> !moe.routing<%d x %d>" %
         (i, factor, how, SCORES, EXPERTS, EXPERTS)
         for i, (factor, how) in enumerate(
             (("1.0", "#moe.sigmoid"),
              ("2.5", "#moe.normalize<sum, eps = 1.0e-20>")))],
        [("%r0", EXPERTS), ("%r1", EXPERTS)])
    yield "limits", make_function(
        "limits", [("i", PAIRS), ("w", WEIGHTS), ("p", "tensor<?xf32>")],
        ["  %%r = moe.routing.make %%i, %%w : %s, %s -> %s" %
         (PAIRS, WEIGHTS, ROUTING)] +
        ["  %%r%d = moe.routing.limit %%r %s : %s" % (i, how, ROUTING)
         for i, how in enumerate(LIMITS)],
        [("%%r%d" % i, SLOTS) for i in range(len(LIMITS))])
    yield "plan", make_function(
        "plan", [("s", SCORES)],
        ["  %%r = moe.router #moe.sinkhorn<%d, tolerance = 1.0e-3, "
         "iterations = 20> select(%%s) weigh(%%s) weighing [#moe.sigmoid] : "
         "%s -> %s" % (SLOTS, SCORES, ROUTING)], [("%r", SLOTS)])


def make_inputs(name, tokens):
    generator = random.Random("%s %d" % (name, tokens))
    if name == "limits":
        experts = [e if generator.random() < 0.8 else -1
                   for _ in range(tokens)
                   for e in generator.sample(range(EXPERTS), SLOTS)]
        # Many that are equal.
        weights = [generator.randrange(9) / 8 if e >= 0 else 0 for e in experts]
        priority = [generator.randrange(-3, 4) / 4 for _ in range(tokens)]
        for place, special in enumerate((float("nan"), float("inf"),
                                         -float("inf"), -0.0)):
            priority[place::11] = [special] * len(priority[place::11])
        return {"i": ("I32", [tokens, SLOTS], experts),
                "w": ("F32", [tokens, SLOTS], weights),
                "p": ("F32", [tokens], priority)}
    # Of a plan, no two are so near each other that rounding decides.
    scores = [s for _ in range(tokens)
              for s in (generator.sample(range(-9, 9), EXPERTS)
                        if name == "plan" else
                        generator.choices((0.5, -0.25, 1.0, 2.0, -3.0), k=EXPERTS))]
    scores = [s / 4 + (generator.uniform(-0.02, 0.02) if name == "plan" else 0)
              for s in scores]
    if name == "choice":
        for place, special in enumerate((float("nan"), -0.0, 0.0)):
            scores[place::23] = [special] * len(scores[place::23])
    return {"s": ("F32", [tokens, EXPERTS], scores)}


failures = Failures()
for name, text in make_models():
    model = os.path.join(folder, name + ".mlir")
    with open(model, "w") as file:
        file.write(text)
    given, expected = [os.path.join(folder, kind + ".safetensors")
                       for kind in ("given", "expected")]
    for chip in CHIPS:
        compile_for(chip, model, os.path.join(folder, name + "." + chip))
    # A plan for one token is flat: all its experts are equal.
    for tokens in (0, 2 if name == "plan" else 1, 37):
        write_tensors(given, make_inputs(name, tokens))
        arguments = ("--tokens=%d" % tokens, "--inputs=" + given)
        must("moe-interpret", model, *arguments, "-o", expected)
        for order, chip in enumerate(CHIPS):
            failures.compare("%s, %s, %d tokens" % (name, chip, tokens), chip,
                             os.path.join(folder, name + "." + chip), expected,
                             *arguments, "--order=%d" % (order + tokens))
failures.finish()
