// A routing that is read before it is limited and extended is rebuilt, not
// folded into the router; the shared expert is two routed ones, gated.
// RUN: moe-run %s --tokens=0 --random=1
// RUN: moe-run %s --tokens=1 --random=2 --verify
// RUN: moe-run %s --tokens=37 --random=38 --verify
// RUN: moe-run %s --tokens=37 --random=38 --verify --no-fuse

#id = affine_map<(d0, d1) -> (d0, d1)>
#tok = affine_map<(d0, d1) -> (d0, 0)>
func.func @rebuild(%x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]}, %s: tensor<?x8xf32> {moe.name = "scores", moe.dims = ["T"]}, %gate: tensor<?x1xf32> {moe.name = "gate", moe.dims = ["T"]},
   %wu: tensor<8x32x64xf32> {moe.name = "up"}, %wd: tensor<8x64x32xf32> {moe.name = "down"}, %su: tensor<64x64xf32> {moe.name = "su"}, %sd: tensor<64x64xf32> {moe.name = "sd"}) -> (tensor<?x64xf32> {moe.name = "y", moe.dims = ["T"]}, tensor<?x2xi32> {moe.name = "idx", moe.dims = ["T"]}, tensor<?x2xf32> {moe.name = "w", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %T = tensor.dim %x, %c0 : tensor<?x64xf32>
  %e = tensor.empty(%T) : tensor<?x64xf32>
  %r0 = moe.router #moe.top_k<2> select(%s) weigh(%s) weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %i0 = moe.routing.indices %r0 : !moe.routing<8 x 2> -> tensor<?x2xi32>
  %r = moe.routing.limit %r0 capacity 2 : !moe.routing<8 x 2>
  %w0 = moe.routing.weights %r : !moe.routing<8 x 2> -> tensor<?x2xf32>
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<8 x 2>) -> tensor<?x64xf32>
  experts 0 to 8 weights(%wu, %wd : tensor<8x32x64xf32>, tensor<8x64x32xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %u: tensor<32x64xf32>, %d: tensor<64x32xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.silu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  %sh = moe.ffn %x up(%su) down(%sd) activation(#moe.silu) : (tensor<?x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  %sg = linalg.generic {indexing_maps = [#id, #tok, #id], iterator_types = ["parallel", "parallel"]} ins(%sh, %gate : tensor<?x64xf32>, tensor<?x1xf32>) outs(%e : tensor<?x64xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %m = arith.mulf %a, %b : f32
    linalg.yield %m : f32
  } -> tensor<?x64xf32>
  %y0 = moe.combine %out by %r : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  %y = linalg.add ins(%sg, %y0 : tensor<?x64xf32>, tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
  return %y, %i0, %w0 : tensor<?x64xf32>, tensor<?x2xi32>, tensor<?x2xf32>
}
