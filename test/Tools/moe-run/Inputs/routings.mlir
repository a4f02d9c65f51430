// Routings for the report: one that a capacity cuts, whose indices nothing but
// the trace reads, and one whose tokens choose how many experts they go to.

func.func @limited(%z: tensor<?x8xf32> {moe.name = "z", moe.dims = ["T"]})
    -> (tensor<9xi32> {moe.name = "offsets"}) {
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %l = moe.routing.limit %r capacity 30 : !moe.routing<8 x 2>
  %o = moe.routing.offsets %l : !moe.routing<8 x 2> -> tensor<9xi32>
  return %o : tensor<9xi32>
}

// The sequence loss has a router of its own, which is no layer.
func.func @any(%z: tensor<?x16xf32> {moe.name = "z", moe.dims = ["T"]},
               %t: tensor<16xf32> {moe.name = "thresholds"})
    -> (tensor<16xi32> {moe.name = "counts"}, tensor<f32> {moe.name = "loss"}) {
  %r = moe.router #moe.top_any<min_k = 0> select(%z) using(%t : tensor<16xf32>)
      : tensor<?x16xf32> -> !moe.routing<16 x 16>
  %c, %l = moe.balance %r [#moe.expert_counts, #moe.sequence_loss<k = 4>]
      scores(%z : tensor<?x16xf32>)
      : !moe.routing<16 x 16> -> tensor<16xi32>, tensor<f32>
  return %c, %l : tensor<16xi32>, tensor<f32>
}
