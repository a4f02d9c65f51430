// A decoder block with an MoE layer, and the MoE layer of the block after it,
// among ordinary linalg IR: RMSNorm, rotary grouped-query attention over a KV
// cache, residuals. The layers become fused kernels; the rest becomes parallel
// vector loops; all of it is one function of one artifact.
//
//   moe-compile examples/decoder_block.mlir -o /tmp/block
//   moe-run /tmp/block.json --random=1 --size=T=4,L=12 --verify
//
// T new tokens are appended to L cached positions; token t sees the cache and
// the new tokens up to itself. Sizes are small: H = 256, 8 heads of 32 of which
// 4 keys and values each serve 2, 8 experts of 448, 2 of them per token.

// [T, K] x [N, K] -> [T, N]
#x = affine_map<(t, n, k) -> (t, k)>
#w = affine_map<(t, n, k) -> (n, k)>
#y = affine_map<(t, n, k) -> (t, n)>
// Rows and what is one value a row or a column.
#tc = affine_map<(t, c) -> (t, c)>
#t = affine_map<(t, c) -> (t)>
#c = affine_map<(t, c) -> (c)>
// Rotary embedding: [T, heads, 16] by [T, 16].
#thd = affine_map<(t, h, d) -> (t, h, d)>
#td = affine_map<(t, h, d) -> (t, d)>
// Attention; heads are (h, g): key/value head h, query head 2 h + g.
#q = affine_map<(h, g, t, l, d) -> (t, h, g, d)>
#k = affine_map<(h, g, t, l, d) -> (l, h, d)>
#s = affine_map<(h, g, t, l, d) -> (h, g, t, l)>
#hgtl = affine_map<(h, g, t, l) -> (h, g, t, l)>
#hgt = affine_map<(h, g, t, l) -> (h, g, t)>
#p_in = affine_map<(h, g, t, d, l) -> (h, g, t, l)>
#v_in = affine_map<(h, g, t, d, l) -> (l, h, d)>
#o_out = affine_map<(h, g, t, d, l) -> (t, h, g, d)>
#sum_in = affine_map<(h, g, t, d) -> (h, g, t)>
#o = affine_map<(h, g, t, d) -> (t, h, g, d)>

