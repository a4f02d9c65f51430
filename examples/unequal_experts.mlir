// A layer whose experts are not alike: four large SwiGLU experts in bf16, eight small
// ones with squared ReLU stored in 4 bits, two that pass their row on, one that makes
// zeros and two that mix the row with a vector of their own (MoE++, arXiv 2410.07348).
#wt = affine_map<(t, n, k) -> (n, k)>
#x = affine_map<(t, n, k) -> (t, k)>
#y = affine_map<(t, n, k) -> (t, n)>
#id = affine_map<(t, n) -> (t, n)>
#row = affine_map<(t, n) -> (t)>
#col = affine_map<(t, n) -> (n)>
#first = affine_map<(t, n) -> (t, 0)>
#second = affine_map<(t, n) -> (t, 1)>
!routing = !moe.routing<17 x 4>

func.func @layer(
    %x: tensor<?x256xf32> {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<17x256xf32> {moe.name = "router.weight"},
    %gate: tensor<4x512x256xbf16> {moe.name = "large.gate_proj"},
    %up: tensor<4x512x256xbf16> {moe.name = "large.up_proj"},
    %down: tensor<4x256x512xbf16> {moe.name = "large.down_proj"},
    %su: tensor<8x128x256xf32> {moe.name = "small.up_proj", moe.format = #moe.q4_0},
    %sd: tensor<8x256x128xf32> {moe.name = "small.down_proj", moe.format = #moe.q4_0},
    %mix: tensor<2x2x256xf32> {moe.name = "constant.mix"},
    %vec: tensor<2x256xf32> {moe.name = "constant.vector"})
    -> (tensor<?x256xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x256xf32>
  %e = tensor.empty(%T) : tensor<?x17xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x17xf32>) -> tensor<?x17xf32>
  %z = linalg.matmul indexing_maps = [#x, #wt, #y]
      ins(%x, %wr : tensor<?x256xf32>, tensor<17x256xf32>) outs(%f : tensor<?x17xf32>) -> tensor<?x17xf32>
  %s = linalg.softmax dimension(1) ins(%z : tensor<?x17xf32>) outs(%e : tensor<?x17xf32>) -> tensor<?x17xf32>
  %r = moe.router #moe.top_k<4> select(%s) weigh(%s) : tensor<?x17xf32> -> !routing
  %rows = moe.dispatch %x by %r : tensor<?x256xf32>, !routing -> tensor<?x256xf32>
  %out = moe.expert %rows by %r : (tensor<?x256xf32>, !routing) -> tensor<?x256xf32>
    experts 0 to 4 weights(%gate, %up, %down : tensor<4x512x256xbf16>, tensor<4x512x256xbf16>, tensor<4x256x512xbf16>) {
    ^bb0(%t: tensor<?x256xf32>, %g: tensor<512x256xbf16>, %u: tensor<512x256xbf16>, %d: tensor<256x512xbf16>):
      %o = moe.ffn %t gate(%g) up(%u) down(%d) activation(#moe.silu)
          : (tensor<?x256xf32>, tensor<512x256xbf16>, tensor<512x256xbf16>, tensor<256x512xbf16>) -> tensor<?x256xf32>
      moe.yield %o : tensor<?x256xf32>
    } experts 4 to 12 weights(%su, %sd : tensor<8x128x256xf32>, tensor<8x256x128xf32>) {
    ^bb0(%t: tensor<?x256xf32>, %u: tensor<128x256xf32>, %d: tensor<256x128xf32>):
      %o = moe.ffn %t up(%u) down(%d) activation(#moe.relu2)
          : (tensor<?x256xf32>, tensor<128x256xf32>, tensor<256x128xf32>) -> tensor<?x256xf32>
      moe.yield %o : tensor<?x256xf32>
    } experts 12 to 14 {
    ^bb0(%t: tensor<?x256xf32>):
      moe.yield %t : tensor<?x256xf32>
    } experts 14 to 15 {
    ^bb0(%t: tensor<?x256xf32>):
      %i = arith.constant 0 : index
      %nil = arith.constant 0.0 : f32
      %n = tensor.dim %t, %i : tensor<?x256xf32>
      %empty = tensor.empty(%n) : tensor<?x256xf32>
      %o = linalg.fill ins(%nil : f32) outs(%empty : tensor<?x256xf32>) -> tensor<?x256xf32>
      moe.yield %o : tensor<?x256xf32>
    } experts 15 to 17 weights(%mix, %vec : tensor<2x2x256xf32>, tensor<2x256xf32>) {
    ^bb0(%t: tensor<?x256xf32>, %w: tensor<2x256xf32>, %v: tensor<256xf32>):
      %i = arith.constant 0 : index
      %nil = arith.constant 0.0 : f32
      %n = tensor.dim %t, %i : tensor<?x256xf32>
      %pairs = tensor.empty(%n) : tensor<?x2xf32>
      %start = linalg.fill ins(%nil : f32) outs(%pairs : tensor<?x2xf32>) -> tensor<?x2xf32>
      %l = linalg.matmul indexing_maps = [#x, #wt, #y]
          ins(%t, %w : tensor<?x256xf32>, tensor<2x256xf32>) outs(%start : tensor<?x2xf32>) -> tensor<?x2xf32>
      %a = linalg.softmax dimension(1) ins(%l : tensor<?x2xf32>) outs(%pairs : tensor<?x2xf32>) -> tensor<?x2xf32>
      %empty = tensor.empty(%n) : tensor<?x256xf32>
      %a0 = tensor.extract_slice %a[0, 0] [%n, 1] [1, 1] : tensor<?x2xf32> to tensor<?x1xf32>
      %a1 = tensor.extract_slice %a[0, 1] [%n, 1] [1, 1] : tensor<?x2xf32> to tensor<?x1xf32>
      %o = linalg.generic {indexing_maps = [#id, #first, #first, #col, #id], iterator_types = ["parallel", "parallel"]}
          ins(%t, %a0, %a1, %v : tensor<?x256xf32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<256xf32>) outs(%empty : tensor<?x256xf32>) {
      ^bb0(%in: f32, %p: f32, %q: f32, %c: f32, %unused: f32):
        %m = arith.mulf %p, %in : f32
        %k = arith.mulf %q, %c : f32
        %sum = arith.addf %m, %k : f32
        linalg.yield %sum : f32
      } -> tensor<?x256xf32>
      moe.yield %o : tensor<?x256xf32>
    }
  %y = moe.combine %out by %r : tensor<?x256xf32>, !routing -> tensor<?x256xf32>
  return %y : tensor<?x256xf32>
}
