#===- policies.py - A router of each policy -------------------------------===#
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#===----------------------------------------------------------------------===#
"""Writes a module with one function per policy, of routers alone: what is
serial in their kernels is in bodies of their own."""

import sys

E = 64
TOKENS = {"u": "tensor<?xf32>", "k": "tensor<?xi32>", "ids": "tensor<?xi32>"}
OTHERS = {"thresholds": "tensor<64xf32>", "table": "tensor<100x2xi32>"}

# Name, policy, slots, operands, scores it takes, weighing.
POLICIES = [
    ("top_any", "top_any<min_k = 1>", E, ["thresholds"], "select(%s)", ""),
    ("top_any_0", "top_any<min_k = 0>", E, ["thresholds"], "select(%s)", ""),
    ("top_any_score", "top_any<min_k = 1, fallback = score>", E, ["thresholds"], "select(%s)", ""),
    ("threshold", "threshold<0.5, min_k = 1>", E, [], "select(%s) weigh(%s)",
     "#moe.normalize<sum, eps = 1.0e-20>"),
    ("min_p", "min_p<0.25>", E, [], "select(%s) weigh(%s)", "#moe.softmax"),
    ("top_p", "top_p<0.4, strict = true>", E, [], "select(%s) weigh(%s)", ""),
    ("top_1", "top_k<1>", 1, [], "select(%s) weigh(%s)", "#moe.sigmoid"),
    ("top_4", "top_k<4>", 4, [], "select(%s) weigh(%s)", "#moe.softmax"),
    ("top_16", "top_k<16>", 16, [], "select(%s) weigh(%s)",
     "#moe.normalize<sum, eps = 1.0e-20>, #moe.scale<2.5>"),
    ("grouped", "group_top_k<4, groups = 8, keep = 4, reduce = top2>", 4, [],
     "select(%s) weigh(%s)", "#moe.normalize<sum, eps = 1.0e-20>"),
    ("token_k", "token_k<8>", 8, ["k"], "select(%s) weigh(%s)", "#moe.softmax"),
    ("gshard", "gshard<second = random, threshold = 0.2>", 2, ["u"], "select(%s)", ""),
    ("sparse_mixer", "sparse_mixer<eps = 0.01>", 2, [], "select(%s)", ""),
    ("hash", "hash<table, 2>", 2, ["ids", "table"], "weigh(%s)", ""),
    ("expert_choice", "expert_choice<factor = 2.0>", E, [], "select(%s) weigh(%s)", ""),
    ("capacity", "top_k<2>", 2, [], "select(%s) weigh(%s)", ""),
    ("centroid", "nearest_centroid<2, temperature = 0.1>", 2, [], "select(%s)", ""),
]
# With more experts than one vector has chunks of, for one token after another.
LARGE = [
    ("top_22", "top_k<22>", 22, [], "select(%s) weigh(%s)", "#moe.softmax"),
    ("grouped_large", "group_top_k<8, groups = 8, keep = 4, reduce = top2>", 8, [],
     "select(%s) weigh(%s)", "#moe.normalize<sum, eps = 1.0e-20>"),
]


def write(name, policy, slots, operands, scores, weighing, experts=E):
    types = [{**TOKENS, **OTHERS}[o] for o in operands]
    arguments = ["%%s: tensor<?x%dxf32> {moe.name = \"scores\", moe.dims = [\"T\"]}" % experts]
    for operand, type in zip(operands, types):
        dims = ", moe.dims = [\"T\"]" if operand in TOKENS else ""
        arguments.append("%%%s: %s {moe.name = \"%s\"%s}" % (operand, type, operand, dims))
    using = ""
    if operands:
        using = " using(%s : %s)" % (", ".join("%" + o for o in operands), ", ".join(types))
    routing = "!moe.routing<%d x %d>" % (experts, slots)
    indices, weights = "tensor<?x%dxi32>" % slots, "tensor<?x%dxf32>" % slots
    offsets = "tensor<%dxi32>" % (experts + 1)
    print("func.func @%s(%s) -> (%s {moe.name = \"experts\", moe.dims = [\"T\"]}, "
          "%s {moe.name = \"weights\", moe.dims = [\"T\"]}, %s {moe.name = \"offsets\"}) {"
          % (name, ", ".join(arguments), indices, weights, offsets))
    limited = name == "capacity"
    print("  %%%s = moe.router #moe.%s %s%s%s : tensor<?x%dxf32> -> %s"
          % ("all" if limited else "r", policy, scores, using, " weighing [%s]" % weighing if weighing else "", experts, routing))
    if limited:
        print("  %%r = moe.routing.limit %%all capacity 8 : %s" % routing)
    print("  %%i = moe.routing.indices %%r : %s -> %s" % (routing, indices))
    print("  %%w = moe.routing.weights %%r : %s -> %s" % (routing, weights))
    print("  %%o = moe.routing.offsets %%r : %s -> %s" % (routing, offsets))
    print("  return %%i, %%w, %%o : %s, %s, %s\n}\n" % (indices, weights, offsets))


for entry in POLICIES:
    if len(sys.argv) < 2 or entry[0] in sys.argv[1:]:
        write(*entry)
for entry in LARGE:
    if len(sys.argv) < 2 or entry[0] in sys.argv[1:]:
        write(*entry, experts=512)
