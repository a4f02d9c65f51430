// A layer for compute-sanitizer: small, and with the routing as an argument.
func.func @layer_0(
    %x: tensor<?x256xf32> {moe.dims = ["T"], moe.name = "x"},
    %gates: tensor<4x128x256xbf16> {moe.name = "experts.gate_proj"},
    %ups: tensor<4x128x256xbf16> {moe.name = "experts.up_proj"},
    %downs: tensor<4x256x128xbf16> {moe.name = "experts.down_proj"},
    %indices: tensor<?x2xi32> {moe.dims = ["T"], moe.name = "routing.indices"},
    %weights: tensor<?x2xf32> {moe.dims = ["T"], moe.name = "routing.weights"})
    -> (tensor<?x256xf32> {moe.dims = ["T"], moe.name = "y"}) {
  %routing = moe.routing.make %indices, %weights : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %routing : tensor<?x256xf32>, !moe.routing<4 x 2> -> tensor<?x256xf32>
  %outputs = moe.expert %rows by %routing : (tensor<?x256xf32>, !moe.routing<4 x 2>) -> tensor<?x256xf32>
  experts 0 to 4 weights(%gates, %ups, %downs : tensor<4x128x256xbf16>, tensor<4x128x256xbf16>, tensor<4x256x128xbf16>) {
  ^bb0(%own: tensor<?x256xf32>, %gate: tensor<128x256xbf16>, %up: tensor<128x256xbf16>, %down: tensor<256x128xbf16>):
    %ffn = moe.ffn %own gate(%gate) up(%up) down(%down) activation(#moe.silu)
        : (tensor<?x256xf32>, tensor<128x256xbf16>, tensor<128x256xbf16>, tensor<256x128xbf16>) -> tensor<?x256xf32>
    moe.yield %ffn : tensor<?x256xf32>
  }
  %y = moe.combine %outputs by %routing : tensor<?x256xf32>, !moe.routing<4 x 2> -> tensor<?x256xf32>
  return %y : tensor<?x256xf32>
}
