// Layers with experts that no token can choose.
#te = affine_map<(t, e) -> (t, e)>
#e = affine_map<(t, e) -> (e)>
#xh = affine_map<(t, e, h) -> (t, h)>
#wh = affine_map<(t, e, h) -> (e, h)>
#z = affine_map<(t, e, h) -> (t, e)>

// The logits of 8 experts.
func.func private @logits(%x: tensor<?x32xf32>, %wr: tensor<8x32xf32>) -> tensor<?x8xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x32xf32>
  %empty = tensor.empty(%T) : tensor<?x8xf32>
  %fill = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x8xf32>) -> tensor<?x8xf32>
  %z = linalg.matmul indexing_maps = [#xh, #wh, #z]
      ins(%x, %wr : tensor<?x32xf32>, tensor<8x32xf32>) outs(%fill : tensor<?x8xf32>) -> tensor<?x8xf32>
  return %z : tensor<?x8xf32>
}

func.func private @experts(%x: tensor<?x32xf32>, %r: !moe.routing<8 x 2>,
    %up: tensor<8x48x32xf32>, %down: tensor<8x32x48xf32>) -> tensor<?x32xf32> {
  %rows = moe.dispatch %x by %r : tensor<?x32xf32>, !moe.routing<8 x 2> -> tensor<?x32xf32>
  %out = moe.expert %rows by %r : (tensor<?x32xf32>, !moe.routing<8 x 2>) -> tensor<?x32xf32>
  experts 0 to 8 weights(%up, %down : tensor<8x48x32xf32>, tensor<8x32x48xf32>) {
  ^bb0(%t: tensor<?x32xf32>, %u: tensor<48x32xf32>, %d: tensor<32x48xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu)
        : (tensor<?x32xf32>, tensor<48x32xf32>, tensor<32x48xf32>) -> tensor<?x32xf32>
    moe.yield %f : tensor<?x32xf32>
  }
  %y = moe.combine %out by %r : tensor<?x32xf32>, !moe.routing<8 x 2> -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// A bias of -infinity for 1, 2 and 7; weights of the scores without it.
func.func @bias(%x: tensor<?x32xf32> {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<8x32xf32> {moe.name = "router.weight"},
    %up: tensor<8x48x32xf32> {moe.name = "up"}, %down: tensor<8x32x48xf32> {moe.name = "down"})
    -> (tensor<?x32xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %bias = arith.constant dense<[0.5, 0xFF800000, 0xFF800000, 0.0, -0.5, 0.25, 0.0, 0xFF800000]> : tensor<8xf32>
  %z = func.call @logits(%x, %wr) : (tensor<?x32xf32>, tensor<8x32xf32>) -> tensor<?x8xf32>
  %c0 = arith.constant 0 : index
  %T = tensor.dim %x, %c0 : tensor<?x32xf32>
  %empty = tensor.empty(%T) : tensor<?x8xf32>
  %s = linalg.generic {indexing_maps = [#te, #e, #te], iterator_types = ["parallel", "parallel"]}
      ins(%z, %bias : tensor<?x8xf32>, tensor<8xf32>) outs(%empty : tensor<?x8xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %n = arith.negf %a : f32
    %ex = math.exp %n : f32
    %one = arith.constant 1.0 : f32
    %d = arith.addf %ex, %one : f32
    %p = arith.divf %one, %d : f32
    %q = arith.addf %p, %b : f32
    linalg.yield %q : f32
  } -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%s) weigh(%z) weighing [#moe.softmax]
      : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %y = func.call @experts(%x, %r, %up, %down) : (tensor<?x32xf32>, !moe.routing<8 x 2>, tensor<8x48x32xf32>, tensor<8x32x48xf32>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// A mask, and weights of a softmax over all experts: the router keeps its columns.
func.func @mask(%x: tensor<?x32xf32> {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<8x32xf32> {moe.name = "router.weight"},
    %up: tensor<8x48x32xf32> {moe.name = "up"}, %down: tensor<8x32x48xf32> {moe.name = "down"})
    -> (tensor<?x32xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %mask = arith.constant dense<[true, false, true, true, true, true, false, true]> : tensor<8xi1>
  %z = func.call @logits(%x, %wr) : (tensor<?x32xf32>, tensor<8x32xf32>) -> tensor<?x8xf32>
  %c0 = arith.constant 0 : index
  %T = tensor.dim %x, %c0 : tensor<?x32xf32>
  %empty = tensor.empty(%T) : tensor<?x8xf32>
  %s = linalg.generic {indexing_maps = [#te, #e, #te], iterator_types = ["parallel", "parallel"]}
      ins(%z, %mask : tensor<?x8xf32>, tensor<8xi1>) outs(%empty : tensor<?x8xf32>) {
  ^bb0(%a: f32, %m: i1, %o: f32):
    %never = arith.constant 0xFF800000 : f32
    %q = arith.select %m, %a, %never : f32
    linalg.yield %q : f32
  } -> tensor<?x8xf32>
  %p = linalg.softmax dimension(1) ins(%z : tensor<?x8xf32>) outs(%empty : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%s) weigh(%p) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %y = func.call @experts(%x, %r, %up, %down) : (tensor<?x32xf32>, !moe.routing<8 x 2>, tensor<8x48x32xf32>, tensor<8x32x48xf32>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// The second and third of four groups have no score.
func.func @groups(%x: tensor<?x32xf32> {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<8x32xf32> {moe.name = "router.weight"},
    %up: tensor<8x48x32xf32> {moe.name = "up"}, %down: tensor<8x32x48xf32> {moe.name = "down"})
    -> (tensor<?x32xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %bias = arith.constant dense<[0.5, 0.0, 0xFF800000, 0xFF800000, 0xFF800000, 0xFF800000, 0.0, 0.25]> : tensor<8xf32>
  %z = func.call @logits(%x, %wr) : (tensor<?x32xf32>, tensor<8x32xf32>) -> tensor<?x8xf32>
  %c0 = arith.constant 0 : index
  %T = tensor.dim %x, %c0 : tensor<?x32xf32>
  %empty = tensor.empty(%T) : tensor<?x8xf32>
  %s = linalg.generic {indexing_maps = [#te, #e, #te], iterator_types = ["parallel", "parallel"]}
      ins(%z, %bias : tensor<?x8xf32>, tensor<8xf32>) outs(%empty : tensor<?x8xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %q = arith.addf %a, %b : f32
    linalg.yield %q : f32
  } -> tensor<?x8xf32>
  %r = moe.router #moe.group_top_k<2, groups = 4, keep = 1, reduce = top2> select(%s) weigh(%z)
      weighing [#moe.sigmoid, #moe.normalize<sum, eps = 1.0e-20>]
      : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %y = func.call @experts(%x, %r, %up, %down) : (tensor<?x32xf32>, !moe.routing<8 x 2>, tensor<8x48x32xf32>, tensor<8x32x48xf32>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// A table that names 0, 3, 5 and 6, behind a limit.
func.func @hash(%x: tensor<?x32xf32> {moe.name = "x", moe.dims = ["T"]},
    %ids: tensor<?xi32> {moe.name = "ids", moe.dims = ["T"]},
    %up: tensor<8x48x32xf32> {moe.name = "up"}, %down: tensor<8x32x48xf32> {moe.name = "down"})
    -> (tensor<?x32xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %table = arith.constant dense<[[0, 5], [3, 0], [5, 6], [6, 3]]> : tensor<4x2xi32>
  %r = moe.router #moe.hash<table, 2> using(%ids, %table : tensor<?xi32>, tensor<4x2xi32>) : !moe.routing<8 x 2>
  %limited = moe.routing.limit %r capacity 4 : !moe.routing<8 x 2>
  %y = func.call @experts(%x, %limited, %up, %down) : (tensor<?x32xf32>, !moe.routing<8 x 2>, tensor<8x48x32xf32>, tensor<8x32x48xf32>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// A capacity that depends on the number of experts keeps the router as it is.
func.func @factor(%x: tensor<?x32xf32> {moe.name = "x", moe.dims = ["T"]},
    %ids: tensor<?xi32> {moe.name = "ids", moe.dims = ["T"]},
    %up: tensor<8x48x32xf32> {moe.name = "up"}, %down: tensor<8x32x48xf32> {moe.name = "down"})
    -> (tensor<?x32xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %table = arith.constant dense<[[0, 5], [3, 0], [5, 6], [6, 3]]> : tensor<4x2xi32>
  %r = moe.router #moe.hash<table, 2> using(%ids, %table : tensor<?xi32>, tensor<4x2xi32>) : !moe.routing<8 x 2>
  %limited = moe.routing.limit %r factor 1.25 : !moe.routing<8 x 2>
  %y = func.call @experts(%x, %limited, %up, %down) : (tensor<?x32xf32>, !moe.routing<8 x 2>, tensor<8x48x32xf32>, tensor<8x32x48xf32>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// A mask of any number of experts, two of which have no threshold to be above.
func.func @any(%x: tensor<?x32xf32> {moe.name = "x", moe.dims = ["T"]},
    %wr: tensor<8x32xf32> {moe.name = "router.weight"},
    %up: tensor<8x48x32xf32> {moe.name = "up"}, %down: tensor<8x32x48xf32> {moe.name = "down"})
    -> (tensor<?x32xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %thresholds = arith.constant dense<[0.1, 0.3, 0x7F800000, 0.0, 0.2, 0x7FC00000, 0.2, 0.5]> : tensor<8xf32>
  %z = func.call @logits(%x, %wr) : (tensor<?x32xf32>, tensor<8x32xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_any<min_k = 0> select(%z) using(%thresholds : tensor<8xf32>)
      : tensor<?x8xf32> -> !moe.routing<8 x 8>
  %rows = moe.dispatch %x by %r : tensor<?x32xf32>, !moe.routing<8 x 8> -> tensor<?x32xf32>
  %out = moe.expert %rows by %r : (tensor<?x32xf32>, !moe.routing<8 x 8>) -> tensor<?x32xf32>
  experts 0 to 8 weights(%up, %down : tensor<8x48x32xf32>, tensor<8x32x48xf32>) {
  ^bb0(%t: tensor<?x32xf32>, %u: tensor<48x32xf32>, %d: tensor<32x48xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu)
        : (tensor<?x32xf32>, tensor<48x32xf32>, tensor<32x48xf32>) -> tensor<?x32xf32>
    moe.yield %f : tensor<?x32xf32>
  }
  %y = moe.combine %out by %r : tensor<?x32xf32>, !moe.routing<8 x 8> -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
