// Calls of C functions in the bodies of experts.
// RUN: moe-opt %s --split-input-file --verify-diagnostics --convert-moe-to-moek | FileCheck %s

func.func private @f(tensor<?x8xf32>, tensor<3xf32>) -> tensor<?x8xf32>
    attributes {moe.external = #moe.external<batch = 4>}

// What surrounds a call in its body are kernels. Ranges with calls are not joined.
// CHECK-LABEL: func.func @layer
// CHECK: moek.row_map
// CHECK: %[[A:.*]]:2 = moek.external_call "f" <batch = 4> {{.*}} parameters(%{{.*}} : tensor<2x3xf32>)
// CHECK-SAME: -> tensor<?x8xf32>, tensor<i32>
// CHECK: %[[N:.*]] = tensor.extract %[[A]]#1[]
// CHECK: %[[OK:.*]] = arith.cmpi eq, %[[N]]
// CHECK: moe_rt.check %[[OK]], expert, "the function 'f' of an expert failed"
// CHECK: moek.row_map
// CHECK: moek.external_call "f" {{.*}} {first_expert = 2 : i64}
func.func @layer(%rows: tensor<?x8xf32>, %r: !moe.routing<4 x 1>, %w: tensor<2x3xf32>, %v: tensor<2x3xf32>)
    -> tensor<?x8xf32> {
  %out = moe.expert %rows by %r : (tensor<?x8xf32>, !moe.routing<4 x 1>) -> tensor<?x8xf32>
  experts 0 to 2 weights(%w : tensor<2x3xf32>) {
  ^bb0(%t: tensor<?x8xf32>, %own: tensor<3xf32>):
    %a = linalg.abs ins(%t : tensor<?x8xf32>) outs(%t : tensor<?x8xf32>) -> tensor<?x8xf32>
    %y = func.call @f(%a, %own) : (tensor<?x8xf32>, tensor<3xf32>) -> tensor<?x8xf32>
    %b = linalg.abs ins(%y : tensor<?x8xf32>) outs(%y : tensor<?x8xf32>) -> tensor<?x8xf32>
    moe.yield %b : tensor<?x8xf32>
  } experts 2 to 4 weights(%v : tensor<2x3xf32>) {
  ^bb0(%t: tensor<?x8xf32>, %own: tensor<3xf32>):
    %y = func.call @f(%t, %own) : (tensor<?x8xf32>, tensor<3xf32>) -> tensor<?x8xf32>
    moe.yield %y : tensor<?x8xf32>
  }
  return %out : tensor<?x8xf32>
}

// -----

func.func private @f(tensor<?x8xf32>) -> tensor<?x8xf32> attributes {moe.external = #moe.external}

func.func @outside(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // expected-error @below {{has no kernels: it is not in the body of a moe.expert}}
  %y = func.call @f(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func private @f(tensor<?x8xf32>) -> tensor<?x8xf32> attributes {moe.external = #moe.external}

func.func @gathers(%rows: tensor<?x8xf32>, %r: !moe.routing<4 x 1>) -> tensor<?x8xf32> {
  %out = moe.expert %rows by %r : (tensor<?x8xf32>, !moe.routing<4 x 1>) -> tensor<?x8xf32>
  experts 0 to 4 {
  ^bb0(%t: tensor<?x8xf32>):
    // expected-error @below {{has no kernels: the body has a tensor.insert that is neither a matmul with a weight nor a function of each row}}
    %y = func.call @f(%t) : (tensor<?x8xf32>) -> tensor<?x8xf32>
    %c0 = arith.constant 0 : index
    %zero = arith.constant 0.0 : f32
    %b = tensor.insert %zero into %y[%c0, %c0] : tensor<?x8xf32>
    moe.yield %b : tensor<?x8xf32>
  }
  return %out : tensor<?x8xf32>
}
