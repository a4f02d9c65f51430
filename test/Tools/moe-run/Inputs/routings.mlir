// Routings for the report: one that a capacity cuts, and one whose tokens choose
// how many experts they go to.

func.func @limited(%z: tensor<?x8xf32> {moe.name = "z", moe.dims = ["T"]})
    -> (tensor<?x2xi32> {moe.name = "indices", moe.dims = ["T"]}) {
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %l = moe.routing.limit %r capacity 30 : !moe.routing<8 x 2>
  %i = moe.routing.indices %l : !moe.routing<8 x 2> -> tensor<?x2xi32>
  return %i : tensor<?x2xi32>
}

// The sequence loss has a router of its own, which is no layer.
func.func @any(%z: tensor<?x16xf32> {moe.name = "z", moe.dims = ["T"]},
               %t: tensor<16xf32> {moe.name = "thresholds"})
    -> (tensor<?x16xi32> {moe.name = "indices", moe.dims = ["T"]},
        tensor<f32> {moe.name = "loss"}) {
  %r = moe.router #moe.top_any<min_k = 0> select(%z) using(%t : tensor<16xf32>)
      : tensor<?x16xf32> -> !moe.routing<16 x 16>
  %i = moe.routing.indices %r : !moe.routing<16 x 16> -> tensor<?x16xi32>
  %l = moe.balance %r [#moe.sequence_loss<k = 4, length = 100>] scores(%z : tensor<?x16xf32>)
      : !moe.routing<16 x 16> -> tensor<f32>
  return %i, %l : tensor<?x16xi32>, tensor<f32>
}