// x / sqrt(mean(x^2) + eps) * weight, each row for itself.
func.func private @rms_norm(%x: tensor<?x256xf32>, %weight: tensor<256xf32>)
    -> tensor<?x256xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %size = arith.constant 256.0 : f32
  %eps = arith.constant 1.0e-05 : f32
  %T = tensor.dim %x, %c0 : tensor<?x256xf32>
  %e1 = tensor.empty(%T) : tensor<?xf32>
  %z1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<?xf32>) -> tensor<?xf32>
  %squares = linalg.generic
      {indexing_maps = [#tc, #t], iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<?x256xf32>) outs(%z1 : tensor<?xf32>) {
    ^bb0(%v: f32, %acc: f32):
      %sq = arith.mulf %v, %v : f32
      %sum = arith.addf %acc, %sq : f32
      linalg.yield %sum : f32
  } -> tensor<?xf32>
  %e2 = tensor.empty(%T) : tensor<?x256xf32>
  %y = linalg.generic
      {indexing_maps = [#tc, #t, #c, #tc], iterator_types = ["parallel", "parallel"]}
      ins(%x, %squares, %weight : tensor<?x256xf32>, tensor<?xf32>, tensor<256xf32>)
      outs(%e2 : tensor<?x256xf32>) {
    ^bb0(%v: f32, %square: f32, %wt: f32, %out: f32):
      %mean = arith.divf %square, %size : f32
      %guarded = arith.addf %mean, %eps : f32
      %r = math.rsqrt %guarded : f32
      %n = arith.mulf %v, %r : f32
      %scaled = arith.mulf %n, %wt : f32
      linalg.yield %scaled : f32
  } -> tensor<?x256xf32>
  return %y : tensor<?x256xf32>
}

func.func private @residual(%a: tensor<?x256xf32>, %b: tensor<?x256xf32>)
    -> tensor<?x256xf32> {
  %c0 = arith.constant 0 : index
  %T = tensor.dim %a, %c0 : tensor<?x256xf32>
  %e = tensor.empty(%T) : tensor<?x256xf32>
  %y = linalg.add ins(%a, %b : tensor<?x256xf32>, tensor<?x256xf32>)
                  outs(%e : tensor<?x256xf32>) -> tensor<?x256xf32>
  return %y : tensor<?x256xf32>
}

// Position p turns the pair (x[d], x[d + 16]) by the angle p * 10000^(-d/16).
func.func private @rotary_table(%T: index, %first: index) -> (tensor<?x16xf32>, tensor<?x16xf32>) {
  // -ln(10000) / 16
  %rate = arith.constant -0.57564627 : f32
  %e = tensor.empty(%T) : tensor<?x16xf32>
  %cos, %sin = linalg.generic
      {indexing_maps = [#tc, #tc], iterator_types = ["parallel", "parallel"]}
      outs(%e, %e : tensor<?x16xf32>, tensor<?x16xf32>) {
    ^bb0(%o0: f32, %o1: f32):
      %t = linalg.index 0 : index
      %d = linalg.index 1 : index
      %p = arith.addi %first, %t : index
      %pi = arith.index_cast %p : index to i32
      %pf = arith.sitofp %pi : i32 to f32
      %di = arith.index_cast %d : index to i32
      %df = arith.sitofp %di : i32 to f32
      %exponent = arith.mulf %df, %rate : f32
      %frequency = math.exp %exponent : f32
      %angle = arith.mulf %pf, %frequency : f32
      %cv = math.cos %angle : f32
      %sv = math.sin %angle : f32
      linalg.yield %cv, %sv : f32, f32
  } -> (tensor<?x16xf32>, tensor<?x16xf32>)
  return %cos, %sin : tensor<?x16xf32>, tensor<?x16xf32>
}

func.func private @rotate8(%x: tensor<?x8x32xf32>, %cos: tensor<?x16xf32>,
                           %sin: tensor<?x16xf32>) -> tensor<?x8x32xf32> {
  %c0 = arith.constant 0 : index
  %T = tensor.dim %x, %c0 : tensor<?x8x32xf32>
  %a = tensor.extract_slice %x[0, 0, 0] [%T, 8, 16] [1, 1, 1] : tensor<?x8x32xf32> to tensor<?x8x16xf32>
  %b = tensor.extract_slice %x[0, 0, 16] [%T, 8, 16] [1, 1, 1] : tensor<?x8x32xf32> to tensor<?x8x16xf32>
  %e = tensor.empty(%T) : tensor<?x8x16xf32>
  %low, %high = linalg.generic
      {indexing_maps = [#thd, #thd, #td, #td, #thd, #thd],
       iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%a, %b, %cos, %sin : tensor<?x8x16xf32>, tensor<?x8x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>)
      outs(%e, %e : tensor<?x8x16xf32>, tensor<?x8x16xf32>) {
    ^bb0(%av: f32, %bv: f32, %cv: f32, %sv: f32, %o0: f32, %o1: f32):
      %ac = arith.mulf %av, %cv : f32
      %bs = arith.mulf %bv, %sv : f32
      %l = arith.subf %ac, %bs : f32
      %bc = arith.mulf %bv, %cv : f32
      %as = arith.mulf %av, %sv : f32
      %h = arith.addf %bc, %as : f32
      linalg.yield %l, %h : f32, f32
  } -> (tensor<?x8x16xf32>, tensor<?x8x16xf32>)
  %y = tensor.concat dim(2) %low, %high : (tensor<?x8x16xf32>, tensor<?x8x16xf32>) -> tensor<?x8x32xf32>
  return %y : tensor<?x8x32xf32>
}

func.func private @rotate4(%x: tensor<?x4x32xf32>, %cos: tensor<?x16xf32>,
                           %sin: tensor<?x16xf32>) -> tensor<?x4x32xf32> {
  %c0 = arith.constant 0 : index
  %T = tensor.dim %x, %c0 : tensor<?x4x32xf32>
  %a = tensor.extract_slice %x[0, 0, 0] [%T, 4, 16] [1, 1, 1] : tensor<?x4x32xf32> to tensor<?x4x16xf32>
  %b = tensor.extract_slice %x[0, 0, 16] [%T, 4, 16] [1, 1, 1] : tensor<?x4x32xf32> to tensor<?x4x16xf32>
  %e = tensor.empty(%T) : tensor<?x4x16xf32>
  %low, %high = linalg.generic
      {indexing_maps = [#thd, #thd, #td, #td, #thd, #thd],
       iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%a, %b, %cos, %sin : tensor<?x4x16xf32>, tensor<?x4x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>)
      outs(%e, %e : tensor<?x4x16xf32>, tensor<?x4x16xf32>) {
    ^bb0(%av: f32, %bv: f32, %cv: f32, %sv: f32, %o0: f32, %o1: f32):
      %ac = arith.mulf %av, %cv : f32
      %bs = arith.mulf %bv, %sv : f32
      %l = arith.subf %ac, %bs : f32
      %bc = arith.mulf %bv, %cv : f32
      %as = arith.mulf %av, %sv : f32
      %h = arith.addf %bc, %as : f32
      linalg.yield %l, %h : f32, f32
  } -> (tensor<?x4x16xf32>, tensor<?x4x16xf32>)
  %y = tensor.concat dim(2) %low, %high : (tensor<?x4x16xf32>, tensor<?x4x16xf32>) -> tensor<?x4x32xf32>
  return %y : tensor<?x4x32xf32>
}

// Attention of T queries over P = L + T positions, of which query t sees the
// first L + t + 1.
func.func private @attention(%q8: tensor<?x8x32xf32>, %keys: tensor<?x4x32xf32>,
                             %values: tensor<?x4x32xf32>, %cached: index) -> tensor<?x256xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %lowest = arith.constant 0xFF800000 : f32
  // 1 / sqrt(32)
  %scale = arith.constant 0.176776695 : f32
  %T = tensor.dim %q8, %c0 : tensor<?x8x32xf32>
  %P = tensor.dim %keys, %c0 : tensor<?x4x32xf32>
  %q = tensor.expand_shape %q8 [[0], [1, 2], [3]] output_shape [%T, 4, 2, 32]
      : tensor<?x8x32xf32> into tensor<?x4x2x32xf32>

  %es = tensor.empty(%T, %P) : tensor<4x2x?x?xf32>
  %zs = linalg.fill ins(%zero : f32) outs(%es : tensor<4x2x?x?xf32>) -> tensor<4x2x?x?xf32>
  %products = linalg.generic
      {indexing_maps = [#q, #k, #s],
       iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %keys : tensor<?x4x2x32xf32>, tensor<?x4x32xf32>)
      outs(%zs : tensor<4x2x?x?xf32>) {
    ^bb0(%a: f32, %b: f32, %acc: f32):
      %m = arith.mulf %a, %b : f32
      %sum = arith.addf %acc, %m : f32
      linalg.yield %sum : f32
  } -> tensor<4x2x?x?xf32>
  %scores = linalg.generic
      {indexing_maps = [#hgtl, #hgtl],
       iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%products : tensor<4x2x?x?xf32>) outs(%es : tensor<4x2x?x?xf32>) {
    ^bb0(%a: f32, %out: f32):
      %t = linalg.index 2 : index
      %l = linalg.index 3 : index
      %last = arith.addi %cached, %t : index
      %seen = arith.cmpi ule, %l, %last : index
      %scaled = arith.mulf %a, %scale : f32
      %masked = arith.select %seen, %scaled, %lowest : f32
      linalg.yield %masked : f32
  } -> tensor<4x2x?x?xf32>
  %p = linalg.softmax dimension(3) ins(%scores : tensor<4x2x?x?xf32>)
                                   outs(%es : tensor<4x2x?x?xf32>) -> tensor<4x2x?x?xf32>

  %eo = tensor.empty(%T) : tensor<?x4x2x32xf32>
  %zo = linalg.fill ins(%zero : f32) outs(%eo : tensor<?x4x2x32xf32>) -> tensor<?x4x2x32xf32>
  %o = linalg.generic
      {indexing_maps = [#p_in, #v_in, #o_out],
       iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
      ins(%p, %values : tensor<4x2x?x?xf32>, tensor<?x4x32xf32>)
      outs(%zo : tensor<?x4x2x32xf32>) {
    ^bb0(%a: f32, %b: f32, %acc: f32):
      %m = arith.mulf %a, %b : f32
      %sum = arith.addf %acc, %m : f32
      linalg.yield %sum : f32
  } -> tensor<?x4x2x32xf32>
  %rows = tensor.collapse_shape %o [[0], [1, 2, 3]]
      : tensor<?x4x2x32xf32> into tensor<?x256xf32>
  return %rows : tensor<?x256xf32>
}

// x W^T for a weight of 256 or 128 rows.
func.func private @project256(%x: tensor<?x256xf32>, %w: tensor<256x256xf32>) -> tensor<?x256xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x256xf32>
  %e = tensor.empty(%T) : tensor<?x256xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x256xf32>) -> tensor<?x256xf32>
  %y = linalg.matmul indexing_maps = [#x, #w, #y]
      ins(%x, %w : tensor<?x256xf32>, tensor<256x256xf32>)
      outs(%f : tensor<?x256xf32>) -> tensor<?x256xf32>
  return %y : tensor<?x256xf32>
}

func.func private @project128(%x: tensor<?x256xf32>, %w: tensor<128x256xf32>) -> tensor<?x128xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x256xf32>
  %e = tensor.empty(%T) : tensor<?x128xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x128xf32>) -> tensor<?x128xf32>
  %y = linalg.matmul indexing_maps = [#x, #w, #y]
      ins(%x, %w : tensor<?x256xf32>, tensor<128x256xf32>)
      outs(%f : tensor<?x128xf32>) -> tensor<?x128xf32>
  return %y : tensor<?x128xf32>
}

// Mixtral's layer: the top 2 of 8 experts by logit, weighed by their softmax.
func.func private @moe_layer(%x: tensor<?x256xf32>, %wr: tensor<8x256xf32>,
                             %wg: tensor<8x448x256xf32>, %wu: tensor<8x448x256xf32>,
                             %wd: tensor<8x256x448xf32>) -> tensor<?x256xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x256xf32>
  %e = tensor.empty(%T) : tensor<?x8xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %logits = linalg.matmul indexing_maps = [#x, #w, #y]
      ins(%x, %wr : tensor<?x256xf32>, tensor<8x256xf32>)
      outs(%f : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%logits) weigh(%logits) weighing [#moe.softmax]
      : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x256xf32>, !moe.routing<8 x 2> -> tensor<?x256xf32>
  %out = moe.expert %rows by %r : (tensor<?x256xf32>, !moe.routing<8 x 2>) -> tensor<?x256xf32>
    experts 0 to 8 weights(%wg, %wu, %wd : tensor<8x448x256xf32>, tensor<8x448x256xf32>, tensor<8x256x448xf32>) {
    ^bb0(%t: tensor<?x256xf32>, %g: tensor<448x256xf32>, %u: tensor<448x256xf32>, %d: tensor<256x448xf32>):
      %ffn = moe.ffn %t gate(%g) up(%u) down(%d) activation(#moe.silu)
          : (tensor<?x256xf32>, tensor<448x256xf32>, tensor<448x256xf32>, tensor<256x448xf32>) -> tensor<?x256xf32>
      moe.yield %ffn : tensor<?x256xf32>
    }
  %y = moe.combine %out by %r : tensor<?x256xf32>, !moe.routing<8 x 2> -> tensor<?x256xf32>
  return %y : tensor<?x256xf32>
}

func.func @decoder_block(
    %x: tensor<?x256xf32> {moe.name = "x", moe.dims = ["T"]},
    %k_cache: tensor<?x4x32xf32> {moe.name = "k_cache", moe.dims = ["L"]},
    %v_cache: tensor<?x4x32xf32> {moe.name = "v_cache", moe.dims = ["L"]},
    %attn_norm: tensor<256xf32> {moe.name = "attn.norm"},
    %wq: tensor<256x256xf32> {moe.name = "attn.q_proj"},
    %wk: tensor<128x256xf32> {moe.name = "attn.k_proj"},
    %wv: tensor<128x256xf32> {moe.name = "attn.v_proj"},
    %wo: tensor<256x256xf32> {moe.name = "attn.o_proj"},
    %norm0: tensor<256xf32> {moe.name = "moe.0.norm"},
    %wr0: tensor<8x256xf32> {moe.name = "moe.0.router.weight"},
    %wg0: tensor<8x448x256xf32> {moe.name = "moe.0.experts.gate_proj"},
    %wu0: tensor<8x448x256xf32> {moe.name = "moe.0.experts.up_proj"},
    %wd0: tensor<8x256x448xf32> {moe.name = "moe.0.experts.down_proj"},
    %norm1: tensor<256xf32> {moe.name = "moe.1.norm"},
    %wr1: tensor<8x256xf32> {moe.name = "moe.1.router.weight"},
    %wg1: tensor<8x448x256xf32> {moe.name = "moe.1.experts.gate_proj"},
    %wu1: tensor<8x448x256xf32> {moe.name = "moe.1.experts.up_proj"},
    %wd1: tensor<8x256x448xf32> {moe.name = "moe.1.experts.down_proj"})
    -> (tensor<?x256xf32> {moe.name = "y", moe.dims = ["T"]},
        tensor<?x4x32xf32> {moe.name = "k_new", moe.dims = ["T"]},
        tensor<?x4x32xf32> {moe.name = "v_new", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %T = tensor.dim %x, %c0 : tensor<?x256xf32>
  %L = tensor.dim %k_cache, %c0 : tensor<?x4x32xf32>

  // Attention. The new rows of the caches are results; the caller appends them.
  %n0 = call @rms_norm(%x, %attn_norm) : (tensor<?x256xf32>, tensor<256xf32>) -> tensor<?x256xf32>
  %q2 = call @project256(%n0, %wq) : (tensor<?x256xf32>, tensor<256x256xf32>) -> tensor<?x256xf32>
  %k2 = call @project128(%n0, %wk) : (tensor<?x256xf32>, tensor<128x256xf32>) -> tensor<?x128xf32>
  %v2 = call @project128(%n0, %wv) : (tensor<?x256xf32>, tensor<128x256xf32>) -> tensor<?x128xf32>
  %q3 = tensor.expand_shape %q2 [[0], [1, 2]] output_shape [%T, 8, 32] : tensor<?x256xf32> into tensor<?x8x32xf32>
  %k3 = tensor.expand_shape %k2 [[0], [1, 2]] output_shape [%T, 4, 32] : tensor<?x128xf32> into tensor<?x4x32xf32>
  %v_new = tensor.expand_shape %v2 [[0], [1, 2]] output_shape [%T, 4, 32] : tensor<?x128xf32> into tensor<?x4x32xf32>
  %cos, %sin = call @rotary_table(%T, %L) : (index, index) -> (tensor<?x16xf32>, tensor<?x16xf32>)
  %q = call @rotate8(%q3, %cos, %sin) : (tensor<?x8x32xf32>, tensor<?x16xf32>, tensor<?x16xf32>) -> tensor<?x8x32xf32>
  %k_new = call @rotate4(%k3, %cos, %sin) : (tensor<?x4x32xf32>, tensor<?x16xf32>, tensor<?x16xf32>) -> tensor<?x4x32xf32>
  %keys = tensor.concat dim(0) %k_cache, %k_new : (tensor<?x4x32xf32>, tensor<?x4x32xf32>) -> tensor<?x4x32xf32>
  %values = tensor.concat dim(0) %v_cache, %v_new : (tensor<?x4x32xf32>, tensor<?x4x32xf32>) -> tensor<?x4x32xf32>
  %a = call @attention(%q, %keys, %values, %L) : (tensor<?x8x32xf32>, tensor<?x4x32xf32>, tensor<?x4x32xf32>, index) -> tensor<?x256xf32>
  %ao = call @project256(%a, %wo) : (tensor<?x256xf32>, tensor<256x256xf32>) -> tensor<?x256xf32>
  %h0 = call @residual(%x, %ao) : (tensor<?x256xf32>, tensor<?x256xf32>) -> tensor<?x256xf32>

  // The block's MoE layer, and the next one.
  %n1 = call @rms_norm(%h0, %norm0) : (tensor<?x256xf32>, tensor<256xf32>) -> tensor<?x256xf32>
  %m0 = call @moe_layer(%n1, %wr0, %wg0, %wu0, %wd0) : (tensor<?x256xf32>, tensor<8x256xf32>, tensor<8x448x256xf32>, tensor<8x448x256xf32>, tensor<8x256x448xf32>) -> tensor<?x256xf32>
  %h1 = call @residual(%h0, %m0) : (tensor<?x256xf32>, tensor<?x256xf32>) -> tensor<?x256xf32>
  %n2 = call @rms_norm(%h1, %norm1) : (tensor<?x256xf32>, tensor<256xf32>) -> tensor<?x256xf32>
  %m1 = call @moe_layer(%n2, %wr1, %wg1, %wu1, %wd1) : (tensor<?x256xf32>, tensor<8x256xf32>, tensor<8x448x256xf32>, tensor<8x448x256xf32>, tensor<8x256x448xf32>) -> tensor<?x256xf32>
  %y = call @residual(%h1, %m1) : (tensor<?x256xf32>, tensor<?x256xf32>) -> tensor<?x256xf32>
  return %y, %k_new, %v_new : tensor<?x256xf32>, tensor<?x4x32xf32>, tensor<?x4x32xf32>
}
