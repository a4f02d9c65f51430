// RUN: moe-opt %s --split-input-file --verify-diagnostics

func.func @outside(%x: tensor<?x4xf32>, %ids: tensor<?x1xi32>) {
  // expected-error @+1 {{expects parent op 'moe.expert'}}
  %0 = moe.scan %x by %ids : (tensor<?x4xf32>, tensor<?x1xi32>) -> tensor<?x8xf32> body {
  ^bb0(%row: tensor<?x4xf32>, %state: tensor<?x8xf32>):
    moe.yield %state : tensor<?x8xf32>
  }
  return
}

// -----

func.func @two_numbers(%x: tensor<?x4xf32>, %ids: tensor<?x2xi32>, %r: !moe.routing<1 x 1>) {
  %0 = moe.expert %x by %r with(%ids : tensor<?x2xi32>) : (tensor<?x4xf32>, !moe.routing<1 x 1>) -> tensor<?x4xf32>
    experts 0 to 1 {
    ^bb0(%t: tensor<?x4xf32>, %id: tensor<?x2xi32>):
      // expected-error @+1 {{expects one number for each row in `sequences`, but got 'tensor<?x2xi32>'}}
      %s = moe.scan %t by %id : (tensor<?x4xf32>, tensor<?x2xi32>) -> tensor<?x4xf32> body {
      ^bb0(%row: tensor<?x4xf32>, %state: tensor<?x4xf32>):
        moe.yield %state : tensor<?x4xf32>
      }
      moe.yield %s : tensor<?x4xf32>
    }
  return
}

// -----

func.func @other_state(%x: tensor<?x4xf32>, %ids: tensor<?x1xi32>, %r: !moe.routing<1 x 1>) {
  %0 = moe.expert %x by %r with(%ids : tensor<?x1xi32>) : (tensor<?x4xf32>, !moe.routing<1 x 1>) -> tensor<?x8xf32>
    experts 0 to 1 {
    ^bb0(%t: tensor<?x4xf32>, %id: tensor<?x1xi32>):
      // expected-error @+1 {{expects argument #1 of its body (states) to be 'tensor<?x8xf32>', but got 'tensor<?x4xf32>'}}
      %s = moe.scan %t by %id : (tensor<?x4xf32>, tensor<?x1xi32>) -> tensor<?x8xf32> body {
      // expected-note @+1 {{argument is here}}
      ^bb0(%row: tensor<?x4xf32>, %state: tensor<?x4xf32>):
        moe.yield %state : tensor<?x4xf32>
      }
      moe.yield %s : tensor<?x8xf32>
    }
  return
}

// -----

func.func @other_init(%x: tensor<?x4xf32>, %ids: tensor<?x1xi32>, %r: !moe.routing<1 x 1>) {
  %0 = moe.expert %x by %r with(%ids : tensor<?x1xi32>) : (tensor<?x4xf32>, !moe.routing<1 x 1>) -> tensor<?x8xf32>
    experts 0 to 1 {
    ^bb0(%t: tensor<?x4xf32>, %id: tensor<?x1xi32>):
      // expected-error @+1 {{expects init of the type of the result, 'tensor<?x8xf32>', but got 'tensor<?x4xf32>'}}
      %s = moe.scan %t by %id init(%t) : (tensor<?x4xf32>, tensor<?x1xi32>, tensor<?x4xf32>) -> tensor<?x8xf32> body {
      ^bb0(%row: tensor<?x4xf32>, %state: tensor<?x8xf32>):
        moe.yield %state : tensor<?x8xf32>
      }
      moe.yield %s : tensor<?x8xf32>
    }
  return
}
