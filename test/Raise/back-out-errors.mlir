// What has no form upstream is one error, at the op.

// RUN: moe-opt %s --moe-lower-to-linalg=form=gathered --split-input-file --verify-diagnostics

func.func @argument(%x: tensor<6x8xf32>, %r: !moe.routing<4 x 2>) -> tensor<?x8xf32> {
  // expected-error@+1 {{'moe.dispatch' op has a routing that is an argument; pass indices and weights, and make it by moe.routing.make}}
  %rows = moe.dispatch %x by %r : tensor<6x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
  return %rows : tensor<?x8xf32>
}

// -----

func.func @result(%z: tensor<6x4xf32>) -> !moe.routing<4 x 2> {
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<6x4xf32> -> !moe.routing<4 x 2>
  // expected-error@+1 {{uses a routing, which has no type upstream}}
  return %r : !moe.routing<4 x 2>
}

// -----

func.func @rows(%x: tensor<6x8xf32>, %z: tensor<6x4xf32>) -> tensor<?x8xf32> {
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<6x4xf32> -> !moe.routing<4 x 2>
  // expected-error@+1 {{'moe.dispatch' op has a size that depends on data, and is used by other than experts; form=sorted writes it}}
  %rows = moe.dispatch %x by %r : tensor<6x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
  return %rows : tensor<?x8xf32>
}

// -----

func.func @others(%rows: tensor<?x8xf32>, %z: tensor<6x4xf32>) -> tensor<6x8xf32> {
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<6x4xf32> -> !moe.routing<4 x 2>
  // expected-error@+1 {{'moe.combine' op sums rows that no moe.expert by its routing gives; form=sorted writes it}}
  %y = moe.combine %rows by %r : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<6x8xf32>
  return %y : tensor<6x8xf32>
}

// -----

func.func private @search(tensor<?x8xf32>) -> tensor<?x8xf32>
    attributes {moe.external = #moe.external<>}

func.func @external(%x: tensor<6x8xf32>, %z: tensor<6x4xf32>) -> tensor<6x8xf32> {
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<6x4xf32> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %r : tensor<6x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
  %out = moe.expert %rows by %r : (tensor<?x8xf32>, !moe.routing<4 x 2>) -> tensor<?x8xf32>
  experts 0 to 4 {
  ^bb0(%t: tensor<?x8xf32>):
    // expected-error@+1 {{the body of an expert calls the C function 'search', which has no form upstream}}
    %f = func.call @search(%t) : (tensor<?x8xf32>) -> tensor<?x8xf32>
    moe.yield %f : tensor<?x8xf32>
  }
  %y = moe.combine %out by %r : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<6x8xf32>
  return %y : tensor<6x8xf32>
}

// -----

func.func @loop(%x: tensor<6x8xf32>, %z: tensor<6x4xf32>, %w: tensor<4x8xf32>) -> tensor<6x8xf32> {
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<6x4xf32> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %r : tensor<6x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
  %out = moe.expert %rows by %r : (tensor<?x8xf32>, !moe.routing<4 x 2>) -> tensor<?x8xf32>
  experts 0 to 4 weights(%w : tensor<4x8xf32>) {
  ^bb0(%t: tensor<?x8xf32>, %v: tensor<8xf32>):
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %n = tensor.dim %t, %c0 : tensor<?x8xf32>
    // expected-error@+1 {{'scf.for' has no form for all experts at once; form=sorted writes it}}
    %f = scf.for %i = %c0 to %n step %c1 iter_args(%a = %t) -> (tensor<?x8xf32>) {
      %s = tensor.extract %v[%c0] : tensor<8xf32>
      %b = tensor.insert %s into %a[%i, %c0] : tensor<?x8xf32>
      scf.yield %b : tensor<?x8xf32>
    }
    moe.yield %f : tensor<?x8xf32>
  }
  %y = moe.combine %out by %r : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<6x8xf32>
  return %y : tensor<6x8xf32>
}
