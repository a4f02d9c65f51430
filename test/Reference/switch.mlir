// Written by gen_fixtures.py.
// RUN: moe-interpret %s --inputs=%S/Inputs/switch-weights.safetensors,%S/Inputs/switch-t5.safetensors --expect=%S/Inputs/switch-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/switch-weights.safetensors,%S/Inputs/switch-t1.safetensors --expect=%S/Inputs/switch-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/switch-weights.safetensors,%S/Inputs/switch-t0.safetensors --expect=%S/Inputs/switch-t0.safetensors --tolerance=1e-12

func.func @layer(
    %x: tensor<?x6xf32> {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<3x6xf32> {moe.name = "router.weight"},
    %experts_up_proj: tensor<3x5x6xf32> {moe.name = "experts.up_proj"},
    %experts_down_proj: tensor<3x6x5xf32> {moe.name = "experts.down_proj"})
    -> (tensor<?x6xf32> {moe.name = "y", moe.dims = ["T"]}, tensor<?x1xi32> {moe.name = "idx"}, tensor<?x1xf32> {moe.name = "w"}, tensor<4xi32> {moe.name = "offsets"}, tensor<?xi32> {moe.name = "tokens"}) {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %T = tensor.dim %x, %c0 : tensor<?x6xf32>
  %ze = tensor.empty(%T) : tensor<?x3xf32>
  %zf = linalg.fill ins(%zero : f32) outs(%ze : tensor<?x3xf32>) -> tensor<?x3xf32>
  %z = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%x, %wr : tensor<?x6xf32>, tensor<3x6xf32>) outs(%zf : tensor<?x3xf32>) -> tensor<?x3xf32>

  %s = linalg.softmax dimension(1) ins(%z : tensor<?x3xf32>) outs(%ze : tensor<?x3xf32>) -> tensor<?x3xf32>

  %r = moe.router #moe.top_k<1> select(%s) weigh(%s)
      : tensor<?x3xf32> -> !moe.routing<3 x 1>
  %rl = moe.routing.limit %r capacity 1 : !moe.routing<3 x 1>

  %idx = moe.routing.indices %rl : !moe.routing<3 x 1> -> tensor<?x1xi32>
  %w = moe.routing.weights %rl : !moe.routing<3 x 1> -> tensor<?x1xf32>
  %off = moe.routing.offsets %rl : !moe.routing<3 x 1> -> tensor<4xi32>
  %tok = moe.routing.tokens %rl : !moe.routing<3 x 1> -> tensor<?xi32>
  %rows = moe.dispatch %x by %rl : tensor<?x6xf32>, !moe.routing<3 x 1> -> tensor<?x6xf32>
  %out = moe.expert %rows by %rl : (tensor<?x6xf32>, !moe.routing<3 x 1>) -> tensor<?x6xf32>
  experts 0 to 3 weights(%experts_up_proj, %experts_down_proj : tensor<3x5x6xf32>, tensor<3x6x5xf32>) {
    ^bb0(%t: tensor<?x6xf32>, %up: tensor<5x6xf32>, %down: tensor<6x5xf32>):
    %f = moe.ffn %t up(%up) down(%down) activation(#moe.relu)
        : (tensor<?x6xf32>, tensor<5x6xf32>, tensor<6x5xf32>) -> tensor<?x6xf32>
    moe.yield %f : tensor<?x6xf32>
  }
  %y = moe.combine %out by %rl
      : tensor<?x6xf32>, !moe.routing<3 x 1> -> tensor<?x6xf32>
  return %y, %idx, %w, %off, %tok : tensor<?x6xf32>, tensor<?x1xi32>, tensor<?x1xf32>, tensor<4xi32>, tensor<?xi32>
}
