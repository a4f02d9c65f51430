// Written by gen_fixtures.py.
// RUN: moe-interpret %s --inputs=%S/Inputs/gpt-oss-weights.safetensors,%S/Inputs/gpt-oss-t5.safetensors --expect=%S/Inputs/gpt-oss-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/gpt-oss-weights.safetensors,%S/Inputs/gpt-oss-t1.safetensors --expect=%S/Inputs/gpt-oss-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/gpt-oss-weights.safetensors,%S/Inputs/gpt-oss-t0.safetensors --expect=%S/Inputs/gpt-oss-t0.safetensors --tolerance=1e-12

func.func @layer(
    %x: tensor<?x6xf32> {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<6x6xf32> {moe.name = "router.weight"},
    %br: tensor<6xf32> {moe.name = "router.bias"},
    %experts_gate_proj: tensor<6x5x6xf32> {moe.name = "experts.gate_proj"},
    %experts_up_proj: tensor<6x5x6xf32> {moe.name = "experts.up_proj"},
    %experts_down_proj: tensor<6x6x5xf32> {moe.name = "experts.down_proj"},
    %experts_gate_proj_bias: tensor<6x5xf32> {moe.name = "experts.gate_proj_bias"},
    %experts_up_proj_bias: tensor<6x5xf32> {moe.name = "experts.up_proj_bias"},
    %experts_down_proj_bias: tensor<6x6xf32> {moe.name = "experts.down_proj_bias"})
    -> (tensor<?x6xf32> {moe.name = "y", moe.dims = ["T"]}, tensor<?x2xi32> {moe.name = "idx"}, tensor<?x2xf32> {moe.name = "w"}, tensor<7xi32> {moe.name = "offsets"}, tensor<?xi32> {moe.name = "tokens"}) {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %T = tensor.dim %x, %c0 : tensor<?x6xf32>
  %ze = tensor.empty(%T) : tensor<?x6xf32>
  %zf = linalg.fill ins(%zero : f32) outs(%ze : tensor<?x6xf32>) -> tensor<?x6xf32>
  %z = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%x, %wr : tensor<?x6xf32>, tensor<6x6xf32>) outs(%zf : tensor<?x6xf32>) -> tensor<?x6xf32>

  %zb = linalg.generic {indexing_maps = [affine_map<(t, e) -> (t, e)>, affine_map<(t, e) -> (e)>, affine_map<(t, e) -> (t, e)>],
      iterator_types = ["parallel", "parallel"]} ins(%z, %br : tensor<?x6xf32>, tensor<6xf32>) outs(%ze : tensor<?x6xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %sum = arith.addf %a, %b : f32
    linalg.yield %sum : f32
  } -> tensor<?x6xf32>

  %r = moe.router #moe.top_k<2> select(%zb) weigh(%zb) weighing [#moe.softmax]
      : tensor<?x6xf32> -> !moe.routing<6 x 2>

  %idx = moe.routing.indices %r : !moe.routing<6 x 2> -> tensor<?x2xi32>
  %w = moe.routing.weights %r : !moe.routing<6 x 2> -> tensor<?x2xf32>
  %off = moe.routing.offsets %r : !moe.routing<6 x 2> -> tensor<7xi32>
  %tok = moe.routing.tokens %r : !moe.routing<6 x 2> -> tensor<?xi32>
  %rows = moe.dispatch %x by %r : tensor<?x6xf32>, !moe.routing<6 x 2> -> tensor<?x6xf32>
  %out = moe.expert %rows by %r : (tensor<?x6xf32>, !moe.routing<6 x 2>) -> tensor<?x6xf32>
  experts 0 to 6 weights(%experts_gate_proj, %experts_up_proj, %experts_down_proj, %experts_gate_proj_bias, %experts_up_proj_bias, %experts_down_proj_bias : tensor<6x5x6xf32>, tensor<6x5x6xf32>, tensor<6x6x5xf32>, tensor<6x5xf32>, tensor<6x5xf32>, tensor<6x6xf32>) {
    ^bb0(%t: tensor<?x6xf32>, %gate: tensor<5x6xf32>, %up: tensor<5x6xf32>, %down: tensor<6x5xf32>, %gate_bias: tensor<5xf32>, %up_bias: tensor<5xf32>, %down_bias: tensor<6xf32>):
    %f = moe.ffn %t gate(%gate) up(%up) down(%down) gate_bias(%gate_bias) up_bias(%up_bias) down_bias(%down_bias) activation(#moe.clamped_swiglu<alpha = 1.702, limit = 7.0, offset = 1.0>)
        : (tensor<?x6xf32>, tensor<5x6xf32>, tensor<5x6xf32>, tensor<6x5xf32>, tensor<5xf32>, tensor<5xf32>, tensor<6xf32>) -> tensor<?x6xf32>
    moe.yield %f : tensor<?x6xf32>
  }
  %y = moe.combine %out by %r
      : tensor<?x6xf32>, !moe.routing<6 x 2> -> tensor<?x6xf32>
  return %y, %idx, %w, %off, %tok : tensor<?x6xf32>, tensor<?x2xi32>, tensor<?x2xf32>, tensor<7xi32>, tensor<?xi32>
}
