// A layer says who makes its kernels, or each range of its experts does; ranges that
// say otherwise are no one kernel. Fused kernels keep it, and the module's choice is
// for those that have none.

// REQUIRES: halide
// RUN: moe-opt %s --pass-pipeline='builtin.module(moe-set-target{chip=x86-64-v3},moe-stage-model,moe-stage-fused,moe-stage-planned)' --split-input-file --verify-diagnostics | FileCheck %s

module attributes {moek.codegen = "halide"} {
  // CHECK-LABEL: func.func @whole(
  // CHECK-COUNT-2: moek.grouped_matmul {{.*}} attributes {moek.codegen = "halide-only"}
  // CHECK-NOT: moek.grouped_matmul
  func.func @whole(%x: tensor<?x32xf32> {moe.name = "x", moe.dims = ["T"]},
      %z: tensor<?x4xf32> {moe.name = "z", moe.dims = ["T"]},
      %up: tensor<4x48x32xf32> {moe.name = "up"}, %down: tensor<4x32x48xf32> {moe.name = "down"})
      -> (tensor<?x32xf32> {moe.name = "y", moe.dims = ["T"]}) {
    %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<?x4xf32> -> !moe.routing<4 x 2>
    %rows = moe.dispatch %x by %r : tensor<?x32xf32>, !moe.routing<4 x 2> -> tensor<?x32xf32>
    %out = moe.expert %rows by %r {moek.codegen = "halide-only"} : (tensor<?x32xf32>, !moe.routing<4 x 2>) -> tensor<?x32xf32>
        experts 0 to 4 weights(%up, %down : tensor<4x48x32xf32>, tensor<4x32x48xf32>) {
    ^bb0(%own: tensor<?x32xf32>, %u: tensor<48x32xf32>, %d: tensor<32x48xf32>):
      %y = moe.ffn %own up(%u) down(%d) activation(#moe.silu) : (tensor<?x32xf32>, tensor<48x32xf32>, tensor<32x48xf32>) -> tensor<?x32xf32>
      moe.yield %y : tensor<?x32xf32>
    }
    %y = moe.combine %out by %r : tensor<?x32xf32>, !moe.routing<4 x 2> -> tensor<?x32xf32>
    return %y : tensor<?x32xf32>
  }
}

// -----

// CHECK-LABEL: func.func @ranges(
// CHECK-COUNT-2: moek.grouped_matmul {{.*}} attributes {moek.codegen = "halide"} epilogue
// CHECK-COUNT-2: moek.grouped_matmul {{.*}} outs(%{{[^)]*}}) epilogue
// CHECK-NOT: moek.codegen
func.func @ranges(%x: tensor<?x32xf32> {moe.name = "x", moe.dims = ["T"]},
    %z: tensor<?x4xf32> {moe.name = "z", moe.dims = ["T"]},
    %up: tensor<2x48x32xf32> {moe.name = "up"}, %down: tensor<2x32x48xf32> {moe.name = "down"},
    %su: tensor<2x48x32xf32> {moe.name = "small.up"}, %sd: tensor<2x32x48xf32> {moe.name = "small.down"})
    -> (tensor<?x32xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x32xf32>, !moe.routing<4 x 2> -> tensor<?x32xf32>
  %out = moe.expert %rows by %r {moek.codegen = ["halide", ""]} : (tensor<?x32xf32>, !moe.routing<4 x 2>) -> tensor<?x32xf32>
      experts 0 to 2 weights(%up, %down : tensor<2x48x32xf32>, tensor<2x32x48xf32>) {
  ^bb0(%own: tensor<?x32xf32>, %u: tensor<48x32xf32>, %d: tensor<32x48xf32>):
    %y = moe.ffn %own up(%u) down(%d) activation(#moe.silu) : (tensor<?x32xf32>, tensor<48x32xf32>, tensor<32x48xf32>) -> tensor<?x32xf32>
    moe.yield %y : tensor<?x32xf32>
  }
      experts 2 to 4 weights(%su, %sd : tensor<2x48x32xf32>, tensor<2x32x48xf32>) {
  ^bb0(%own: tensor<?x32xf32>, %u: tensor<48x32xf32>, %d: tensor<32x48xf32>):
    %y = moe.ffn %own up(%u) down(%d) activation(#moe.silu) : (tensor<?x32xf32>, tensor<48x32xf32>, tensor<32x48xf32>) -> tensor<?x32xf32>
    moe.yield %y : tensor<?x32xf32>
  }
  %y = moe.combine %out by %r : tensor<?x32xf32>, !moe.routing<4 x 2> -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// -----

func.func @wrong(%x: tensor<?x32xf32> {moe.name = "x", moe.dims = ["T"]},
    %z: tensor<?x4xf32> {moe.name = "z", moe.dims = ["T"]},
    %up: tensor<4x48x32xf32> {moe.name = "up"}, %down: tensor<4x32x48xf32> {moe.name = "down"})
    -> (tensor<?x32xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x32xf32>, !moe.routing<4 x 2> -> tensor<?x32xf32>
  // expected-error @+2 {{failed to legalize}}
  // expected-error @+1 {{moek.codegen is ["halide", "halide"]; expected a name, or one for each of the 1 ranges of experts}}
  %out = moe.expert %rows by %r {moek.codegen = ["halide", "halide"]} : (tensor<?x32xf32>, !moe.routing<4 x 2>) -> tensor<?x32xf32>
      experts 0 to 4 weights(%up, %down : tensor<4x48x32xf32>, tensor<4x32x48xf32>) {
  ^bb0(%own: tensor<?x32xf32>, %u: tensor<48x32xf32>, %d: tensor<32x48xf32>):
    %y = moe.ffn %own up(%u) down(%d) activation(#moe.silu) : (tensor<?x32xf32>, tensor<48x32xf32>, tensor<32x48xf32>) -> tensor<?x32xf32>
    moe.yield %y : tensor<?x32xf32>
  }
  %y = moe.combine %out by %r : tensor<?x32xf32>, !moe.routing<4 x 2> -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
