// Experts alone, with the routing from outside; docs/import.md.

// RUN: moe-opt --moe-isolate-experts --split-input-file --verify-diagnostics %s | FileCheck %s

// What the experts get is the argument, here a projection of the tokens; shared
// expert, router, and what is behind the sum go, and so do their weights.
// CHECK-LABEL: func.func @latent(
// CHECK-SAME:    %[[X:[^:]+]]: tensor<?x2xf32> {moe.dims = ["T"], moe.name = "x"},
// CHECK-SAME:    %[[I:[^:]+]]: tensor<?x2xi32> {moe.dims = ["T"], moe.name = "routing.indices"},
// CHECK-SAME:    %[[W:[^:]+]]: tensor<?x2xf32> {moe.dims = ["T"], moe.name = "routing.weights"},
// CHECK-SAME:    %[[UP:[^:]+]]: tensor<8x6x2xf32> {moe.name = "up"},
// CHECK-SAME:    %[[DOWN:[^:]+]]: tensor<8x2x6xf32> {moe.name = "down"})
// CHECK-SAME:    -> (tensor<?x2xf32> {moe.dims = ["T"], moe.name = "y"})
// CHECK-SAME:    moe.checkpoint = {down = "d.{e}", up = "u.{e}"}
// CHECK-NEXT:    %[[R:.+]] = moe.routing.make %[[I]], %[[W]] trusted
// CHECK-NEXT:    %[[D:.+]] = moe.dispatch %[[X]] by %[[R]] weighted
// CHECK-NEXT:    %[[O:.+]] = moe.expert %[[D]] by %[[R]]
// CHECK:         %[[Y:.+]] = moe.combine %[[O]] by %[[R]] unweighted :
// CHECK-NEXT:    return %[[Y]] : tensor<?x2xf32>
func.func @latent(%x: tensor<?x4xf32> {moe.name = "x", moe.dims = ["T"]},
    %s: tensor<?x8xf32> {moe.name = "s", moe.dims = ["T"]},
    %project: tensor<2x4xf32> {moe.name = "project"},
    %back: tensor<4x2xf32> {moe.name = "back"},
    %up: tensor<8x6x2xf32> {moe.name = "up"},
    %down: tensor<8x2x6xf32> {moe.name = "down"})
    -> (tensor<?x4xf32> {moe.name = "y", moe.dims = ["T"]})
    attributes {moe.checkpoint = {project = "p", back = "b", up = "u.{e}", down = "d.{e}"}} {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x4xf32>
  %e0 = tensor.empty(%T) : tensor<?x2xf32>
  %f0 = linalg.fill ins(%zero : f32) outs(%e0 : tensor<?x2xf32>) -> tensor<?x2xf32>
  %narrow = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%x, %project : tensor<?x4xf32>, tensor<2x4xf32>) outs(%f0 : tensor<?x2xf32>) -> tensor<?x2xf32>
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %d = moe.dispatch %narrow by %r weighted : tensor<?x2xf32>, !moe.routing<8 x 2> -> tensor<?x2xf32>
  %o = moe.expert %d by %r : (tensor<?x2xf32>, !moe.routing<8 x 2>) -> tensor<?x2xf32>
    experts 0 to 8 weights(%up, %down : tensor<8x6x2xf32>, tensor<8x2x6xf32>) {
    ^bb0(%own: tensor<?x2xf32>, %u: tensor<6x2xf32>, %v: tensor<2x6xf32>):
      %g = moe.ffn %own up(%u) down(%v) activation(#moe.relu) : (tensor<?x2xf32>, tensor<6x2xf32>, tensor<2x6xf32>) -> tensor<?x2xf32>
      moe.yield %g : tensor<?x2xf32>
    }
  %sum = moe.combine %o by %r unweighted : tensor<?x2xf32>, !moe.routing<8 x 2> -> tensor<?x2xf32>
  %e1 = tensor.empty(%T) : tensor<?x4xf32>
  %f1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<?x4xf32>) -> tensor<?x4xf32>
  %y = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%sum, %back : tensor<?x2xf32>, tensor<4x2xf32>) outs(%f1 : tensor<?x4xf32>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

// expected-error @below {{has no public function to take experts out of}}
module {
  func.func private @f(%x: tensor<4xf32>) -> tensor<4xf32>
}

// -----

// A layer by two routings cannot be called with one.
func.func @two(%x: tensor<?x4xf32> {moe.name = "x", moe.dims = ["T"]},
    %s: tensor<?x8xf32> {moe.name = "s", moe.dims = ["T"]})
    -> (tensor<?x4xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %q = moe.routing.reweigh %r weighing [#moe.scale<2.0>] : !moe.routing<8 x 2>
  %d = moe.dispatch %x by %r : tensor<?x4xf32>, !moe.routing<8 x 2> -> tensor<?x4xf32>
  // expected-error @below {{has another routing than what its rows come from}}
  %y = moe.combine %d by %q : tensor<?x4xf32>, !moe.routing<8 x 2> -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

func.func @called(%x: tensor<?x4xf32> {moe.name = "x", moe.dims = ["T"]},
    %s: tensor<?x8xf32> {moe.name = "s", moe.dims = ["T"]})
    -> (tensor<?x4xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %d = moe.dispatch %x by %r : tensor<?x4xf32>, !moe.routing<8 x 2> -> tensor<?x4xf32>
  %y = moe.combine %d by %r : tensor<?x4xf32>, !moe.routing<8 x 2> -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}
func.func private @caller(%x: tensor<?x4xf32>, %s: tensor<?x8xf32>) -> tensor<?x4xf32> {
  // expected-error @below {{calls 'called', whose interface changes; inline the call first}}
  %y = func.call @called(%x, %s) : (tensor<?x4xf32>, tensor<?x8xf32>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

// expected-error @below {{has 0 combines; experts can be taken out of a function with one in its own body}}
func.func @none(%x: tensor<?x4xf32> {moe.name = "x", moe.dims = ["T"]}) -> tensor<?x4xf32> {
  return %x : tensor<?x4xf32>
}
