// What is no view of constant places runs without kernels, for a reason that is
// said, and right.
// RUN: moe-run %s --entry=outside --tokens=9 --random=3 --verify --remarks-filter=convert-moe-to-moek 2>&1 | FileCheck %s
// RUN: moe-run %s --entry=inside --tokens=9 --random=3 --verify
// RUN: moe-run %s --entry=mixed --tokens=9 --random=3 --verify
// CHECK-DAG: a weight cannot be packed ahead of time: it is computed by tensor.extract_slice whose offsets, sizes or strides are no constants
// CHECK-DAG: a weight cannot be packed ahead of time: it is made of constants and arguments
// CHECK: PASS

func.func private @layer(%x: tensor<?x64xf32>, %z: tensor<?x4xf32>, %g: tensor<4x24x64xf32>,
    %u: tensor<4x24x64xf32>, %d: tensor<4x64x24xf32>) -> tensor<?x64xf32> {
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<4 x 2> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<4 x 2>) -> tensor<?x64xf32>
  experts 0 to 4 weights(%g, %u, %d : tensor<4x24x64xf32>, tensor<4x24x64xf32>, tensor<4x64x24xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %a: tensor<24x64xf32>, %b: tensor<24x64xf32>, %c: tensor<64x24xf32>):
    %f = moe.ffn %t gate(%a) up(%b) down(%c) activation(#moe.silu) : (tensor<?x64xf32>, tensor<24x64xf32>, tensor<24x64xf32>, tensor<64x24xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  %y = moe.combine %out by %r : tensor<?x64xf32>, !moe.routing<4 x 2> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

func.func @outside(%x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]}, %z: tensor<?x4xf32> {moe.name = "z", moe.dims = ["T"]}, %at: tensor<1xi32> {moe.name = "at"},
    %gu: tensor<4x48x64xf32> {moe.name = "gate_up_proj"}, %d: tensor<4x64x24xf32> {moe.name = "down_proj"}) -> (tensor<?x64xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %at0 = tensor.extract %at[%c0] : tensor<1xi32>
  %i = arith.index_cast %at0 : i32 to index
  %g = tensor.extract_slice %gu[0, %i, 0] [4, 24, 64] [1, 1, 1] : tensor<4x48x64xf32> to tensor<4x24x64xf32>
  %u = tensor.extract_slice %gu[0, 24, 0] [4, 24, 64] [1, 1, 1] : tensor<4x48x64xf32> to tensor<4x24x64xf32>
  %y = func.call @layer(%x, %z, %g, %u, %d) : (tensor<?x64xf32>, tensor<?x4xf32>, tensor<4x24x64xf32>, tensor<4x24x64xf32>, tensor<4x64x24xf32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

func.func @inside(%x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]}, %z: tensor<?x4xf32> {moe.name = "z", moe.dims = ["T"]},
    %gu: tensor<4x48x64xf32> {moe.name = "gate_up_proj"}, %d: tensor<4x24x64xf32> {moe.name = "down_t"}) -> (tensor<?x64xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<4 x 2> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<4 x 2>) -> tensor<?x64xf32>
  experts 0 to 4 weights(%gu, %d : tensor<4x48x64xf32>, tensor<4x24x64xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %w: tensor<48x64xf32>, %c: tensor<24x64xf32>):
    %h = tensor.extract_slice %w[0, 0] [24, 64] [2, 1] : tensor<48x64xf32> to tensor<24x64xf32>
    %g = arith.negf %h : tensor<24x64xf32>
    %u = tensor.extract_slice %w[1, 0] [24, 64] [2, 1] : tensor<48x64xf32> to tensor<24x64xf32>
    %e = tensor.empty() : tensor<64x24xf32>
    %ct = linalg.transpose ins(%c : tensor<24x64xf32>) outs(%e : tensor<64x24xf32>) permutation = [1, 0]
    %f = moe.ffn %t gate(%g) up(%u) down(%ct) activation(#moe.silu) : (tensor<?x64xf32>, tensor<24x64xf32>, tensor<24x64xf32>, tensor<64x24xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  %y = moe.combine %out by %r : tensor<?x64xf32>, !moe.routing<4 x 2> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

func.func @mixed(%x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]}, %z: tensor<?x4xf32> {moe.name = "z", moe.dims = ["T"]},
    %g: tensor<4x24x64xf32> {moe.name = "gate_proj"}, %a: tensor<3x24x64xf32> {moe.name = "up_proj"}, %d: tensor<4x64x24xf32> {moe.name = "down_proj"}) -> (tensor<?x64xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %b = arith.constant dense<0.125> : tensor<1x24x64xf32>
  %u = tensor.concat dim(0) %a, %b : (tensor<3x24x64xf32>, tensor<1x24x64xf32>) -> tensor<4x24x64xf32>
  %y = func.call @layer(%x, %z, %g, %u, %d) : (tensor<?x64xf32>, tensor<?x4xf32>, tensor<4x24x64xf32>, tensor<4x24x64xf32>, tensor<4x64x24xf32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
