// Four kinds of experts in one layer: f32 and bf16 FFNs of different sizes, a
// body written out, and the identity. Compared with the interpreter.
// RUN: moe-run %s --tokens=0 --random=1
// RUN: moe-run %s --tokens=1 --random=2 --verify
// RUN: moe-run %s --tokens=37 --random=38 --verify
// RUN: moe-run %s --tokens=37 --random=38 --verify --no-fuse

#id = affine_map<(d0, d1) -> (d0, d1)>
#col = affine_map<(d0, d1) -> (d1)>
#mk = affine_map<(m, n, k) -> (m, k)>
#nk = affine_map<(m, n, k) -> (n, k)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @kinds(%x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]}, %wr: tensor<8x64xf32> {moe.name = "router.weight"},
   %wu: tensor<3x32x64xf32> {moe.name = "a.up"}, %wd: tensor<3x64x32xf32> {moe.name = "a.down"},
   %vg: tensor<3x40x64xbf16> {moe.name = "b.gate"}, %vu: tensor<3x40x64xbf16> {moe.name = "b.up"}, %vd: tensor<3x64x40xbf16> {moe.name = "b.down"}, 
   %scale: tensor<1x64xf32> {moe.name = "scale"}) -> (tensor<?x64xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x64xf32>
  %e = tensor.empty(%T) : tensor<?x8xf32>
  %f0 = linalg.fill ins(%zero : f32) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %z = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%x, %wr : tensor<?x64xf32>, tensor<8x64xf32>) outs(%f0 : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<8 x 2>) -> tensor<?x64xf32>
  experts 0 to 3 weights(%wu, %wd : tensor<3x32x64xf32>, tensor<3x64x32xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %u: tensor<32x64xf32>, %d: tensor<64x32xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  } experts 3 to 6 weights(%vg, %vu, %vd : tensor<3x40x64xbf16>, tensor<3x40x64xbf16>, tensor<3x64x40xbf16>) {
  ^bb0(%t: tensor<?x64xf32>, %g: tensor<40x64xbf16>, %u: tensor<40x64xbf16>, %d: tensor<64x40xbf16>):
    %f = moe.ffn %t gate(%g) up(%u) down(%d) activation(#moe.silu) : (tensor<?x64xf32>, tensor<40x64xbf16>, tensor<40x64xbf16>, tensor<64x40xbf16>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  } experts 6 to 7 weights(%scale : tensor<1x64xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %c: tensor<64xf32>):
    %f = linalg.generic {indexing_maps = [#col, #id], iterator_types = ["parallel", "parallel"]} ins(%c : tensor<64xf32>) outs(%t : tensor<?x64xf32>) {
    ^bb0(%a: f32, %b: f32):
      %m = arith.mulf %a, %b : f32
      linalg.yield %m : f32
    } -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  } experts 7 to 8 {
  ^bb0(%t: tensor<?x64xf32>):
    moe.yield %t : tensor<?x64xf32>
  }
  %y = moe.combine %out by %r : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
