// A layer that weighs by a ReLU, of either sign: about half of the weights are 0 or -0.
#xh = affine_map<(t, e, h) -> (t, h)>
#wh = affine_map<(t, e, h) -> (e, h)>
#z = affine_map<(t, e, h) -> (t, e)>
#te = affine_map<(t, e) -> (t, e)>
func.func @relu(%x: tensor<?x32xf32> {moe.name = "x", moe.dims = ["T"]},
    %residual: tensor<?x32xf32> {moe.name = "residual", moe.dims = ["T"]},
    %wr: tensor<8x32xf32> {moe.name = "router.weight"},
    %up: tensor<8x48x32xf32> {moe.name = "up"}, %down: tensor<8x32x48xf32> {moe.name = "down"})
    -> (tensor<?x32xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x32xf32>
  %empty = tensor.empty(%T) : tensor<?x8xf32>
  %fill = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x8xf32>) -> tensor<?x8xf32>
  %logits = linalg.matmul indexing_maps = [#xh, #wh, #z]
      ins(%x, %wr : tensor<?x32xf32>, tensor<8x32xf32>) outs(%fill : tensor<?x8xf32>) -> tensor<?x8xf32>
  %v = linalg.generic {indexing_maps = [#te, #te], iterator_types = ["parallel", "parallel"]}
      ins(%logits : tensor<?x8xf32>) outs(%empty : tensor<?x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %none = arith.constant 0.0 : f32
    %minus = arith.constant -0.0 : f32
    %low = arith.constant -1.0 : f32
    %some = arith.cmpf ogt, %a, %none : f32
    %far = arith.cmpf olt, %a, %low : f32
    %kind = arith.select %far, %minus, %none : f32
    %w = arith.select %some, %a, %kind : f32
    linalg.yield %w : f32
  } -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<6> select(%v) weigh(%v) : tensor<?x8xf32> -> !moe.routing<8 x 6>
  %rows = moe.dispatch %x by %r : tensor<?x32xf32>, !moe.routing<8 x 6> -> tensor<?x32xf32>
  %out = moe.expert %rows by %r : (tensor<?x32xf32>, !moe.routing<8 x 6>) -> tensor<?x32xf32>
  experts 0 to 8 weights(%up, %down : tensor<8x48x32xf32>, tensor<8x32x48xf32>) {
  ^bb0(%t: tensor<?x32xf32>, %u: tensor<48x32xf32>, %d: tensor<32x48xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu)
        : (tensor<?x32xf32>, tensor<48x32xf32>, tensor<32x48xf32>) -> tensor<?x32xf32>
    moe.yield %f : tensor<?x32xf32>
  }
  %y = moe.combine %out by %r init(%residual : tensor<?x32xf32>) : tensor<?x32xf32>, !moe.routing<8 x 6> -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
