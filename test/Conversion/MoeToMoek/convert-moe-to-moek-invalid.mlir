// RUN: moe-opt %s --convert-moe-to-moek --split-input-file --verify-diagnostics

func.func @captured(%s: tensor<?x8xf32>, %f: f32) -> tensor<?x2xf32> {
  %v2 = vector.broadcast %f : f32 to vector<2xf32>
  // expected-error @below {{the region that computes weights uses a value from outside of it that is not a constant}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2> weights {
  ^bb0(%v: vector<2xf32>):
    %u = arith.mulf %v, %v2 : vector<2xf32>
    moe.yield %u : vector<2xf32>
  }
  %w = moe.routing.weights %r : !moe.routing<8 x 2> -> tensor<?x2xf32>
  return %w : tensor<?x2xf32>
}
