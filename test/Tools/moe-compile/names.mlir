// Printed stages keep the names of arguments, and of values whose location is a
// name; routings have those of their tensors. Micro-kernels come last.

// RUN: moe-compile %s --target=x86-64-v4 --compile-to=model | FileCheck %s --check-prefix=MODEL
// RUN: moe-compile %s --target=x86-64-v4 --compile-to=planned | FileCheck %s --check-prefix=PLANNED
// RUN: moe-compile %s --target=x86-64-v4 --compile-to=planned | moe-opt -o /dev/null
// RUN: moe-compile %s --target=x86-64-v4 --compile-to=vector | FileCheck %s --check-prefix=VECTOR

// MODEL: func.func @second(%x: tensor<?x16xf32>
// MODEL-SAME: %up.proj: tensor<4x8x16xf32>
// MODEL: %routing = moe.router #moe.top_k<2> select(%scores) weigh(%scores)
// MODEL: %mine = moe.dispatch %x by %routing

// PLANNED: func.func @second(%x: tensor<?x16xf32>
// PLANNED-SAME: %up.proj: tensor<4x1x16x32x1xf32>
// PLANNED: %indices, %weights, %offsets, %active, %tokens, %positions, %row_weights = moek.route
// PLANNED: moek.grouped_matmul {{.*}}groups(%offsets{{[_0-9]*}}, %active{{[_0-9]*}} : tensor<5xi32>, tensor<5xi32>)

// VECTOR: func.func @second(%x: memref<?x16xf32>
// VECTOR: %c{{[0-9]+}} = arith.constant
// VECTOR: func.func @first(
// VECTOR-NOT: func.func @
// VECTOR: func.func private @moek_fma
// VECTOR-NOT: func.func @

func.func @second(%arg0: tensor<?x16xf32> {moe.name = "x", moe.dims = ["T"]}, %arg1: tensor<?x4xf32> {moe.name = "scores", moe.dims = ["T"]},
    %arg2: tensor<4x8x16xf32> {moe.name = "up.proj"}, %arg3: tensor<4x16x8xf32> {moe.name = "down.proj"})
    -> (tensor<?x16xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %0 = moe.router #moe.top_k<2> select(%arg1) weigh(%arg1) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %1 = moe.dispatch %arg0 by %0 : tensor<?x16xf32>, !moe.routing<4 x 2> -> tensor<?x16xf32> loc("mine")
  %2 = moe.expert %1 by %0 : (tensor<?x16xf32>, !moe.routing<4 x 2>) -> tensor<?x16xf32>
  experts 0 to 4 weights(%arg2, %arg3 : tensor<4x8x16xf32>, tensor<4x16x8xf32>) {
  ^bb0(%t: tensor<?x16xf32>, %u: tensor<8x16xf32>, %d: tensor<16x8xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu) : (tensor<?x16xf32>, tensor<8x16xf32>, tensor<16x8xf32>) -> tensor<?x16xf32>
    moe.yield %f : tensor<?x16xf32>
  }
  %3 = moe.combine %2 by %0 : tensor<?x16xf32>, !moe.routing<4 x 2> -> tensor<?x16xf32>
  return %3 : tensor<?x16xf32>
}

func.func @first(%arg0: tensor<?x4xf32> {moe.name = "z", moe.dims = ["T"]}) -> (tensor<?x2xi32> {moe.name = "i", moe.dims = ["T"]}) {
  %0 = moe.router #moe.top_k<2> select(%arg0) weigh(%arg0) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %1 = moe.routing.indices %0 : !moe.routing<4 x 2> -> tensor<?x2xi32>
  return %1 : tensor<?x2xi32>
}
