// Two routers in one function, one of which leaves slots unused and is limited,
// and experts whose activation makes zeros.
func.func @two(%x: tensor<?x8xf32> {moe.name = "x", moe.dims = ["T"]},
               %s: tensor<?x6xf32> {moe.name = "s", moe.dims = ["T"]},
               %z: tensor<?x4xf32> {moe.name = "z", moe.dims = ["T"]},
               %h: tensor<6xf32> {moe.name = "thresholds"},
               %u: tensor<6x16x8xf32> {moe.name = "up"},
               %d: tensor<6x8x16xf32> {moe.name = "down"},
               %v: tensor<4x16x8xf32> {moe.name = "up2"},
               %e: tensor<4x8x16xf32> {moe.name = "down2"})
    -> (tensor<?x8xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %any = moe.router #moe.top_any<min_k = 0> select(%s) using(%h : tensor<6xf32>)
      : tensor<?x6xf32> -> !moe.routing<6 x 6>
  %r = moe.routing.limit %any capacity 20 : !moe.routing<6 x 6>
  %rows = moe.dispatch %x by %r : tensor<?x8xf32>, !moe.routing<6 x 6> -> tensor<?x8xf32>
  %out = moe.expert %rows by %r : (tensor<?x8xf32>, !moe.routing<6 x 6>) -> tensor<?x8xf32>
  experts 0 to 6 weights(%u, %d : tensor<6x16x8xf32>, tensor<6x8x16xf32>) {
  ^bb0(%t: tensor<?x8xf32>, %a: tensor<16x8xf32>, %b: tensor<8x16xf32>):
    %f = moe.ffn %t up(%a) down(%b) activation(#moe.relu)
        : (tensor<?x8xf32>, tensor<16x8xf32>, tensor<8x16xf32>) -> tensor<?x8xf32>
    moe.yield %f : tensor<?x8xf32>
  }
  %w = moe.combine %out by %r : tensor<?x8xf32>, !moe.routing<6 x 6> -> tensor<?x8xf32>
  %q = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %rows2 = moe.dispatch %w by %q : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
  %out2 = moe.expert %rows2 by %q : (tensor<?x8xf32>, !moe.routing<4 x 2>) -> tensor<?x8xf32>
  experts 0 to 4 weights(%v, %e : tensor<4x16x8xf32>, tensor<4x8x16xf32>) {
  ^bb0(%t: tensor<?x8xf32>, %a: tensor<16x8xf32>, %b: tensor<8x16xf32>):
    %f = moe.ffn %t up(%a) down(%b) activation(#moe.silu)
        : (tensor<?x8xf32>, tensor<16x8xf32>, tensor<8x16xf32>) -> tensor<?x8xf32>
    moe.yield %f : tensor<?x8xf32>
  }
  %y = moe.combine %out2 by %q : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
