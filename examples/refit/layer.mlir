// A layer of eight SwiGLU experts, of which a token gets two: for re-fitting its router,
// see docs/refit-router.md.
#x = affine_map<(t, e, k) -> (t, k)>
#w = affine_map<(t, e, k) -> (e, k)>
#z = affine_map<(t, e, k) -> (t, e)>

!x = tensor<?x32xf32>
!up = tensor<8x32x32xf32>
!routing = !moe.routing<8 x 2>

func.func @layer(
    %x: !x {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<8x32xf32> {moe.name = "router.weight"},
    %gate: !up {moe.name = "experts.gate_proj"},
    %up: !up {moe.name = "experts.up_proj"},
    %down: !up {moe.name = "experts.down_proj"})
    -> (!x {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : !x
  %e = tensor.empty(%T) : tensor<?x8xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %logits = linalg.matmul indexing_maps = [#x, #w, #z]
      ins(%x, %wr : !x, tensor<8x32xf32>) outs(%f : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%logits) weigh(%logits) weighing [#moe.softmax]
      : tensor<?x8xf32> -> !routing
  %rows = moe.dispatch %x by %r : !x, !routing -> !x
  %out = moe.expert %rows by %r : (!x, !routing) -> !x
    experts 0 to 8 weights(%gate, %up, %down : !up, !up, !up) {
    ^bb0(%t: !x, %g: tensor<32x32xf32>, %u: tensor<32x32xf32>, %d: tensor<32x32xf32>):
      %o = moe.ffn %t gate(%g) up(%u) down(%d) activation(#moe.silu)
          : (!x, tensor<32x32xf32>, tensor<32x32xf32>, tensor<32x32xf32>) -> !x
      moe.yield %o : !x
    }
  %y = moe.combine %out by %r : !x, !routing -> !x
  return %y : !x
}
