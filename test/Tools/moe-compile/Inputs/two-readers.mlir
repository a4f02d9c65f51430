// A layer whose result has two readers, so that the residual behind it is a pass of its own.
func.func @layer(%x: tensor<?x256xf32> {moe.name = "x", moe.dims = ["T"]}, %s: tensor<?x8xf32> {moe.name = "s", moe.dims = ["T"]},
    %u: tensor<8x512x256xf32> {moe.name = "up"}, %d: tensor<8x256x512xf32> {moe.name = "down"})
    -> (tensor<?x256xf32> {moe.name = "y", moe.dims = ["T"]}, tensor<?x256xf32> {moe.name = "c", moe.dims = ["T"]}) {
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x256xf32>, !moe.routing<8 x 2> -> tensor<?x256xf32>
  %out = moe.expert %rows by %r : (tensor<?x256xf32>, !moe.routing<8 x 2>) -> tensor<?x256xf32>
  experts 0 to 8 weights(%u, %d : tensor<8x512x256xf32>, tensor<8x256x512xf32>) {
  ^bb0(%t: tensor<?x256xf32>, %a: tensor<512x256xf32>, %b: tensor<256x512xf32>):
    %f = moe.ffn %t up(%a) down(%b) activation(#moe.relu) : (tensor<?x256xf32>, tensor<512x256xf32>, tensor<256x512xf32>) -> tensor<?x256xf32>
    moe.yield %f : tensor<?x256xf32>
  }
  %c = moe.combine %out by %r : tensor<?x256xf32>, !moe.routing<8 x 2> -> tensor<?x256xf32>
  %y = arith.addf %x, %c : tensor<?x256xf32>
  return %y, %c : tensor<?x256xf32>, tensor<?x256xf32>
}
