// Written by gen_ragged_fixtures.py.
// RUN: moe-interpret %s --inputs=%S/Inputs/threshold-awkward.safetensors --expect=%S/Inputs/threshold-awkward.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/threshold-t5.safetensors --expect=%S/Inputs/threshold-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/threshold-t1.safetensors --expect=%S/Inputs/threshold-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/threshold-t0.safetensors --expect=%S/Inputs/threshold-t0.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/threshold-t37.safetensors --expect=%S/Inputs/threshold-t37.safetensors --tolerance=1e-12

func.func @route(%scores: tensor<?x21xf32> {moe.name = "scores", moe.dims = ["T"]})
    -> (tensor<?x21xi32> {moe.name = "min0.idx", moe.dims = ["T"]},
        tensor<?x21xf32> {moe.name = "min0.w", moe.dims = ["T"]},
        tensor<22xi32> {moe.name = "min0.offsets"},
        tensor<?x21xi32> {moe.name = "min1.idx", moe.dims = ["T"]},
        tensor<?x21xf32> {moe.name = "min1.w", moe.dims = ["T"]},
        tensor<22xi32> {moe.name = "min1.offsets"},
        tensor<?x21xi32> {moe.name = "zero.idx", moe.dims = ["T"]},
        tensor<?x21xf32> {moe.name = "zero.w", moe.dims = ["T"]},
        tensor<22xi32> {moe.name = "zero.offsets"},
        tensor<?x21xi32> {moe.name = "below.idx", moe.dims = ["T"]},
        tensor<?x21xf32> {moe.name = "below.w", moe.dims = ["T"]},
        tensor<22xi32> {moe.name = "below.offsets"}) {
  %r_min0 = moe.router #moe.threshold<0.5, min_k = 0> select(%scores) weigh(%scores)
      : tensor<?x21xf32> -> !moe.routing<21 x 21>
  %i_min0 = moe.routing.indices %r_min0 : !moe.routing<21 x 21> -> tensor<?x21xi32>
  %w_min0 = moe.routing.weights %r_min0 : !moe.routing<21 x 21> -> tensor<?x21xf32>
  %o_min0 = moe.routing.offsets %r_min0 : !moe.routing<21 x 21> -> tensor<22xi32>
  %r_min1 = moe.router #moe.threshold<0.5, min_k = 1> select(%scores) weigh(%scores)
      : tensor<?x21xf32> -> !moe.routing<21 x 21>
  %i_min1 = moe.routing.indices %r_min1 : !moe.routing<21 x 21> -> tensor<?x21xi32>
  %w_min1 = moe.routing.weights %r_min1 : !moe.routing<21 x 21> -> tensor<?x21xf32>
  %o_min1 = moe.routing.offsets %r_min1 : !moe.routing<21 x 21> -> tensor<22xi32>
  %r_zero = moe.router #moe.threshold<0.0, min_k = 0> select(%scores) weigh(%scores)
      : tensor<?x21xf32> -> !moe.routing<21 x 21>
  %i_zero = moe.routing.indices %r_zero : !moe.routing<21 x 21> -> tensor<?x21xi32>
  %w_zero = moe.routing.weights %r_zero : !moe.routing<21 x 21> -> tensor<?x21xf32>
  %o_zero = moe.routing.offsets %r_zero : !moe.routing<21 x 21> -> tensor<22xi32>
  %r_below = moe.router #moe.threshold<-1.0, min_k = 0> select(%scores) weigh(%scores)
      : tensor<?x21xf32> -> !moe.routing<21 x 21>
  %i_below = moe.routing.indices %r_below : !moe.routing<21 x 21> -> tensor<?x21xi32>
  %w_below = moe.routing.weights %r_below : !moe.routing<21 x 21> -> tensor<?x21xf32>
  %o_below = moe.routing.offsets %r_below : !moe.routing<21 x 21> -> tensor<22xi32>
  return %i_min0, %w_min0, %o_min0, %i_min1, %w_min1, %o_min1, %i_zero, %w_zero, %o_zero, %i_below, %w_below, %o_below
      : tensor<?x21xi32>, tensor<?x21xf32>, tensor<22xi32>, tensor<?x21xi32>, tensor<?x21xf32>, tensor<22xi32>, tensor<?x21xi32>, tensor<?x21xf32>, tensor<22xi32>, tensor<?x21xi32>, tensor<?x21xf32>, tensor<22xi32>
}
