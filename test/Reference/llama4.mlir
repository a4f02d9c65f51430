// Written by gen_fixtures.py.
// RUN: moe-interpret %s --inputs=%S/Inputs/llama4-weights.safetensors,%S/Inputs/llama4-t5.safetensors --expect=%S/Inputs/llama4-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/llama4-weights.safetensors,%S/Inputs/llama4-t1.safetensors --expect=%S/Inputs/llama4-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/llama4-weights.safetensors,%S/Inputs/llama4-t0.safetensors --expect=%S/Inputs/llama4-t0.safetensors --tolerance=1e-12

func.func @layer(
    %x: tensor<?x6xf32> {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<4x6xf32> {moe.name = "router.weight"},
    %experts_gate_proj: tensor<4x5x6xf32> {moe.name = "experts.gate_proj"},
    %experts_up_proj: tensor<4x5x6xf32> {moe.name = "experts.up_proj"},
    %experts_down_proj: tensor<4x6x5xf32> {moe.name = "experts.down_proj"},
    %shared_gate_proj: tensor<5x6xf32> {moe.name = "shared.gate_proj"},
    %shared_up_proj: tensor<5x6xf32> {moe.name = "shared.up_proj"},
    %shared_down_proj: tensor<6x5xf32> {moe.name = "shared.down_proj"})
    -> (tensor<?x6xf32> {moe.name = "y", moe.dims = ["T"]}, tensor<?x1xi32> {moe.name = "idx"}, tensor<?x1xf32> {moe.name = "w"}, tensor<5xi32> {moe.name = "offsets"}, tensor<?xi32> {moe.name = "tokens"}) {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %T = tensor.dim %x, %c0 : tensor<?x6xf32>
  %ze = tensor.empty(%T) : tensor<?x4xf32>
  %zf = linalg.fill ins(%zero : f32) outs(%ze : tensor<?x4xf32>) -> tensor<?x4xf32>
  %z = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%x, %wr : tensor<?x6xf32>, tensor<4x6xf32>) outs(%zf : tensor<?x4xf32>) -> tensor<?x4xf32>

  %r = moe.router #moe.top_k<1> select(%z) weigh(%z) weighing [#moe.sigmoid]
      : tensor<?x4xf32> -> !moe.routing<4 x 1>

  %idx = moe.routing.indices %r : !moe.routing<4 x 1> -> tensor<?x1xi32>
  %w = moe.routing.weights %r : !moe.routing<4 x 1> -> tensor<?x1xf32>
  %off = moe.routing.offsets %r : !moe.routing<4 x 1> -> tensor<5xi32>
  %tok = moe.routing.tokens %r : !moe.routing<4 x 1> -> tensor<?xi32>
  %rows = moe.dispatch %x by %r weighted : tensor<?x6xf32>, !moe.routing<4 x 1> -> tensor<?x6xf32>
  %out = moe.expert %rows by %r : (tensor<?x6xf32>, !moe.routing<4 x 1>) -> tensor<?x6xf32>
  experts 0 to 4 weights(%experts_gate_proj, %experts_up_proj, %experts_down_proj : tensor<4x5x6xf32>, tensor<4x5x6xf32>, tensor<4x6x5xf32>) {
    ^bb0(%t: tensor<?x6xf32>, %gate: tensor<5x6xf32>, %up: tensor<5x6xf32>, %down: tensor<6x5xf32>):
    %f = moe.ffn %t gate(%gate) up(%up) down(%down) activation(#moe.silu)
        : (tensor<?x6xf32>, tensor<5x6xf32>, tensor<5x6xf32>, tensor<6x5xf32>) -> tensor<?x6xf32>
    moe.yield %f : tensor<?x6xf32>
  }
  %sh = moe.ffn %x gate(%shared_gate_proj) up(%shared_up_proj) down(%shared_down_proj) activation(#moe.silu)
        : (tensor<?x6xf32>, tensor<5x6xf32>, tensor<5x6xf32>, tensor<6x5xf32>) -> tensor<?x6xf32>
  %y = moe.combine %out by %r unweighted init(%sh : tensor<?x6xf32>)
      : tensor<?x6xf32>, !moe.routing<4 x 1> -> tensor<?x6xf32>
  return %y, %idx, %w, %off, %tok : tensor<?x6xf32>, tensor<?x1xi32>, tensor<?x1xf32>, tensor<5xi32>, tensor<?xi32>
}
