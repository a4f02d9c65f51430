// RUN: moe-opt %s --split-input-file --verify-diagnostics

func.func @dispatch_unknown_hidden(%x: tensor<?x?xf32>, %r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects a static hidden size, dimension 1 of x, but got 'tensor<?x?xf32>'}}
  %0 = moe.dispatch %x by %r : tensor<?x?xf32>, !moe.routing<8 x 2> -> tensor<?x?xf32>
  return
}

// -----

func.func @dispatch_rank(%x: tensor<?x4x4xf32>, %r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{operand #0 must be 2D tensor of 32-bit float or 64-bit float or bfloat16 type or 16-bit float or 32-bit signless integer or 64-bit signless integer values, but got 'tensor<?x4x4xf32>'}}
  %0 = moe.dispatch %x by %r : tensor<?x4x4xf32>, !moe.routing<8 x 2> -> tensor<?x4x4xf32>
  return
}

// -----

func.func @dispatch_not_a_routing(%x: tensor<?x4xf32>, %r: tensor<?x2xi32>) {
  // expected-error @+1 {{operand #1 must be routing, a ragged list of assignments (token, expert, weight), but got 'tensor<?x2xi32>'}}
  %0 = moe.dispatch %x by %r : tensor<?x4xf32>, tensor<?x2xi32> -> tensor<?x4xf32>
  return
}

// -----

func.func @dispatch_other_hidden(%x: tensor<?x4xf32>, %r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects a result of type 'tensor<?x4xf32>', rows like those of x, but got 'tensor<?x8xf32>'}}
  %0 = moe.dispatch %x by %r : tensor<?x4xf32>, !moe.routing<8 x 2> -> tensor<?x8xf32>
  return
}

// -----

func.func @dispatch_unknown_result(%x: tensor<?x4xf32>, %r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects a static hidden size, dimension 1 of the result, but got 'tensor<?x?xf32>'}}
  %0 = moe.dispatch %x by %r : tensor<?x4xf32>, !moe.routing<8 x 2> -> tensor<?x?xf32>
  return
}

// -----

func.func @dispatch_other_type(%x: tensor<?x4xf32>, %r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects a result of type 'tensor<?x4xf32>', rows like those of x, but got 'tensor<?x4xbf16>'}}
  %0 = moe.dispatch %x by %r : tensor<?x4xf32>, !moe.routing<8 x 2> -> tensor<?x4xbf16>
  return
}

// -----

func.func @dispatch_too_many_rows(%x: tensor<3x4xf32>, %r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects at most 6 rows, for 3 tokens in 2 slots each, but got 'tensor<7x4xf32>'}}
  %0 = moe.dispatch %x by %r : tensor<3x4xf32>, !moe.routing<8 x 2> -> tensor<7x4xf32>
  return
}

// -----

func.func @expert_type(%rows: tensor<?x4xf32>, %r: !moe.routing<2 x 1>) {
  // expected-error @+1 {{expected a type (rows, routing) -> result, but got '(tensor<?x4xf32>) -> tensor<?x4xf32>'}}
  %0 = moe.expert %rows by %r : (tensor<?x4xf32>) -> tensor<?x4xf32>
  experts 0 to 2 {
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }
  return
}

// -----

func.func @expert_gap(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>) {
  %0 = moe.expert %rows by %r : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x4xf32>
  experts 0 to 1 {
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  // expected-error @+1 {{expected a group that begins with expert 1, where the one before it ends, but got 2}}
  } experts 2 to 3 {
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }
  return
}

// -----

func.func @expert_first(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>) {
  // expected-error @+1 {{expects its first group to begin with expert 0, but it begins with 1}}
  %0 = "moe.expert"(%rows, %r) <{operandSegmentSizes = array<i32: 1, 1, 0, 0>, bounds = array<i64: 1, 3>, weight_counts = array<i64: 0>}> ({
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }) : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x4xf32>
  return
}

// -----

func.func @expert_empty_group(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>) {
  // expected-error @+1 {{expects group #1 to hold at least one expert, but it goes from 3 to 3}}
  %0 = moe.expert %rows by %r : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x4xf32>
  experts 0 to 3 {
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  } experts 3 to 3 {
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }
  return
}

// -----

func.func @expert_cover(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>) {
  // expected-error @+1 {{expects its groups to cover the 3 experts of '!moe.routing<3 x 1>', but they end with 2}}
  %0 = moe.expert %rows by %r : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x4xf32>
  experts 0 to 2 {
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }
  return
}

// -----

func.func @expert_no_group(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>) {
  // expected-error @+1 {{expects at least one group of experts}}
  %0 = "moe.expert"(%rows, %r) <{operandSegmentSizes = array<i32: 1, 1, 0, 0>, bounds = array<i64: 0>, weight_counts = array<i64>}> : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x4xf32>
  return
}

// -----

func.func @expert_bounds(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>) {
  // expected-error @+1 {{expects 2 bounds and 1 weight counts for its 1 regions, but got 3 and 1}}
  %0 = "moe.expert"(%rows, %r) <{operandSegmentSizes = array<i32: 1, 1, 0, 0>, bounds = array<i64: 0, 1, 3>, weight_counts = array<i64: 0>}> ({
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }) : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x4xf32>
  return
}

