// What stands around a layer and becomes part of its kernels: a norm in front, a
// residual behind, a second router. The entries @normed, @layer and @chosen_* do one
// thing each, so that nothing is fused with it.

#x = affine_map<(t, n, k) -> (t, k)>
#w = affine_map<(t, n, k) -> (n, k)>
#y = affine_map<(t, n, k) -> (t, n)>
#tc = affine_map<(t, c) -> (t, c)>
#t = affine_map<(t, c) -> (t)>
#c = affine_map<(t, c) -> (c)>

func.func private @rms_norm(%x: tensor<?x96xf32>, %weight: tensor<96xf32>) -> tensor<?x96xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %size = arith.constant 96.0 : f32
  %eps = arith.constant 1.0e-05 : f32
  %T = tensor.dim %x, %c0 : tensor<?x96xf32>
  %e1 = tensor.empty(%T) : tensor<?xf32>
  %z1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<?xf32>) -> tensor<?xf32>
  %squares = linalg.generic {indexing_maps = [#tc, #t], iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<?x96xf32>) outs(%z1 : tensor<?xf32>) {
  ^bb0(%v: f32, %acc: f32):
    %sq = arith.mulf %v, %v : f32
    %sum = arith.addf %acc, %sq : f32
    linalg.yield %sum : f32
  } -> tensor<?xf32>
  %e2 = tensor.empty(%T) : tensor<?x96xf32>
  %y = linalg.generic {indexing_maps = [#tc, #t, #c, #tc], iterator_types = ["parallel", "parallel"]}
      ins(%x, %squares, %weight : tensor<?x96xf32>, tensor<?xf32>, tensor<96xf32>) outs(%e2 : tensor<?x96xf32>) {
  ^bb0(%v: f32, %square: f32, %wt: f32, %out: f32):
    %mean = arith.divf %square, %size : f32
    %guarded = arith.addf %mean, %eps : f32
    %r = math.rsqrt %guarded : f32
    %n = arith.mulf %v, %r : f32
    %scaled = arith.mulf %n, %wt : f32
    linalg.yield %scaled : f32
  } -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// (x - mean) / sqrt(mean((x - mean)^2) + eps) * weight + bias
func.func private @layer_norm(%x: tensor<?x96xf32>, %weight: tensor<96xf32>, %bias: tensor<96xf32>) -> tensor<?x96xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %size = arith.constant 96.0 : f32
  %eps = arith.constant 1.0e-05 : f32
  %T = tensor.dim %x, %c0 : tensor<?x96xf32>
  %e1 = tensor.empty(%T) : tensor<?xf32>
  %z1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<?xf32>) -> tensor<?xf32>
  %e2 = tensor.empty(%T) : tensor<?x96xf32>
  %sums = linalg.generic {indexing_maps = [#tc, #t], iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<?x96xf32>) outs(%z1 : tensor<?xf32>) {
  ^bb0(%v: f32, %acc: f32):
    %sum = arith.addf %acc, %v : f32
    linalg.yield %sum : f32
  } -> tensor<?xf32>
  %centred = linalg.generic {indexing_maps = [#tc, #t, #tc], iterator_types = ["parallel", "parallel"]}
      ins(%x, %sums : tensor<?x96xf32>, tensor<?xf32>) outs(%e2 : tensor<?x96xf32>) {
  ^bb0(%v: f32, %sum: f32, %out: f32):
    %mean = arith.divf %sum, %size : f32
    %d = arith.subf %v, %mean : f32
    linalg.yield %d : f32
  } -> tensor<?x96xf32>
  %squares = linalg.generic {indexing_maps = [#tc, #t], iterator_types = ["parallel", "reduction"]}
      ins(%centred : tensor<?x96xf32>) outs(%z1 : tensor<?xf32>) {
  ^bb0(%v: f32, %acc: f32):
    %sq = arith.mulf %v, %v : f32
    %sum = arith.addf %acc, %sq : f32
    linalg.yield %sum : f32
  } -> tensor<?xf32>
  %y = linalg.generic {indexing_maps = [#tc, #t, #c, #c, #tc], iterator_types = ["parallel", "parallel"]}
      ins(%centred, %squares, %weight, %bias : tensor<?x96xf32>, tensor<?xf32>, tensor<96xf32>, tensor<96xf32>)
      outs(%e2 : tensor<?x96xf32>) {
  ^bb0(%v: f32, %square: f32, %wt: f32, %b: f32, %out: f32):
    %mean = arith.divf %square, %size : f32
    %guarded = arith.addf %mean, %eps : f32
    %r = math.rsqrt %guarded : f32
    %n = arith.mulf %v, %r : f32
    %scaled = arith.mulf %n, %wt : f32
    %shifted = arith.addf %scaled, %b : f32
    linalg.yield %shifted : f32
  } -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

func.func private @project(%x: tensor<?x96xf32>, %wr: tensor<8x96xf32>) -> tensor<?x8xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x96xf32>
  %e = tensor.empty(%T) : tensor<?x8xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %z = linalg.matmul indexing_maps = [#x, #w, #y] ins(%x, %wr : tensor<?x96xf32>, tensor<8x96xf32>)
      outs(%f : tensor<?x8xf32>) -> tensor<?x8xf32>
  return %z : tensor<?x8xf32>
}

func.func private @moe(%x: tensor<?x96xf32>, %wr: tensor<8x96xf32>, %u: tensor<8x64x96xf32>, %d: tensor<8x96x64xf32>)
    -> tensor<?x96xf32> {
  %z = call @project(%x, %wr) : (tensor<?x96xf32>, tensor<8x96xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x96xf32>, !moe.routing<8 x 2> -> tensor<?x96xf32>
  %out = moe.expert %rows by %r : (tensor<?x96xf32>, !moe.routing<8 x 2>) -> tensor<?x96xf32>
  experts 0 to 8 weights(%u, %d : tensor<8x64x96xf32>, tensor<8x96x64xf32>) {
  ^bb0(%t: tensor<?x96xf32>, %a: tensor<64x96xf32>, %b: tensor<96x64xf32>):
    %f = moe.ffn %t up(%a) down(%b) activation(#moe.silu)
        : (tensor<?x96xf32>, tensor<64x96xf32>, tensor<96x64xf32>) -> tensor<?x96xf32>
    moe.yield %f : tensor<?x96xf32>
  }
  %y = moe.combine %out by %r : tensor<?x96xf32>, !moe.routing<8 x 2> -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

func.func @normed(%x: tensor<?x96xf32> {moe.name = "x", moe.dims = ["T"]}, %n: tensor<96xf32> {moe.name = "norm"})
    -> (tensor<?x96xf32> {moe.name = "n", moe.dims = ["T"]}) {
  %y = call @rms_norm(%x, %n) : (tensor<?x96xf32>, tensor<96xf32>) -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

func.func @layer_normed(%x: tensor<?x96xf32> {moe.name = "x", moe.dims = ["T"]}, %n: tensor<96xf32> {moe.name = "norm"},
    %b: tensor<96xf32> {moe.name = "bias"}) -> (tensor<?x96xf32> {moe.name = "n", moe.dims = ["T"]}) {
  %y = call @layer_norm(%x, %n, %b) : (tensor<?x96xf32>, tensor<96xf32>, tensor<96xf32>) -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

func.func @layer(%x: tensor<?x96xf32> {moe.name = "n", moe.dims = ["T"]}, %wr: tensor<8x96xf32> {moe.name = "router.weight"},
    %u: tensor<8x64x96xf32> {moe.name = "up"}, %d: tensor<8x96x64xf32> {moe.name = "down"})
    -> (tensor<?x96xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %y = call @moe(%x, %wr, %u, %d) : (tensor<?x96xf32>, tensor<8x96xf32>, tensor<8x64x96xf32>, tensor<8x96x64xf32>) -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// x + layer(norm(x)), as decoders have it.
func.func @rms(%x: tensor<?x96xf32> {moe.name = "x", moe.dims = ["T"]}, %n: tensor<96xf32> {moe.name = "norm"},
    %wr: tensor<8x96xf32> {moe.name = "router.weight"}, %u: tensor<8x64x96xf32> {moe.name = "up"},
    %d: tensor<8x96x64xf32> {moe.name = "down"}) -> (tensor<?x96xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %v = call @rms_norm(%x, %n) : (tensor<?x96xf32>, tensor<96xf32>) -> tensor<?x96xf32>
  %c = call @moe(%v, %wr, %u, %d) : (tensor<?x96xf32>, tensor<8x96xf32>, tensor<8x64x96xf32>, tensor<8x96x64xf32>) -> tensor<?x96xf32>
  %y = arith.addf %x, %c : tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

func.func @ln(%x: tensor<?x96xf32> {moe.name = "x", moe.dims = ["T"]}, %n: tensor<96xf32> {moe.name = "norm"},
    %b: tensor<96xf32> {moe.name = "bias"}, %wr: tensor<8x96xf32> {moe.name = "router.weight"},
    %u: tensor<8x64x96xf32> {moe.name = "up"}, %d: tensor<8x96x64xf32> {moe.name = "down"})
    -> (tensor<?x96xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %v = call @layer_norm(%x, %n, %b) : (tensor<?x96xf32>, tensor<96xf32>, tensor<96xf32>) -> tensor<?x96xf32>
  %c = call @moe(%v, %wr, %u, %d) : (tensor<?x96xf32>, tensor<8x96xf32>, tensor<8x64x96xf32>, tensor<8x96x64xf32>) -> tensor<?x96xf32>
  %y = arith.addf %x, %c : tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// Routers of one input: of 8 and of 8 experts by weights of their own, apart and
// together.
func.func private @choose(%x: tensor<?x96xf32>, %wr: tensor<8x96xf32>) -> !moe.routing<8 x 2> {
  %z = call @project(%x, %wr) : (tensor<?x96xf32>, tensor<8x96xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  return %r : !moe.routing<8 x 2>
}

func.func @chosen_1(%x: tensor<?x96xf32> {moe.name = "n", moe.dims = ["T"]}, %a: tensor<8x96xf32> {moe.name = "router.weight"})
    -> (tensor<?x2xi32> {moe.name = "i1", moe.dims = ["T"]}, tensor<?x2xf32> {moe.name = "w1", moe.dims = ["T"]}) {
  %r = call @choose(%x, %a) : (tensor<?x96xf32>, tensor<8x96xf32>) -> !moe.routing<8 x 2>
  %i = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<?x2xi32>
  %w = moe.routing.weights %r : !moe.routing<8 x 2> -> tensor<?x2xf32>
  return %i, %w : tensor<?x2xi32>, tensor<?x2xf32>
}

func.func @chosen_2(%x: tensor<?x96xf32> {moe.name = "n", moe.dims = ["T"]}, %a: tensor<8x96xf32> {moe.name = "second.weight"})
    -> (tensor<?x2xi32> {moe.name = "i2", moe.dims = ["T"]}, tensor<?x2xf32> {moe.name = "w2", moe.dims = ["T"]}) {
  %r = call @choose(%x, %a) : (tensor<?x96xf32>, tensor<8x96xf32>) -> !moe.routing<8 x 2>
  %i = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<?x2xi32>
  %w = moe.routing.weights %r : !moe.routing<8 x 2> -> tensor<?x2xf32>
  return %i, %w : tensor<?x2xi32>, tensor<?x2xf32>
}

func.func @chosen(%x: tensor<?x96xf32> {moe.name = "n", moe.dims = ["T"]}, %a: tensor<8x96xf32> {moe.name = "router.weight"},
    %b: tensor<8x96xf32> {moe.name = "second.weight"})
    -> (tensor<?x2xi32> {moe.name = "i1", moe.dims = ["T"]}, tensor<?x2xf32> {moe.name = "w1", moe.dims = ["T"]},
        tensor<?x2xi32> {moe.name = "i2", moe.dims = ["T"]}, tensor<?x2xf32> {moe.name = "w2", moe.dims = ["T"]}) {
  %r1 = call @choose(%x, %a) : (tensor<?x96xf32>, tensor<8x96xf32>) -> !moe.routing<8 x 2>
  %r2 = call @choose(%x, %b) : (tensor<?x96xf32>, tensor<8x96xf32>) -> !moe.routing<8 x 2>
  %i1 = moe.routing.indices %r1 : !moe.routing<8 x 2> -> tensor<?x2xi32>
  %w1 = moe.routing.weights %r1 : !moe.routing<8 x 2> -> tensor<?x2xf32>
  %i2 = moe.routing.indices %r2 : !moe.routing<8 x 2> -> tensor<?x2xi32>
  %w2 = moe.routing.weights %r2 : !moe.routing<8 x 2> -> tensor<?x2xf32>
  return %i1, %w1, %i2, %w2 : tensor<?x2xi32>, tensor<?x2xf32>, tensor<?x2xi32>, tensor<?x2xf32>
}
