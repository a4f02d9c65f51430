// Written by gen_ragged_fixtures.py.
// RUN: moe-interpret %s --inputs=%S/Inputs/top-p-awkward.safetensors --expect=%S/Inputs/top-p-awkward.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/top-p-t5.safetensors --expect=%S/Inputs/top-p-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/top-p-t1.safetensors --expect=%S/Inputs/top-p-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/top-p-t0.safetensors --expect=%S/Inputs/top-p-t0.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/top-p-t37.safetensors --expect=%S/Inputs/top-p-t37.safetensors --tolerance=1e-12

func.func @route(%scores: tensor<?x21xf32> {moe.name = "scores", moe.dims = ["T"]})
    -> (tensor<?x21xi32> {moe.name = "strict.idx", moe.dims = ["T"]},
        tensor<?x21xf32> {moe.name = "strict.w", moe.dims = ["T"]},
        tensor<22xi32> {moe.name = "strict.offsets"},
        tensor<?x21xi32> {moe.name = "reach.idx", moe.dims = ["T"]},
        tensor<?x21xf32> {moe.name = "reach.w", moe.dims = ["T"]},
        tensor<22xi32> {moe.name = "reach.offsets"},
        tensor<?x21xi32> {moe.name = "zero.idx", moe.dims = ["T"]},
        tensor<?x21xf32> {moe.name = "zero.w", moe.dims = ["T"]},
        tensor<22xi32> {moe.name = "zero.offsets"},
        tensor<?x21xi32> {moe.name = "below.idx", moe.dims = ["T"]},
        tensor<?x21xf32> {moe.name = "below.w", moe.dims = ["T"]},
        tensor<22xi32> {moe.name = "below.offsets"},
        tensor<?x21xi32> {moe.name = "most.idx", moe.dims = ["T"]},
        tensor<?x21xf32> {moe.name = "most.w", moe.dims = ["T"]},
        tensor<22xi32> {moe.name = "most.offsets"},
        tensor<?x21xi32> {moe.name = "all.idx", moe.dims = ["T"]},
        tensor<?x21xf32> {moe.name = "all.w", moe.dims = ["T"]},
        tensor<22xi32> {moe.name = "all.offsets"}) {
  %r_strict = moe.router #moe.top_p<0.5, strict = true> select(%scores) weigh(%scores)
      : tensor<?x21xf32> -> !moe.routing<21 x 21>
  %i_strict = moe.routing.indices %r_strict : !moe.routing<21 x 21> -> tensor<?x21xi32>
  %w_strict = moe.routing.weights %r_strict : !moe.routing<21 x 21> -> tensor<?x21xf32>
  %o_strict = moe.routing.offsets %r_strict : !moe.routing<21 x 21> -> tensor<22xi32>
  %r_reach = moe.router #moe.top_p<0.5, strict = false> select(%scores) weigh(%scores)
      : tensor<?x21xf32> -> !moe.routing<21 x 21>
  %i_reach = moe.routing.indices %r_reach : !moe.routing<21 x 21> -> tensor<?x21xi32>
  %w_reach = moe.routing.weights %r_reach : !moe.routing<21 x 21> -> tensor<?x21xf32>
  %o_reach = moe.routing.offsets %r_reach : !moe.routing<21 x 21> -> tensor<22xi32>
  %r_zero = moe.router #moe.top_p<0.0, strict = true> select(%scores) weigh(%scores)
      : tensor<?x21xf32> -> !moe.routing<21 x 21>
  %i_zero = moe.routing.indices %r_zero : !moe.routing<21 x 21> -> tensor<?x21xi32>
  %w_zero = moe.routing.weights %r_zero : !moe.routing<21 x 21> -> tensor<?x21xf32>
  %o_zero = moe.routing.offsets %r_zero : !moe.routing<21 x 21> -> tensor<22xi32>
  %r_below = moe.router #moe.top_p<-1.0, strict = true> select(%scores) weigh(%scores)
      : tensor<?x21xf32> -> !moe.routing<21 x 21>
  %i_below = moe.routing.indices %r_below : !moe.routing<21 x 21> -> tensor<?x21xi32>
  %w_below = moe.routing.weights %r_below : !moe.routing<21 x 21> -> tensor<?x21xf32>
  %o_below = moe.routing.offsets %r_below : !moe.routing<21 x 21> -> tensor<22xi32>
  %r_most = moe.router #moe.top_p<0.875, strict = false> select(%scores) weigh(%scores)
      : tensor<?x21xf32> -> !moe.routing<21 x 21>
  %i_most = moe.routing.indices %r_most : !moe.routing<21 x 21> -> tensor<?x21xi32>
  %w_most = moe.routing.weights %r_most : !moe.routing<21 x 21> -> tensor<?x21xf32>
  %o_most = moe.routing.offsets %r_most : !moe.routing<21 x 21> -> tensor<22xi32>
  %r_all = moe.router #moe.top_p<2.0, strict = true> select(%scores) weigh(%scores)
      : tensor<?x21xf32> -> !moe.routing<21 x 21>
  %i_all = moe.routing.indices %r_all : !moe.routing<21 x 21> -> tensor<?x21xi32>
  %w_all = moe.routing.weights %r_all : !moe.routing<21 x 21> -> tensor<?x21xf32>
  %o_all = moe.routing.offsets %r_all : !moe.routing<21 x 21> -> tensor<22xi32>
  return %i_strict, %w_strict, %o_strict, %i_reach, %w_reach, %o_reach, %i_zero, %w_zero, %o_zero, %i_below, %w_below, %o_below, %i_most, %w_most, %o_most, %i_all, %w_all, %o_all
      : tensor<?x21xi32>, tensor<?x21xf32>, tensor<22xi32>, tensor<?x21xi32>, tensor<?x21xf32>, tensor<22xi32>, tensor<?x21xi32>, tensor<?x21xf32>, tensor<22xi32>, tensor<?x21xi32>, tensor<?x21xf32>, tensor<22xi32>, tensor<?x21xi32>, tensor<?x21xf32>, tensor<22xi32>, tensor<?x21xi32>, tensor<?x21xf32>, tensor<22xi32>
}
