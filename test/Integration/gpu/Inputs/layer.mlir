// Four experts, two a token; the routing comes from outside.
func.func @layer(%x: tensor<?x256xf32> {moe.name = "x", moe.dims = ["T"]},
    %i: tensor<?x2xi32> {moe.name = "routing.indices", moe.dims = ["T"]},
    %p: tensor<?x2xf32> {moe.name = "routing.weights", moe.dims = ["T"]},
    %wg: tensor<4x128x256xbf16> {moe.name = "gate"}, %wu: tensor<4x128x256xbf16> {moe.name = "up"},
    %wd: tensor<4x256x128xbf16> {moe.name = "down"}) -> (tensor<?x256xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %r = moe.routing.make %i, %p : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x256xf32>, !moe.routing<4 x 2> -> tensor<?x256xf32>
  %out = moe.expert %rows by %r : (tensor<?x256xf32>, !moe.routing<4 x 2>) -> tensor<?x256xf32>
  experts 0 to 4 weights(%wg, %wu, %wd : tensor<4x128x256xbf16>, tensor<4x128x256xbf16>, tensor<4x256x128xbf16>) {
  ^bb0(%own: tensor<?x256xf32>, %gate: tensor<128x256xbf16>, %up: tensor<128x256xbf16>, %down: tensor<256x128xbf16>):
    %f = moe.ffn %own gate(%gate) up(%up) down(%down) activation(#moe.silu)
        : (tensor<?x256xf32>, tensor<128x256xbf16>, tensor<128x256xbf16>, tensor<256x128xbf16>) -> tensor<?x256xf32>
    moe.yield %f : tensor<?x256xf32>
  }
  %y = moe.combine %out by %r : tensor<?x256xf32>, !moe.routing<4 x 2> -> tensor<?x256xf32>
  return %y : tensor<?x256xf32>
}
