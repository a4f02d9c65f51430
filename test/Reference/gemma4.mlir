// Written by gen_fixtures.py.
// RUN: moe-interpret %s --inputs=%S/Inputs/gemma4-weights.safetensors,%S/Inputs/gemma4-t5.safetensors --expect=%S/Inputs/gemma4-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/gemma4-weights.safetensors,%S/Inputs/gemma4-t1.safetensors --expect=%S/Inputs/gemma4-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/gemma4-weights.safetensors,%S/Inputs/gemma4-t0.safetensors --expect=%S/Inputs/gemma4-t0.safetensors --tolerance=1e-12

func.func @layer(
    %x: tensor<?x6xf32> {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<9x6xf32> {moe.name = "router.weight"},
    %router_per_expert_scale: tensor<9xf32> {moe.name = "router.per_expert_scale"},
    %experts_gate_proj: tensor<9x5x6xf32> {moe.name = "experts.gate_proj"},
    %experts_up_proj: tensor<9x5x6xf32> {moe.name = "experts.up_proj"},
    %experts_down_proj: tensor<9x6x5xf32> {moe.name = "experts.down_proj"})
    -> (tensor<?x6xf32> {moe.name = "y", moe.dims = ["T"]}, tensor<?x3xi32> {moe.name = "idx"}, tensor<?x3xf32> {moe.name = "w"}, tensor<10xi32> {moe.name = "offsets"}, tensor<?xi32> {moe.name = "tokens"}) {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %T = tensor.dim %x, %c0 : tensor<?x6xf32>
  %ze = tensor.empty(%T) : tensor<?x9xf32>
  %zf = linalg.fill ins(%zero : f32) outs(%ze : tensor<?x9xf32>) -> tensor<?x9xf32>
  %z = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%x, %wr : tensor<?x6xf32>, tensor<9x6xf32>) outs(%zf : tensor<?x9xf32>) -> tensor<?x9xf32>

  %s = linalg.softmax dimension(1) ins(%z : tensor<?x9xf32>) outs(%ze : tensor<?x9xf32>) -> tensor<?x9xf32>

  %r = moe.router #moe.top_k<3> select(%s) weigh(%s) weighing [#moe.normalize<sum, eps = 0.0>]
      : tensor<?x9xf32> -> !moe.routing<9 x 3>
  %rs = moe.routing.reweigh %r scales(%router_per_expert_scale : tensor<9xf32>) : !moe.routing<9 x 3>

  %idx = moe.routing.indices %rs : !moe.routing<9 x 3> -> tensor<?x3xi32>
  %w = moe.routing.weights %rs : !moe.routing<9 x 3> -> tensor<?x3xf32>
  %off = moe.routing.offsets %rs : !moe.routing<9 x 3> -> tensor<10xi32>
  %tok = moe.routing.tokens %rs : !moe.routing<9 x 3> -> tensor<?xi32>
  %rows = moe.dispatch %x by %rs : tensor<?x6xf32>, !moe.routing<9 x 3> -> tensor<?x6xf32>
  %out = moe.expert %rows by %rs : (tensor<?x6xf32>, !moe.routing<9 x 3>) -> tensor<?x6xf32>
  experts 0 to 9 weights(%experts_gate_proj, %experts_up_proj, %experts_down_proj : tensor<9x5x6xf32>, tensor<9x5x6xf32>, tensor<9x6x5xf32>) {
    ^bb0(%t: tensor<?x6xf32>, %gate: tensor<5x6xf32>, %up: tensor<5x6xf32>, %down: tensor<6x5xf32>):
    %f = moe.ffn %t gate(%gate) up(%up) down(%down) activation(#moe.gelu_tanh)
        : (tensor<?x6xf32>, tensor<5x6xf32>, tensor<5x6xf32>, tensor<6x5xf32>) -> tensor<?x6xf32>
    moe.yield %f : tensor<?x6xf32>
  }
  %y = moe.combine %out by %rs
      : tensor<?x6xf32>, !moe.routing<9 x 3> -> tensor<?x6xf32>
  return %y, %idx, %w, %off, %tok : tensor<?x6xf32>, tensor<?x3xi32>, tensor<?x3xf32>, tensor<10xi32>, tensor<?xi32>
}
