// Written by gen_fixtures.py.
// RUN: moe-interpret %s --inputs=%S/Inputs/deepseek-v3-weights.safetensors,%S/Inputs/deepseek-v3-t5.safetensors --expect=%S/Inputs/deepseek-v3-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/deepseek-v3-weights.safetensors,%S/Inputs/deepseek-v3-t1.safetensors --expect=%S/Inputs/deepseek-v3-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/deepseek-v3-weights.safetensors,%S/Inputs/deepseek-v3-t0.safetensors --expect=%S/Inputs/deepseek-v3-t0.safetensors --tolerance=1e-12

func.func @layer(
    %x: tensor<?x6xf32> {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<12x6xf32> {moe.name = "router.weight"},
    %bc: tensor<12xf32> {moe.name = "router.correction_bias"},
    %experts_gate_proj: tensor<12x5x6xf32> {moe.name = "experts.gate_proj"},
    %experts_up_proj: tensor<12x5x6xf32> {moe.name = "experts.up_proj"},
    %experts_down_proj: tensor<12x6x5xf32> {moe.name = "experts.down_proj"},
    %shared_gate_proj: tensor<5x6xf32> {moe.name = "shared.gate_proj"},
    %shared_up_proj: tensor<5x6xf32> {moe.name = "shared.up_proj"},
    %shared_down_proj: tensor<6x5xf32> {moe.name = "shared.down_proj"})
    -> (tensor<?x6xf32> {moe.name = "y", moe.dims = ["T"]}, tensor<?x3xi32> {moe.name = "idx"}, tensor<?x3xf32> {moe.name = "w"}, tensor<13xi32> {moe.name = "offsets"}, tensor<?xi32> {moe.name = "tokens"}) {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %T = tensor.dim %x, %c0 : tensor<?x6xf32>
  %ze = tensor.empty(%T) : tensor<?x12xf32>
  %zf = linalg.fill ins(%zero : f32) outs(%ze : tensor<?x12xf32>) -> tensor<?x12xf32>
  %z = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%x, %wr : tensor<?x6xf32>, tensor<12x6xf32>) outs(%zf : tensor<?x12xf32>) -> tensor<?x12xf32>

  %s = linalg.generic {indexing_maps = [affine_map<(t, e) -> (t, e)>, affine_map<(t, e) -> (t, e)>],
      iterator_types = ["parallel", "parallel"]} ins(%z : tensor<?x12xf32>) outs(%ze : tensor<?x12xf32>) {
  ^bb0(%a: f32, %o: f32):
    %one = arith.constant 1.0 : f32
    %n = arith.negf %a : f32
    %e = math.exp %n : f32
    %d = arith.addf %e, %one : f32
    %q = arith.divf %one, %d : f32
    linalg.yield %q : f32
  } -> tensor<?x12xf32>

  %c = linalg.generic {indexing_maps = [affine_map<(t, e) -> (t, e)>, affine_map<(t, e) -> (e)>, affine_map<(t, e) -> (t, e)>],
      iterator_types = ["parallel", "parallel"]} ins(%s, %bc : tensor<?x12xf32>, tensor<12xf32>) outs(%ze : tensor<?x12xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %sum = arith.addf %a, %b : f32
    linalg.yield %sum : f32
  } -> tensor<?x12xf32>

  %r = moe.router #moe.group_top_k<3, groups = 4, keep = 2, reduce = top2> select(%c) weigh(%s) weighing [#moe.normalize<sum, eps = 1.0e-20>, #moe.scale<2.5>]
      : tensor<?x12xf32> -> !moe.routing<12 x 3>

  %idx = moe.routing.indices %r : !moe.routing<12 x 3> -> tensor<?x3xi32>
  %w = moe.routing.weights %r : !moe.routing<12 x 3> -> tensor<?x3xf32>
  %off = moe.routing.offsets %r : !moe.routing<12 x 3> -> tensor<13xi32>
  %tok = moe.routing.tokens %r : !moe.routing<12 x 3> -> tensor<?xi32>
  %rows = moe.dispatch %x by %r : tensor<?x6xf32>, !moe.routing<12 x 3> -> tensor<?x6xf32>
  %out = moe.expert %rows by %r : (tensor<?x6xf32>, !moe.routing<12 x 3>) -> tensor<?x6xf32>
  experts 0 to 12 weights(%experts_gate_proj, %experts_up_proj, %experts_down_proj : tensor<12x5x6xf32>, tensor<12x5x6xf32>, tensor<12x6x5xf32>) {
    ^bb0(%t: tensor<?x6xf32>, %gate: tensor<5x6xf32>, %up: tensor<5x6xf32>, %down: tensor<6x5xf32>):
    %f = moe.ffn %t gate(%gate) up(%up) down(%down) activation(#moe.silu)
        : (tensor<?x6xf32>, tensor<5x6xf32>, tensor<5x6xf32>, tensor<6x5xf32>) -> tensor<?x6xf32>
    moe.yield %f : tensor<?x6xf32>
  }
  %sh = moe.ffn %x gate(%shared_gate_proj) up(%shared_up_proj) down(%shared_down_proj) activation(#moe.silu)
        : (tensor<?x6xf32>, tensor<5x6xf32>, tensor<5x6xf32>, tensor<6x5xf32>) -> tensor<?x6xf32>
  %y = moe.combine %out by %r init(%sh : tensor<?x6xf32>)
      : tensor<?x6xf32>, !moe.routing<12 x 3> -> tensor<?x6xf32>
  return %y, %idx, %w, %off, %tok : tensor<?x6xf32>, tensor<?x3xi32>, tensor<?x3xf32>, tensor<13xi32>, tensor<?xi32>
}
