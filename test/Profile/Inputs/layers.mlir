// A layer with nearly everything that has the number of its experts: a correction
// bias, groups, scales, a capacity, two ranges of experts, and a shared one behind
// them.
func.func @layer(%x: tensor<?x32xf32> {moe.name = "x", moe.dims = ["T"]},
                 %w: tensor<8x32xf32> {moe.name = "router.weight"},
                 %b: tensor<8xf32> {moe.name = "router.bias"},
                 %scales: tensor<8xf32> {moe.name = "scales"},
                 %u: tensor<6x16x32xf32> {moe.name = "up"},
                 %d: tensor<6x32x16xf32> {moe.name = "down"},
                 %v: tensor<2x24x32xf32> {moe.name = "wide.up"},
                 %e: tensor<2x32x24xf32> {moe.name = "wide.down"},
                 %su: tensor<1x16x32xf32> {moe.name = "shared.up"},
                 %sd: tensor<1x32x16xf32> {moe.name = "shared.down"})
    -> (tensor<?x32xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %t = tensor.dim %x, %c0 : tensor<?x32xf32>
  %empty = tensor.empty(%t) : tensor<?x8xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x8xf32>) -> tensor<?x8xf32>
  %z = linalg.matmul indexing_maps = [affine_map<(t, e, h) -> (t, h)>, affine_map<(t, e, h) -> (e, h)>, affine_map<(t, e, h) -> (t, e)>]
      ins(%x, %w : tensor<?x32xf32>, tensor<8x32xf32>) outs(%zeros : tensor<?x8xf32>) -> tensor<?x8xf32>
  %s = linalg.generic {indexing_maps = [affine_map<(t, e) -> (t, e)>, affine_map<(t, e) -> (t, e)>], iterator_types = ["parallel", "parallel"]}
      ins(%z : tensor<?x8xf32>) outs(%empty : tensor<?x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %one = arith.constant 1.0 : f32
    %n = arith.negf %a : f32
    %p = math.exp %n : f32
    %q = arith.addf %p, %one : f32
    %r = arith.divf %one, %q : f32
    linalg.yield %r : f32
  } -> tensor<?x8xf32>
  %c = linalg.generic {indexing_maps = [affine_map<(t, e) -> (t, e)>, affine_map<(t, e) -> (e)>, affine_map<(t, e) -> (t, e)>], iterator_types = ["parallel", "parallel"]}
      ins(%s, %b : tensor<?x8xf32>, tensor<8xf32>) outs(%empty : tensor<?x8xf32>) {
  ^bb0(%a: f32, %k: f32, %o: f32):
    %r = arith.addf %a, %k : f32
    linalg.yield %r : f32
  } -> tensor<?x8xf32>
  %chosen = moe.router #moe.group_top_k<2, groups = 2, keep = 1, reduce = top2> select(%c) weigh(%s)
      weighing [#moe.normalize<sum, eps = 1.0e-20>] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %limited = moe.routing.limit %chosen capacity 30 : !moe.routing<8 x 2>
  %scaled = moe.routing.reweigh %limited scales(%scales : tensor<8xf32>) : !moe.routing<8 x 2>
  %all = moe.routing.append %scaled : !moe.routing<8 x 2> -> !moe.routing<9 x 3>
  %rows = moe.dispatch %x by %all : tensor<?x32xf32>, !moe.routing<9 x 3> -> tensor<?x32xf32>
  %out = moe.expert %rows by %all : (tensor<?x32xf32>, !moe.routing<9 x 3>) -> tensor<?x32xf32>
  experts 0 to 6 weights(%u, %d : tensor<6x16x32xf32>, tensor<6x32x16xf32>) {
  ^bb0(%r: tensor<?x32xf32>, %a: tensor<16x32xf32>, %k: tensor<32x16xf32>):
    %f = moe.ffn %r up(%a) down(%k) activation(#moe.relu) : (tensor<?x32xf32>, tensor<16x32xf32>, tensor<32x16xf32>) -> tensor<?x32xf32>
    moe.yield %f : tensor<?x32xf32>
  } experts 6 to 8 weights(%v, %e : tensor<2x24x32xf32>, tensor<2x32x24xf32>) {
  ^bb0(%r: tensor<?x32xf32>, %a: tensor<24x32xf32>, %k: tensor<32x24xf32>):
    %f = moe.ffn %r up(%a) down(%k) activation(#moe.gelu_tanh) : (tensor<?x32xf32>, tensor<24x32xf32>, tensor<32x24xf32>) -> tensor<?x32xf32>
    moe.yield %f : tensor<?x32xf32>
  } experts 8 to 9 weights(%su, %sd : tensor<1x16x32xf32>, tensor<1x32x16xf32>) {
  ^bb0(%r: tensor<?x32xf32>, %a: tensor<16x32xf32>, %k: tensor<32x16xf32>):
    %f = moe.ffn %r up(%a) down(%k) activation(#moe.relu) : (tensor<?x32xf32>, tensor<16x32xf32>, tensor<32x16xf32>) -> tensor<?x32xf32>
    moe.yield %f : tensor<?x32xf32>
  }
  %y = moe.combine %out by %all : tensor<?x32xf32>, !moe.routing<9 x 3> -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
