// Written by gen_ragged_fixtures.py.
// RUN: moe-interpret %s --inputs=%S/Inputs/expert-choice-awkward.safetensors --expect=%S/Inputs/expert-choice-awkward.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/expert-choice-t5.safetensors --expect=%S/Inputs/expert-choice-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/expert-choice-t1.safetensors --expect=%S/Inputs/expert-choice-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/expert-choice-t0.safetensors --expect=%S/Inputs/expert-choice-t0.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/expert-choice-t37.safetensors --expect=%S/Inputs/expert-choice-t37.safetensors --tolerance=1e-12

func.func @route(%scores: tensor<?x21xf32> {moe.name = "scores", moe.dims = ["T"]})
    -> (tensor<?x21xi32> {moe.name = "one.idx", moe.dims = ["T"]},
        tensor<?x21xf32> {moe.name = "one.w", moe.dims = ["T"]},
        tensor<22xi32> {moe.name = "one.offsets"},
        tensor<?x21xi32> {moe.name = "three.idx", moe.dims = ["T"]},
        tensor<?x21xf32> {moe.name = "three.w", moe.dims = ["T"]},
        tensor<22xi32> {moe.name = "three.offsets"},
        tensor<?x21xi32> {moe.name = "many.idx", moe.dims = ["T"]},
        tensor<?x21xf32> {moe.name = "many.w", moe.dims = ["T"]},
        tensor<22xi32> {moe.name = "many.offsets"},
        tensor<?x21xi32> {moe.name = "halves.idx", moe.dims = ["T"]},
        tensor<?x21xf32> {moe.name = "halves.w", moe.dims = ["T"]},
        tensor<22xi32> {moe.name = "halves.offsets"},
        tensor<?x21xi32> {moe.name = "few.idx", moe.dims = ["T"]},
        tensor<?x21xf32> {moe.name = "few.w", moe.dims = ["T"]},
        tensor<22xi32> {moe.name = "few.offsets"},
        tensor<?x21xi32> {moe.name = "ones.idx", moe.dims = ["T"]},
        tensor<?x21xf32> {moe.name = "ones.w", moe.dims = ["T"]},
        tensor<22xi32> {moe.name = "ones.offsets"},
        tensor<?x21xi32> {moe.name = "sum.idx", moe.dims = ["T"]},
        tensor<?x21xf32> {moe.name = "sum.w", moe.dims = ["T"]},
        tensor<22xi32> {moe.name = "sum.offsets"},
        tensor<?x21xi32> {moe.name = "squares.idx", moe.dims = ["T"]},
        tensor<?x21xf32> {moe.name = "squares.w", moe.dims = ["T"]},
        tensor<22xi32> {moe.name = "squares.offsets"}) {
  %r_one = moe.router #moe.expert_choice<capacity = 1> select(%scores) weigh(%scores)
      : tensor<?x21xf32> -> !moe.routing<21 x 21>
  %i_one = moe.routing.indices %r_one : !moe.routing<21 x 21> -> tensor<?x21xi32>
  %w_one = moe.routing.weights %r_one : !moe.routing<21 x 21> -> tensor<?x21xf32>
  %o_one = moe.routing.offsets %r_one : !moe.routing<21 x 21> -> tensor<22xi32>
  %r_three = moe.router #moe.expert_choice<capacity = 3> select(%scores) weigh(%scores)
      : tensor<?x21xf32> -> !moe.routing<21 x 21>
  %i_three = moe.routing.indices %r_three : !moe.routing<21 x 21> -> tensor<?x21xi32>
  %w_three = moe.routing.weights %r_three : !moe.routing<21 x 21> -> tensor<?x21xf32>
  %o_three = moe.routing.offsets %r_three : !moe.routing<21 x 21> -> tensor<22xi32>
  %r_many = moe.router #moe.expert_choice<capacity = 1000> select(%scores) weigh(%scores)
      : tensor<?x21xf32> -> !moe.routing<21 x 21>
  %i_many = moe.routing.indices %r_many : !moe.routing<21 x 21> -> tensor<?x21xi32>
  %w_many = moe.routing.weights %r_many : !moe.routing<21 x 21> -> tensor<?x21xf32>
  %o_many = moe.routing.offsets %r_many : !moe.routing<21 x 21> -> tensor<22xi32>
  %r_halves = moe.router #moe.expert_choice<factor = 10.5> select(%scores) weigh(%scores)
      : tensor<?x21xf32> -> !moe.routing<21 x 21>
  %i_halves = moe.routing.indices %r_halves : !moe.routing<21 x 21> -> tensor<?x21xi32>
  %w_halves = moe.routing.weights %r_halves : !moe.routing<21 x 21> -> tensor<?x21xf32>
  %o_halves = moe.routing.offsets %r_halves : !moe.routing<21 x 21> -> tensor<22xi32>
  %r_few = moe.router #moe.expert_choice<factor = 0.1> select(%scores) weigh(%scores)
      : tensor<?x21xf32> -> !moe.routing<21 x 21>
  %i_few = moe.routing.indices %r_few : !moe.routing<21 x 21> -> tensor<?x21xi32>
  %w_few = moe.routing.weights %r_few : !moe.routing<21 x 21> -> tensor<?x21xf32>
  %o_few = moe.routing.offsets %r_few : !moe.routing<21 x 21> -> tensor<22xi32>
  %r_ones = moe.router #moe.expert_choice<factor = 4.0> select(%scores)
      : tensor<?x21xf32> -> !moe.routing<21 x 21>
  %i_ones = moe.routing.indices %r_ones : !moe.routing<21 x 21> -> tensor<?x21xi32>
  %w_ones = moe.routing.weights %r_ones : !moe.routing<21 x 21> -> tensor<?x21xf32>
  %o_ones = moe.routing.offsets %r_ones : !moe.routing<21 x 21> -> tensor<22xi32>
  %r_sum = moe.router #moe.expert_choice<factor = 4.0> select(%scores) weigh(%scores) weighing [#moe.normalize<sum, eps = 1.0e-20>]
      : tensor<?x21xf32> -> !moe.routing<21 x 21>
  %i_sum = moe.routing.indices %r_sum : !moe.routing<21 x 21> -> tensor<?x21xi32>
  %w_sum = moe.routing.weights %r_sum : !moe.routing<21 x 21> -> tensor<?x21xf32>
  %o_sum = moe.routing.offsets %r_sum : !moe.routing<21 x 21> -> tensor<22xi32>
  %r_squares = moe.router #moe.expert_choice<factor = 4.0> select(%scores) weigh(%scores)
      : tensor<?x21xf32> -> !moe.routing<21 x 21> weights {
  ^bb0(%v: vector<21xf32>, %used: vector<21xi1>):
    %s = arith.mulf %v, %v : vector<21xf32>
    moe.yield %s : vector<21xf32>
  }
  %i_squares = moe.routing.indices %r_squares : !moe.routing<21 x 21> -> tensor<?x21xi32>
  %w_squares = moe.routing.weights %r_squares : !moe.routing<21 x 21> -> tensor<?x21xf32>
  %o_squares = moe.routing.offsets %r_squares : !moe.routing<21 x 21> -> tensor<22xi32>
  return %i_one, %w_one, %o_one, %i_three, %w_three, %o_three, %i_many, %w_many, %o_many, %i_halves, %w_halves, %o_halves, %i_few, %w_few, %o_few, %i_ones, %w_ones, %o_ones, %i_sum, %w_sum, %o_sum, %i_squares, %w_squares, %o_squares
      : tensor<?x21xi32>, tensor<?x21xf32>, tensor<22xi32>, tensor<?x21xi32>, tensor<?x21xf32>, tensor<22xi32>, tensor<?x21xi32>, tensor<?x21xf32>, tensor<22xi32>, tensor<?x21xi32>, tensor<?x21xf32>, tensor<22xi32>, tensor<?x21xi32>, tensor<?x21xf32>, tensor<22xi32>, tensor<?x21xi32>, tensor<?x21xf32>, tensor<22xi32>, tensor<?x21xi32>, tensor<?x21xf32>, tensor<22xi32>, tensor<?x21xi32>, tensor<?x21xf32>, tensor<22xi32>
}
