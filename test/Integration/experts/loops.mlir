// Expert bodies that are more than an FFN run as loops, under a capacity; the
// shared expert differs from the routed ones and is a dense kernel.
// RUN: moe-run %s --tokens=0 --random=1
// RUN: moe-run %s --tokens=1 --random=2 --verify
// RUN: moe-run %s --tokens=37 --random=38 --verify
// RUN: moe-run %s --tokens=37 --random=38 --verify --no-fuse

#id = affine_map<(d0, d1) -> (d0, d1)>
#tok = affine_map<(d0, d1) -> (d0, 0)>
#mk = affine_map<(m, n, k) -> (m, k)>
#nk = affine_map<(m, n, k) -> (n, k)>
#mn = affine_map<(m, n, k) -> (m, n)>
func.func @residual(%x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]}, %wr: tensor<8x64xf32> {moe.name = "router.weight"},
   %wu: tensor<8x32x64xf32> {moe.name = "up"}, %wd: tensor<8x64x32xf32> {moe.name = "down"}, %su: tensor<32x64xf32> {moe.name = "su"}, %sd: tensor<64x32xf32> {moe.name = "sd"}) -> (tensor<?x64xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x64xf32>
  %e = tensor.empty(%T) : tensor<?x8xf32>
  %f0 = linalg.fill ins(%zero : f32) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %z = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%x, %wr : tensor<?x64xf32>, tensor<8x64xf32>) outs(%f0 : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r0 = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %r = moe.routing.limit %r0 capacity 3 : !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<8 x 2>) -> tensor<?x64xf32>
  experts 0 to 8 weights(%wu, %wd : tensor<8x32x64xf32>, tensor<8x64x32xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %u: tensor<32x64xf32>, %d: tensor<64x32xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
    %s = linalg.add ins(%f, %t : tensor<?x64xf32>, tensor<?x64xf32>) outs(%f : tensor<?x64xf32>) -> tensor<?x64xf32>
    moe.yield %s : tensor<?x64xf32>
  }
  // Shared expert of another activation: a dense kernel.
  %sh = moe.ffn %x up(%su) down(%sd) activation(#moe.gelu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
  %y = moe.combine %out by %r init(%sh : tensor<?x64xf32>) : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
