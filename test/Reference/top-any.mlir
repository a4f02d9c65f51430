// Written by gen_ragged_fixtures.py.
// RUN: moe-interpret %s --inputs=%S/Inputs/top-any-awkward.safetensors --expect=%S/Inputs/top-any-awkward.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/top-any-t5.safetensors --expect=%S/Inputs/top-any-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/top-any-t1.safetensors --expect=%S/Inputs/top-any-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/top-any-t0.safetensors --expect=%S/Inputs/top-any-t0.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/top-any-t37.safetensors --expect=%S/Inputs/top-any-t37.safetensors --tolerance=1e-12

func.func @route(%scores: tensor<?x21xf32> {moe.name = "scores", moe.dims = ["T"]},
                %thresholds: tensor<21xf32> {moe.name = "thresholds"})
    -> (tensor<?x21xi32> {moe.name = "min0.idx", moe.dims = ["T"]},
        tensor<?x21xf32> {moe.name = "min0.w", moe.dims = ["T"]},
        tensor<22xi32> {moe.name = "min0.offsets"},
        tensor<?x21xi32> {moe.name = "min1.idx", moe.dims = ["T"]},
        tensor<?x21xf32> {moe.name = "min1.w", moe.dims = ["T"]},
        tensor<22xi32> {moe.name = "min1.offsets"},
        tensor<?x21xi32> {moe.name = "score.idx", moe.dims = ["T"]},
        tensor<?x21xf32> {moe.name = "score.w", moe.dims = ["T"]},
        tensor<22xi32> {moe.name = "score.offsets"}) {
  %r_min0 = moe.router #moe.top_any<min_k = 0> select(%scores) using(%thresholds : tensor<21xf32>)
      : tensor<?x21xf32> -> !moe.routing<21 x 21>
  %i_min0 = moe.routing.indices %r_min0 : !moe.routing<21 x 21> -> tensor<?x21xi32>
  %w_min0 = moe.routing.weights %r_min0 : !moe.routing<21 x 21> -> tensor<?x21xf32>
  %o_min0 = moe.routing.offsets %r_min0 : !moe.routing<21 x 21> -> tensor<22xi32>
  %r_min1 = moe.router #moe.top_any<min_k = 1> select(%scores) using(%thresholds : tensor<21xf32>)
      : tensor<?x21xf32> -> !moe.routing<21 x 21>
  %i_min1 = moe.routing.indices %r_min1 : !moe.routing<21 x 21> -> tensor<?x21xi32>
  %w_min1 = moe.routing.weights %r_min1 : !moe.routing<21 x 21> -> tensor<?x21xf32>
  %o_min1 = moe.routing.offsets %r_min1 : !moe.routing<21 x 21> -> tensor<22xi32>
  %r_score = moe.router #moe.top_any<min_k = 1, fallback = score> select(%scores) using(%thresholds : tensor<21xf32>)
      : tensor<?x21xf32> -> !moe.routing<21 x 21>
  %i_score = moe.routing.indices %r_score : !moe.routing<21 x 21> -> tensor<?x21xi32>
  %w_score = moe.routing.weights %r_score : !moe.routing<21 x 21> -> tensor<?x21xf32>
  %o_score = moe.routing.offsets %r_score : !moe.routing<21 x 21> -> tensor<22xi32>
  return %i_min0, %w_min0, %o_min0, %i_min1, %w_min1, %o_min1, %i_score, %w_score, %o_score
      : tensor<?x21xi32>, tensor<?x21xf32>, tensor<22xi32>, tensor<?x21xi32>, tensor<?x21xf32>, tensor<22xi32>, tensor<?x21xi32>, tensor<?x21xf32>, tensor<22xi32>
}
