// RUN: split-file %s %t
// RUN: moe-opt %t/ops.mlir | moe-opt | FileCheck %t/ops.mlir
// RUN: moe-opt %t/invalid.mlir --split-input-file --verify-diagnostics

//--- ops.mlir

// CHECK-LABEL: @phi
func.func @phi(%z: tensor<?x16xf32>) -> !moe.routing<16 x 2> {
  // CHECK: moe.router #moe.sparse_mixer<eps = 0.01> select(%{{.*}}) : tensor<?x16xf32> -> !moe.routing<16 x 2>
  %0 = moe.router #moe.sparse_mixer<eps = 0.01> select(%z) : tensor<?x16xf32> -> !moe.routing<16 x 2>
  return %0 : !moe.routing<16 x 2>
}

//--- invalid.mlir

// expected-error@+1 {{expects eps to be at least 0}}
func.func private @negative() attributes {policy = #moe.sparse_mixer<eps = -0.01>}

// -----

// expected-error@+1 {{expects eps to be at least 0}}
func.func private @not_finite() attributes {policy = #moe.sparse_mixer<eps = 0x7FF0000000000000>}

// -----

func.func @one_expert(%z: tensor<?x1xf32>) {
  // expected-error@+1 {{expects #moe.sparse_mixer<eps = 0.01> to select at most all 1 experts, but it selects 2}}
  %0 = moe.router #moe.sparse_mixer<eps = 0.01> select(%z) : tensor<?x1xf32> -> !moe.routing<1 x 1>
  return
}

// -----

func.func @weigh(%z: tensor<?x4xf32>) {
  // expected-error@+1 {{has scores in `weigh`, but #moe.sparse_mixer<eps = 0.01> makes the values of the chosen experts itself}}
  %0 = moe.router #moe.sparse_mixer<eps = 0.01> select(%z) weigh(%z) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  return
}
