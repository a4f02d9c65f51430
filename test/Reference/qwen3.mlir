// Written by gen_fixtures.py.
// RUN: moe-interpret %s --inputs=%S/Inputs/qwen3-weights.safetensors,%S/Inputs/qwen3-t5.safetensors --expect=%S/Inputs/qwen3-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/qwen3-weights.safetensors,%S/Inputs/qwen3-t1.safetensors --expect=%S/Inputs/qwen3-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/qwen3-weights.safetensors,%S/Inputs/qwen3-t0.safetensors --expect=%S/Inputs/qwen3-t0.safetensors --tolerance=1e-12

func.func @layer(
    %x: tensor<?x6xf32> {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<7x6xf32> {moe.name = "router.weight"},
    %experts_gate_proj: tensor<7x5x6xbf16> {moe.name = "experts.gate_proj"},
    %experts_up_proj: tensor<7x5x6xbf16> {moe.name = "experts.up_proj"},
    %experts_down_proj: tensor<7x6x5xbf16> {moe.name = "experts.down_proj"})
    -> (tensor<?x6xf32> {moe.name = "y", moe.dims = ["T"]}, tensor<?x3xi32> {moe.name = "idx"}, tensor<?x3xf32> {moe.name = "w"}, tensor<8xi32> {moe.name = "offsets"}, tensor<?xi32> {moe.name = "tokens"}) {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %T = tensor.dim %x, %c0 : tensor<?x6xf32>
  %ze = tensor.empty(%T) : tensor<?x7xf32>
  %zf = linalg.fill ins(%zero : f32) outs(%ze : tensor<?x7xf32>) -> tensor<?x7xf32>
  %z = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%x, %wr : tensor<?x6xf32>, tensor<7x6xf32>) outs(%zf : tensor<?x7xf32>) -> tensor<?x7xf32>

  %s = linalg.softmax dimension(1) ins(%z : tensor<?x7xf32>) outs(%ze : tensor<?x7xf32>) -> tensor<?x7xf32>

  %r = moe.router #moe.top_k<3> select(%s) weigh(%s) weighing [#moe.normalize<sum, eps = 0.0>]
      : tensor<?x7xf32> -> !moe.routing<7 x 3>

  %idx = moe.routing.indices %r : !moe.routing<7 x 3> -> tensor<?x3xi32>
  %w = moe.routing.weights %r : !moe.routing<7 x 3> -> tensor<?x3xf32>
  %off = moe.routing.offsets %r : !moe.routing<7 x 3> -> tensor<8xi32>
  %tok = moe.routing.tokens %r : !moe.routing<7 x 3> -> tensor<?xi32>
  %rows = moe.dispatch %x by %r : tensor<?x6xf32>, !moe.routing<7 x 3> -> tensor<?x6xf32>
  %out = moe.expert %rows by %r : (tensor<?x6xf32>, !moe.routing<7 x 3>) -> tensor<?x6xf32>
  experts 0 to 7 weights(%experts_gate_proj, %experts_up_proj, %experts_down_proj : tensor<7x5x6xbf16>, tensor<7x5x6xbf16>, tensor<7x6x5xbf16>) {
    ^bb0(%t: tensor<?x6xf32>, %gate: tensor<5x6xbf16>, %up: tensor<5x6xbf16>, %down: tensor<6x5xbf16>):
    %f = moe.ffn %t gate(%gate) up(%up) down(%down) activation(#moe.silu)
        : (tensor<?x6xf32>, tensor<5x6xbf16>, tensor<5x6xbf16>, tensor<6x5xbf16>) -> tensor<?x6xf32>
    moe.yield %f : tensor<?x6xf32>
  }
  %y = moe.combine %out by %r
      : tensor<?x6xf32>, !moe.routing<7 x 3> -> tensor<?x6xf32>
  return %y, %idx, %w, %off, %tok : tensor<?x6xf32>, tensor<?x3xi32>, tensor<?x3xf32>, tensor<8xi32>, tensor<?xi32>
}
