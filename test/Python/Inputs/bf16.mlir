// Rows and weights of bf16; the test makes f16 of it by replacing the name.
func.func @bf16(%x: tensor<?x32xbf16> {moe.name = "x", moe.dims = ["T"]}, %s: tensor<?x8xf32> {moe.name = "scores", moe.dims = ["T"]},
    %g: tensor<8x16x32xbf16> {moe.name = "g"}, %u: tensor<8x16x32xbf16> {moe.name = "u"}, %d: tensor<8x32x16xbf16> {moe.name = "d"}) -> (tensor<?x32xbf16> {moe.name = "y", moe.dims = ["T"]}) {
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x32xbf16>, !moe.routing<8 x 2> -> tensor<?x32xbf16>
  %out = moe.expert %rows by %r : (tensor<?x32xbf16>, !moe.routing<8 x 2>) -> tensor<?x32xbf16>
  experts 0 to 8 weights(%g, %u, %d : tensor<8x16x32xbf16>, tensor<8x16x32xbf16>, tensor<8x32x16xbf16>) {
  ^bb0(%t: tensor<?x32xbf16>, %a: tensor<16x32xbf16>, %b: tensor<16x32xbf16>, %c: tensor<32x16xbf16>):
    %f = moe.ffn %t gate(%a) up(%b) down(%c) activation(#moe.silu) : (tensor<?x32xbf16>, tensor<16x32xbf16>, tensor<16x32xbf16>, tensor<32x16xbf16>) -> tensor<?x32xbf16>
    moe.yield %f : tensor<?x32xbf16>
  }
  %y = moe.combine %out by %r : tensor<?x32xbf16>, !moe.routing<8 x 2> -> tensor<?x32xbf16>
  return %y : tensor<?x32xbf16>
}
