// The routing of a mask whose rows are extended by an expert for all tokens: it
// is written with gaps, and traced without.

// REQUIRES: x86-64-v3
// RUN: moe-run %s --random=1 --tokens=3 --verify --trace 2>&1 | FileCheck %s

// CHECK: trace: route: routing of 3 tokens to 4 experts, at most 4 each: 9 assignments, 4 experts active, largest load 3
// CHECK: verify i: {{.*}}PASS
// CHECK: verify w: {{.*}}PASS

func.func @route(%z: tensor<?x4xf32> {moe.name = "z", moe.dims = ["T"]})
    -> (tensor<?x5xi32> {moe.name = "i", moe.dims = ["T"]}, tensor<?x5xf32> {moe.name = "w", moe.dims = ["T"]}) {
  %r = moe.router #moe.threshold<0.0, min_k = 0> select(%z) weigh(%z) : tensor<?x4xf32> -> !moe.routing<4 x 4>
  %a = moe.routing.append %r : !moe.routing<4 x 4> -> !moe.routing<5 x 5>
  %i = moe.routing.indices %a : !moe.routing<5 x 5> -> tensor<?x5xi32>
  %w = moe.routing.weights %a : !moe.routing<5 x 5> -> tensor<?x5xf32>
  return %i, %w : tensor<?x5xi32>, tensor<?x5xf32>
}
