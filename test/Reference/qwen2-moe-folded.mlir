// Written by gen_fixtures.py.
// RUN: moe-interpret %s --inputs=%S/Inputs/qwen2-moe-weights.safetensors,%S/Inputs/qwen2-moe-t5.safetensors --expect=%S/Inputs/qwen2-moe-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/qwen2-moe-weights.safetensors,%S/Inputs/qwen2-moe-t1.safetensors --expect=%S/Inputs/qwen2-moe-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/qwen2-moe-weights.safetensors,%S/Inputs/qwen2-moe-t0.safetensors --expect=%S/Inputs/qwen2-moe-t0.safetensors --tolerance=1e-12

func.func @layer(
    %x: tensor<?x6xf32> {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<5x6xf32> {moe.name = "router.weight"},
    %experts_gate_proj: tensor<5x5x6xf32> {moe.name = "experts.gate_proj"},
    %experts_up_proj: tensor<5x5x6xf32> {moe.name = "experts.up_proj"},
    %experts_down_proj: tensor<5x6x5xf32> {moe.name = "experts.down_proj"},
    %shared_gate_proj: tensor<5x6xf32> {moe.name = "shared.gate_proj"},
    %shared_up_proj: tensor<5x6xf32> {moe.name = "shared.up_proj"},
    %shared_down_proj: tensor<6x5xf32> {moe.name = "shared.down_proj"},
    %sgate: tensor<1x6xf32> {moe.name = "shared.gate"})
    -> (tensor<?x6xf32> {moe.name = "y", moe.dims = ["T"]}, tensor<?x2xi32> {moe.name = "idx"}, tensor<?x2xf32> {moe.name = "w"}, tensor<6xi32> {moe.name = "offsets"}, tensor<?xi32> {moe.name = "tokens"}) {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %T = tensor.dim %x, %c0 : tensor<?x6xf32>
  %ze = tensor.empty(%T) : tensor<?x5xf32>
  %zf = linalg.fill ins(%zero : f32) outs(%ze : tensor<?x5xf32>) -> tensor<?x5xf32>
  %z = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%x, %wr : tensor<?x6xf32>, tensor<5x6xf32>) outs(%zf : tensor<?x5xf32>) -> tensor<?x5xf32>

  %s = linalg.softmax dimension(1) ins(%z : tensor<?x5xf32>) outs(%ze : tensor<?x5xf32>) -> tensor<?x5xf32>

  %r = moe.router #moe.top_k<2> select(%s) weigh(%s)
      : tensor<?x5xf32> -> !moe.routing<5 x 2>

  %idx = moe.routing.indices %r : !moe.routing<5 x 2> -> tensor<?x2xi32>
  %w = moe.routing.weights %r : !moe.routing<5 x 2> -> tensor<?x2xf32>
  %off = moe.routing.offsets %r : !moe.routing<5 x 2> -> tensor<6xi32>
  %tok = moe.routing.tokens %r : !moe.routing<5 x 2> -> tensor<?xi32>

  %ge = tensor.empty(%T) : tensor<?x1xf32>
  %gf = linalg.fill ins(%zero : f32) outs(%ge : tensor<?x1xf32>) -> tensor<?x1xf32>
  %gz = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%x, %sgate : tensor<?x6xf32>, tensor<1x6xf32>) outs(%gf : tensor<?x1xf32>) -> tensor<?x1xf32>
  %g = linalg.generic {indexing_maps = [affine_map<(t, e) -> (t, e)>, affine_map<(t, e) -> (t, e)>],
      iterator_types = ["parallel", "parallel"]} ins(%gz : tensor<?x1xf32>) outs(%ge : tensor<?x1xf32>) {
  ^bb0(%a: f32, %o: f32):
    %one = arith.constant 1.0 : f32
    %n = arith.negf %a : f32
    %e = math.exp %n : f32
    %d = arith.addf %e, %one : f32
    %q = arith.divf %one, %d : f32
    linalg.yield %q : f32
  } -> tensor<?x1xf32>
  %ra = moe.routing.append %r weights(%g : tensor<?x1xf32>) : !moe.routing<5 x 2> -> !moe.routing<6 x 3>
  %e_gate = tensor.expand_shape %shared_gate_proj [[0, 1], [2]] output_shape [1, 5, 6] : tensor<5x6xf32> into tensor<1x5x6xf32>
  %e_up = tensor.expand_shape %shared_up_proj [[0, 1], [2]] output_shape [1, 5, 6] : tensor<5x6xf32> into tensor<1x5x6xf32>
  %e_down = tensor.expand_shape %shared_down_proj [[0, 1], [2]] output_shape [1, 6, 5] : tensor<6x5xf32> into tensor<1x6x5xf32>
  %rows = moe.dispatch %x by %ra : tensor<?x6xf32>, !moe.routing<6 x 3> -> tensor<?x6xf32>
  %out = moe.expert %rows by %ra : (tensor<?x6xf32>, !moe.routing<6 x 3>) -> tensor<?x6xf32>
  experts 0 to 5 weights(%experts_gate_proj, %experts_up_proj, %experts_down_proj : tensor<5x5x6xf32>, tensor<5x5x6xf32>, tensor<5x6x5xf32>) {
    ^bb0(%t: tensor<?x6xf32>, %gate: tensor<5x6xf32>, %up: tensor<5x6xf32>, %down: tensor<6x5xf32>):
    %f = moe.ffn %t gate(%gate) up(%up) down(%down) activation(#moe.silu)
        : (tensor<?x6xf32>, tensor<5x6xf32>, tensor<5x6xf32>, tensor<6x5xf32>) -> tensor<?x6xf32>
    moe.yield %f : tensor<?x6xf32>
  } experts 5 to 6 weights(%e_gate, %e_up, %e_down : tensor<1x5x6xf32>, tensor<1x5x6xf32>, tensor<1x6x5xf32>) {
    ^bb0(%t: tensor<?x6xf32>, %gate: tensor<5x6xf32>, %up: tensor<5x6xf32>, %down: tensor<6x5xf32>):
    %f = moe.ffn %t gate(%gate) up(%up) down(%down) activation(#moe.silu)
        : (tensor<?x6xf32>, tensor<5x6xf32>, tensor<5x6xf32>, tensor<6x5xf32>) -> tensor<?x6xf32>
    moe.yield %f : tensor<?x6xf32>
  }
  %y = moe.combine %out by %ra
      : tensor<?x6xf32>, !moe.routing<6 x 3> -> tensor<?x6xf32>
  return %y, %idx, %w, %off, %tok : tensor<?x6xf32>, tensor<?x2xi32>, tensor<?x2xf32>, tensor<6xi32>, tensor<?xi32>
}
