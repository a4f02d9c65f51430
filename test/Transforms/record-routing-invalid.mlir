// RUN: moe-opt %s --moe-record-routing --split-input-file --verify-diagnostics
// RUN: moe-opt %s --moe-replay-routing --split-input-file --verify-diagnostics

// expected-error@+1 {{'builtin.module' op has no public function with a router, so that there is no routing to record or replay}}
module {
  func.func @dense(%x: tensor<4xf32>) -> tensor<4xf32> {
    return %x : tensor<4xf32>
  }
}

// -----

func.func @unnamed(%s: tensor<?x8xf32>) -> tensor<9xi32> {
  // expected-error@+1 {{has a number of tokens that is no named size of the function; give the tensor of tokens among its arguments a `moe.dims`}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %o = moe.routing.offsets %r : !moe.routing<8 x 2> -> tensor<9xi32>
  return %o : tensor<9xi32>
}

// -----

func.func @loop(%s: tensor<4x8xf32>, %n: index, %i: tensor<9xi32>) -> tensor<9xi32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %l = scf.for %k = %c0 to %n step %c1 iter_args(%a = %i) -> tensor<9xi32> {
    // expected-error@+1 {{is inside of 'scf.for', so that there is not one routing of it in a call}}
    %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<4x8xf32> -> !moe.routing<8 x 2>
    %o = moe.routing.offsets %r : !moe.routing<8 x 2> -> tensor<9xi32>
    scf.yield %o : tensor<9xi32>
  }
  return %l : tensor<9xi32>
}

// -----

// expected-error@+1 {{'func.func' op has an argument 'routing.indices' already}}
func.func @taken(%s: tensor<4x8xf32> {moe.name = "routing.indices"}) -> tensor<9xi32> {
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<4x8xf32> -> !moe.routing<8 x 2>
  %o = moe.routing.offsets %r : !moe.routing<8 x 2> -> tensor<9xi32>
  return %o : tensor<9xi32>
}

// -----

func.func @entry(%z: tensor<?x4xf32> {moe.name = "z", moe.dims = ["T"]}) -> (tensor<?x2xi32> {moe.name = "i", moe.dims = ["T"]}) {
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %i = moe.routing.indices %r : !moe.routing<4 x 2> -> tensor<?x2xi32>
  return %i : tensor<?x2xi32>
}
func.func @caller(%z: tensor<?x4xf32> {moe.name = "z", moe.dims = ["T"]}) -> (tensor<?x2xi32> {moe.name = "i", moe.dims = ["T"]}) {
  // expected-error@+1 {{'func.call' op calls 'entry', whose interface changes with its routings; inline the call first}}
  %i = call @entry(%z) : (tensor<?x4xf32>) -> tensor<?x2xi32>
  return %i : tensor<?x2xi32>
}

// -----

func.func @no_dimension(%x: tensor<?x8xf32> {moe.name = "x", moe.dims = ["T"]}) -> (tensor<9xi32> {moe.name = "o"}) {
  %c-1 = arith.constant -1 : index
  // expected-error@+1 {{'tensor.dim' op asks for a dimension that there is not}}
  %n = tensor.dim %x, %c-1 : tensor<?x8xf32>
  %s = tensor.empty(%n) : tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %o = moe.routing.offsets %r : !moe.routing<8 x 2> -> tensor<9xi32>
  return %o : tensor<9xi32>
}
