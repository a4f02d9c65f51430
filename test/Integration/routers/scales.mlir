// Weights times a factor of each expert: inside of the routing kernel of every
// kind, before and behind what limits and appends, and in a loop of its own.

// RUN: moe-compile %s -o %t
// RUN: moe-run %t.json --entry=lists --model=%s --random=1 --tokens=0
// RUN: moe-run %t.json --entry=lists --model=%s --random=1 --tokens=1 --verify
// RUN: moe-run %t.json --entry=lists --model=%s --random=2 --tokens=100 --verify --threads=2
// RUN: moe-run %t.json --entry=written_out --model=%s --random=3 --tokens=100 --verify
// RUN: moe-run %t.json --entry=mask --model=%s --random=4 --tokens=100 --verify
// RUN: moe-run %t.json --entry=row --model=%s --random=5 --tokens=100 --verify
// RUN: moe-run %t.json --entry=loop --model=%s --random=6 --tokens=100 --verify
// RUN: moe-run %t.json --entry=batch --model=%s --random=7 --tokens=100 --verify
// RUN: moe-run %s --entry=lists --random=2 --tokens=100 --verify --no-fuse

#te = affine_map<(t, e) -> (t, e)>

func.func @lists(%z: tensor<?x16xf32> {moe.name = "z", moe.dims = ["T"]}, %s: tensor<16xf32> {moe.name = "scales"},
    %h: tensor<16xbf16> {moe.name = "more"})
    -> (tensor<?x5xf32> {moe.name = "appended", moe.dims = ["T"]}, tensor<?x5xi32> {moe.name = "experts", moe.dims = ["T"]},
        tensor<?x4xf32> {moe.name = "limited", moe.dims = ["T"]}, tensor<?x4xf32> {moe.name = "renormalized", moe.dims = ["T"]}) {
  %p = moe.router #moe.top_k<4> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x16xf32> -> !moe.routing<16 x 4>
  %a = moe.routing.reweigh %p scales(%s : tensor<16xf32>) : !moe.routing<16 x 4>
  %b = moe.routing.append %a : !moe.routing<16 x 4> -> !moe.routing<17 x 5>
  %w = moe.routing.weights %b : !moe.routing<17 x 5> -> tensor<?x5xf32>
  %i = moe.routing.indices %b : !moe.routing<17 x 5> -> tensor<?x5xi32>
  %c = moe.router #moe.top_k<4> select(%z) weigh(%z) weighing [#moe.sigmoid] : tensor<?x16xf32> -> !moe.routing<16 x 4>
  %d = moe.routing.reweigh %c scales(%s : tensor<16xf32>) : !moe.routing<16 x 4>
  %e = moe.routing.limit %d capacity 9 : !moe.routing<16 x 4>
  %x = moe.routing.weights %e : !moe.routing<16 x 4> -> tensor<?x4xf32>
  %k = moe.router #moe.top_k<4> select(%z) weigh(%z) weighing [#moe.sigmoid] : tensor<?x16xf32> -> !moe.routing<16 x 4>
  %l = moe.routing.reweigh %k scales(%h : tensor<16xbf16>) weighing [#moe.softmax] : !moe.routing<16 x 4>
  %m = moe.routing.reweigh %l scales(%s : tensor<16xf32>) : !moe.routing<16 x 4>
  %y = moe.routing.weights %m : !moe.routing<16 x 4> -> tensor<?x4xf32>
  return %w, %i, %x, %y : tensor<?x5xf32>, tensor<?x5xi32>, tensor<?x4xf32>, tensor<?x4xf32>
}

func.func @written_out(%z: tensor<?x16xf32> {moe.name = "z", moe.dims = ["T"]}, %s: tensor<16xf32> {moe.name = "scales"})
    -> (tensor<?x4xf32> {moe.name = "w", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %T = tensor.dim %z, %c0 : tensor<?x16xf32>
  %empty = tensor.empty(%T) : tensor<?x4xf32>
  %r = moe.router #moe.top_k<4> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x16xf32> -> !moe.routing<16 x 4>
  %i = moe.routing.indices %r : !moe.routing<16 x 4> -> tensor<?x4xi32>
  %w = moe.routing.weights %r : !moe.routing<16 x 4> -> tensor<?x4xf32>
  %u = linalg.generic {indexing_maps = [#te, #te, #te], iterator_types = ["parallel", "parallel"]}
      ins(%i, %w : tensor<?x4xi32>, tensor<?x4xf32>) outs(%empty : tensor<?x4xf32>) {
  ^bb0(%x: i32, %v: f32, %o: f32):
    %j = arith.index_cast %x : i32 to index
    %f = tensor.extract %s[%j] : tensor<16xf32>
    %p = arith.mulf %v, %f : f32
    linalg.yield %p : f32
  } -> tensor<?x4xf32>
  %a = moe.routing.make %i, %u trusted : tensor<?x4xi32>, tensor<?x4xf32> -> !moe.routing<16 x 4>
  %y = moe.routing.weights %a : !moe.routing<16 x 4> -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

func.func @mask(%z: tensor<?x16xf32> {moe.name = "z", moe.dims = ["T"]}, %s: tensor<16xf32> {moe.name = "scales"})
    -> (tensor<?x16xf32> {moe.name = "w", moe.dims = ["T"]}) {
  %r = moe.router #moe.threshold<0.5, min_k = 0> select(%z) weigh(%z) : tensor<?x16xf32> -> !moe.routing<16 x 16>
  %a = moe.routing.reweigh %r scales(%s : tensor<16xf32>) weighing [#moe.softmax] : !moe.routing<16 x 16>
  %y = moe.routing.weights %a : !moe.routing<16 x 16> -> tensor<?x16xf32>
  return %y : tensor<?x16xf32>
}

// Weights that no lanes can compute: one token after another.
func.func @row(%z: tensor<?x16xf32> {moe.name = "z", moe.dims = ["T"]}, %s: tensor<16xf32> {moe.name = "scales"})
    -> (tensor<?x2xf32> {moe.name = "w", moe.dims = ["T"]}) {
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<?x16xf32> -> !moe.routing<16 x 2> weights {
  ^bb0(%v: vector<2xf32>):
    %q = vector.shuffle %v, %v [1, 0] : vector<2xf32>, vector<2xf32>
    moe.yield %q : vector<2xf32>
  }
  %a = moe.routing.reweigh %r scales(%s : tensor<16xf32>) : !moe.routing<16 x 2>
  %y = moe.routing.weights %a : !moe.routing<16 x 2> -> tensor<?x2xf32>
  return %y : tensor<?x2xf32>
}

// Behind what drops, with the unscaled read as well.
func.func @loop(%z: tensor<?x16xf32> {moe.name = "z", moe.dims = ["T"]}, %s: tensor<16xf32> {moe.name = "scales"})
    -> (tensor<?x2xf32> {moe.name = "w", moe.dims = ["T"]}, tensor<?x2xf32> {moe.name = "unscaled", moe.dims = ["T"]}) {
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.sigmoid] : tensor<?x16xf32> -> !moe.routing<16 x 2>
  %l = moe.routing.limit %r capacity 7 : !moe.routing<16 x 2>
  %a = moe.routing.reweigh %l scales(%s : tensor<16xf32>) : !moe.routing<16 x 2>
  %y = moe.routing.weights %a : !moe.routing<16 x 2> -> tensor<?x2xf32>
  %x = moe.routing.weights %l : !moe.routing<16 x 2> -> tensor<?x2xf32>
  return %y, %x : tensor<?x2xf32>, tensor<?x2xf32>
}

func.func @batch(%p: tensor<?x16xf32> {moe.name = "p", moe.dims = ["T"]}, %s: tensor<16xf32> {moe.name = "scales"})
    -> (tensor<?x16xf32> {moe.name = "w", moe.dims = ["T"]}) {
  %r = moe.router #moe.expert_choice<capacity = 5> select(%p) weigh(%p) : tensor<?x16xf32> -> !moe.routing<16 x 16>
  %a = moe.routing.reweigh %r scales(%s : tensor<16xf32>) : !moe.routing<16 x 16>
  %y = moe.routing.weights %a : !moe.routing<16 x 16> -> tensor<?x16xf32>
  return %y : tensor<?x16xf32>
}
