// Written by gen_ragged_fixtures.py.
// RUN: moe-interpret %s --inputs=%S/Inputs/min-p-awkward.safetensors --expect=%S/Inputs/min-p-awkward.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/min-p-t5.safetensors --expect=%S/Inputs/min-p-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/min-p-t1.safetensors --expect=%S/Inputs/min-p-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/min-p-t0.safetensors --expect=%S/Inputs/min-p-t0.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/min-p-t37.safetensors --expect=%S/Inputs/min-p-t37.safetensors --tolerance=1e-12

func.func @route(%scores: tensor<?x21xf32> {moe.name = "scores", moe.dims = ["T"]})
    -> (tensor<?x21xi32> {moe.name = "quarter.idx", moe.dims = ["T"]},
        tensor<?x21xf32> {moe.name = "quarter.w", moe.dims = ["T"]},
        tensor<22xi32> {moe.name = "quarter.offsets"},
        tensor<?x21xi32> {moe.name = "zero.idx", moe.dims = ["T"]},
        tensor<?x21xf32> {moe.name = "zero.w", moe.dims = ["T"]},
        tensor<22xi32> {moe.name = "zero.offsets"},
        tensor<?x21xi32> {moe.name = "one.idx", moe.dims = ["T"]},
        tensor<?x21xf32> {moe.name = "one.w", moe.dims = ["T"]},
        tensor<22xi32> {moe.name = "one.offsets"}) {
  %r_quarter = moe.router #moe.min_p<0.25> select(%scores) weigh(%scores)
      : tensor<?x21xf32> -> !moe.routing<21 x 21>
  %i_quarter = moe.routing.indices %r_quarter : !moe.routing<21 x 21> -> tensor<?x21xi32>
  %w_quarter = moe.routing.weights %r_quarter : !moe.routing<21 x 21> -> tensor<?x21xf32>
  %o_quarter = moe.routing.offsets %r_quarter : !moe.routing<21 x 21> -> tensor<22xi32>
  %r_zero = moe.router #moe.min_p<0.0> select(%scores) weigh(%scores)
      : tensor<?x21xf32> -> !moe.routing<21 x 21>
  %i_zero = moe.routing.indices %r_zero : !moe.routing<21 x 21> -> tensor<?x21xi32>
  %w_zero = moe.routing.weights %r_zero : !moe.routing<21 x 21> -> tensor<?x21xf32>
  %o_zero = moe.routing.offsets %r_zero : !moe.routing<21 x 21> -> tensor<22xi32>
  %r_one = moe.router #moe.min_p<1.0> select(%scores) weigh(%scores)
      : tensor<?x21xf32> -> !moe.routing<21 x 21>
  %i_one = moe.routing.indices %r_one : !moe.routing<21 x 21> -> tensor<?x21xi32>
  %w_one = moe.routing.weights %r_one : !moe.routing<21 x 21> -> tensor<?x21xf32>
  %o_one = moe.routing.offsets %r_one : !moe.routing<21 x 21> -> tensor<22xi32>
  return %i_quarter, %w_quarter, %o_quarter, %i_zero, %w_zero, %o_zero, %i_one, %w_one, %o_one
      : tensor<?x21xi32>, tensor<?x21xf32>, tensor<22xi32>, tensor<?x21xi32>, tensor<?x21xf32>, tensor<22xi32>, tensor<?x21xi32>, tensor<?x21xf32>, tensor<22xi32>
}