// -----

func.func @expert_weight_counts(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>, %w: tensor<3xf32>) {
  // expected-error @+1 {{expects weight counts that add up to its 1 weights, but they add up to 0}}
  %0 = "moe.expert"(%rows, %r, %w) <{operandSegmentSizes = array<i32: 1, 1, 1, 0>, bounds = array<i64: 0, 3>, weight_counts = array<i64: 0>}> ({
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }) : (tensor<?x4xf32>, !moe.routing<3 x 1>, tensor<3xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @expert_negative_count(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>, %w: tensor<3xf32>) {
  // expected-error @+1 {{expects weight counts of 0 to 1, but got -1}}
  %0 = "moe.expert"(%rows, %r, %w) <{operandSegmentSizes = array<i32: 1, 1, 1, 0>, bounds = array<i64: 0, 3>, weight_counts = array<i64: -1>}> ({
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }) : (tensor<?x4xf32>, !moe.routing<3 x 1>, tensor<3xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @expert_weight_size(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>, %w: tensor<2x4xf32>) {
  // expected-error @+1 {{expects weight #0 of group #0 to have a first dimension of 3, the number of experts from 0 to 3, but got 'tensor<2x4xf32>'}}
  %0 = moe.expert %rows by %r : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x4xf32>
  experts 0 to 3 weights(%w : tensor<2x4xf32>) {
  ^bb0(%t: tensor<?x4xf32>, %v: tensor<4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }
  return
}

// -----

func.func @expert_weight_rank(%rows: tensor<?x4xf32>, %r: !moe.routing<1 x 1>, %w: tensor<f32>) {
  // expected-error @+1 {{expects weight #0 of group #0 to have a first dimension of 1, the number of experts from 0 to 1, but got 'tensor<f32>'}}
  %0 = moe.expert %rows by %r : (tensor<?x4xf32>, !moe.routing<1 x 1>) -> tensor<?x4xf32>
  experts 0 to 1 weights(%w : tensor<f32>) {
  ^bb0(%t: tensor<?x4xf32>, %v: tensor<f32>):
    moe.yield %t : tensor<?x4xf32>
  }
  return
}

// -----

func.func @expert_unknown_hidden(%rows: tensor<?x?xf32>, %r: !moe.routing<1 x 1>) {
  // expected-error @+1 {{expects a static hidden size, dimension 1 of rows, but got 'tensor<?x?xf32>'}}
  %0 = moe.expert %rows by %r : (tensor<?x?xf32>, !moe.routing<1 x 1>) -> tensor<?x4xf32>
  experts 0 to 1 {
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }
  return
}

// -----

func.func @expert_no_hidden(%rows: tensor<?x0xf32>, %r: !moe.routing<1 x 1>) {
  // expected-error @+1 {{expects the hidden size to be at least 1, dimension 1 of rows, but got 'tensor<?x0xf32>'}}
  %0 = moe.expert %rows by %r : (tensor<?x0xf32>, !moe.routing<1 x 1>) -> tensor<?x0xf32>
  experts 0 to 1 {
  ^bb0(%t: tensor<?x0xf32>):
    moe.yield %t : tensor<?x0xf32>
  }
  return
}

// -----

func.func @expert_empty_weight(%rows: tensor<?x4xf32>, %r: !moe.routing<2 x 1>, %w: tensor<2x3x0xf32>) {
  // expected-error @+1 {{expects weight #0 of group #0 to have elements, but got 'tensor<2x3x0xf32>'}}
  %0 = moe.expert %rows by %r : (tensor<?x4xf32>, !moe.routing<2 x 1>) -> tensor<?x4xf32>
  experts 0 to 2 weights(%w : tensor<2x3x0xf32>) {
  ^bb0(%t: tensor<?x4xf32>, %v: tensor<3x0xf32>):
    moe.yield %t : tensor<?x4xf32>
  }
  return
}

// -----

func.func @expert_row_count(%rows: tensor<6x4xf32>, %r: !moe.routing<1 x 1>) {
  // expected-error @+1 {{expects a result of as many rows as it is given, 6, but got 'tensor<5x4xf32>'}}
  %0 = moe.expert %rows by %r : (tensor<6x4xf32>, !moe.routing<1 x 1>) -> tensor<5x4xf32>
  experts 0 to 1 {
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }
  return
}

// -----

func.func @expert_arguments(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>, %w: tensor<3x4xf32>) {
  // expected-error @+1 {{expects the body of group #0 to have 2 arguments (rows of one expert, slice of weight #0), but it has 1}}
  %0 = moe.expert %rows by %r : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x4xf32>
  experts 0 to 3 weights(%w : tensor<3x4xf32>) {
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }
  return
}

// -----

func.func @expert_argument_type(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>, %w: tensor<3x4xf32>) {
  // expected-error @+1 {{expects argument #1 of the body of group #0 (slice of weight #0) to be 'tensor<4xf32>', but got 'tensor<3x4xf32>'}}
  %0 = moe.expert %rows by %r : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x4xf32>
  experts 0 to 3 weights(%w : tensor<3x4xf32>) {
  // expected-note @+1 {{argument is here}}
  ^bb0(%t: tensor<?x4xf32>, %v: tensor<3x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }
  return
}

// -----

func.func @expert_static_rows(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>) {
  // expected-error @+1 {{expects argument #0 of the body of group #0 (rows of one expert) to be 'tensor<?x4xf32>', but got 'tensor<2x4xf32>'}}
  %0 = moe.expert %rows by %r : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x4xf32>
  experts 0 to 3 {
  // expected-note @+1 {{argument is here}}
  ^bb0(%t: tensor<2x4xf32>):
    moe.yield %t : tensor<2x4xf32>
  }
  return
}

// -----

func.func @expert_yield(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>) {
  // expected-error @+1 {{expects the body of group #0 to yield one value of 'tensor<?x8xf32>', but it yields 1 of 'tensor<?x4xf32>'}}
  %0 = moe.expert %rows by %r : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x8xf32>
  experts 0 to 3 {
  ^bb0(%t: tensor<?x4xf32>):
    // expected-note @+1 {{yielded here}}
    moe.yield %t : tensor<?x4xf32>
  }
  return
}

// -----

func.func @expert_no_body(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>) {
  // expected-error @+1 {{expects the body of group #0 to be one block, but it has 0}}
  %0 = moe.expert %rows by %r : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x4xf32>
  experts 0 to 3 {
  }
  return
}

// -----

func.func @combine_hidden(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>) {
  // expected-error @+1 {{expects a result of type 'tensor<?x4xf32>', rows like those it sums, but got 'tensor<?x8xf32>'}}
  %0 = moe.combine %rows by %r : tensor<?x4xf32>, !moe.routing<3 x 1> -> tensor<?x8xf32>
  return
}

// -----

func.func @combine_unknown_hidden(%rows: tensor<?x?xf32>, %r: !moe.routing<3 x 1>) {
  // expected-error @+1 {{expects a static hidden size, dimension 1 of rows, but got 'tensor<?x?xf32>'}}
  %0 = moe.combine %rows by %r : tensor<?x?xf32>, !moe.routing<3 x 1> -> tensor<?x8xf32>
  return
}

// -----

func.func @combine_init(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>, %i: tensor<7x4xf32>) {
  // expected-error @+1 {{expects init of the type of the result, 'tensor<?x4xf32>', but got 'tensor<7x4xf32>'}}
  %0 = moe.combine %rows by %r init(%i : tensor<7x4xf32>) : tensor<?x4xf32>, !moe.routing<3 x 1> -> tensor<?x4xf32>
  return
}

// -----

func.func @weighted_integers(%x: tensor<?x4xi32>, %r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{multiplies floats by weights, but got 'tensor<?x4xi32>'}}
  %0 = moe.dispatch %x by %r weighted : tensor<?x4xi32>, !moe.routing<8 x 2> -> tensor<?x4xi32>
  return
}

// -----

func.func @combined_integers(%x: tensor<?x4xi64>, %r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{multiplies floats by weights, but got 'tensor<?x4xi64>'; integers can be added `unweighted`}}
  %0 = moe.combine %x by %r : tensor<?x4xi64>, !moe.routing<8 x 2> -> tensor<?x4xi64>
  return
}

// -----

func.func @other_rows_are_fewer(%x: tensor<8x4xf32>, %ids: tensor<7x1xi32>, %r: !moe.routing<2 x 2>) {
  // expected-error @+1 {{expects rows #0 of `with` to be as many as its rows, 8, but got 'tensor<7x1xi32>'}}
  %0 = moe.expert %x by %r with(%ids : tensor<7x1xi32>) : (tensor<8x4xf32>, !moe.routing<2 x 2>) -> tensor<8x4xf32>
    experts 0 to 2 {
    ^bb0(%t: tensor<?x4xf32>, %id: tensor<?x1xi32>):
      moe.yield %t : tensor<?x4xf32>
    }
  return
}

// -----

func.func @other_rows_are_no_argument(%x: tensor<?x4xf32>, %ids: tensor<?x1xi32>, %w: tensor<2x4xf32>, %r: !moe.routing<2 x 2>) {
  // expected-error @+1 {{expects argument #2 of the body of group #0 (rows #0 of `with`) to be 'tensor<?x1xi32>', but got 'tensor<?x1xf32>'}}
  %0 = moe.expert %x by %r with(%ids : tensor<?x1xi32>) : (tensor<?x4xf32>, !moe.routing<2 x 2>) -> tensor<?x4xf32>
    experts 0 to 2 weights(%w : tensor<2x4xf32>) {
    // expected-note @+1 {{argument is here}}
    ^bb0(%t: tensor<?x4xf32>, %v: tensor<4xf32>, %id: tensor<?x1xf32>):
      moe.yield %t : tensor<?x4xf32>
    }
  return
}
