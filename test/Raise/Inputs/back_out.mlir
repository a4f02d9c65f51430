// Layers for back-out.py: what bodies and routings may have, in few sizes.

// Weights on the input, a residual, and one expert a token.
func.func @weighted(%x: tensor<?x8xf32>, %z: tensor<?x4xf32>, %up: tensor<4x6x8xf32>,
                    %down: tensor<4x8x6xf32>) -> tensor<?x8xf32> {
  %r = moe.router #moe.top_k<1> select(%z) weigh(%z) weighing [#moe.sigmoid]
      : tensor<?x4xf32> -> !moe.routing<4 x 1>
  %rows = moe.dispatch %x by %r weighted : tensor<?x8xf32>, !moe.routing<4 x 1> -> tensor<?x8xf32>
  %out = moe.expert %rows by %r : (tensor<?x8xf32>, !moe.routing<4 x 1>) -> tensor<?x8xf32>
  experts 0 to 4 weights(%up, %down : tensor<4x6x8xf32>, tensor<4x8x6xf32>) {
  ^bb0(%t: tensor<?x8xf32>, %u: tensor<6x8xf32>, %d: tensor<8x6xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu2)
        : (tensor<?x8xf32>, tensor<6x8xf32>, tensor<8x6xf32>) -> tensor<?x8xf32>
    moe.yield %f : tensor<?x8xf32>
  }
  %y = moe.combine %out by %r unweighted init(%x : tensor<?x8xf32>)
      : tensor<?x8xf32>, !moe.routing<4 x 1> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// Two kinds of experts, limits, factors of experts, and experts for all tokens,
// with rows and weights of 16 bits.
func.func @mixed(%x: tensor<?x8xbf16>, %z: tensor<?x6xf32>, %gate: tensor<?x1xf32>,
                 %scales: tensor<6xf32>, %wg: tensor<5x6x8xbf16>, %wu: tensor<5x6x8xbf16>,
                 %wd: tensor<5x8x6xbf16>, %bias: tensor<5x8xf32>, %up: tensor<2x4x8xf32>,
                 %down: tensor<2x8x4xf32>) -> tensor<?x8xbf16> {
  %r0 = moe.router #moe.top_k<2> select(%z) weigh(%z)
      weighing [#moe.softmax, #moe.scale<2.5>] : tensor<?x6xf32> -> !moe.routing<6 x 2>
  %r1 = moe.routing.limit %r0 factor 1.0 rounding nearest minimum 2 : !moe.routing<6 x 2>
  %r2 = moe.routing.reweigh %r1 scales(%scales : tensor<6xf32>)
      weighing [#moe.normalize<p_norm, p = 2.0>] : !moe.routing<6 x 2>
  %r = moe.routing.append %r2 weights(%gate : tensor<?x1xf32>)
      : !moe.routing<6 x 2> -> !moe.routing<7 x 3>
  %rows = moe.dispatch %x by %r : tensor<?x8xbf16>, !moe.routing<7 x 3> -> tensor<?x8xbf16>
  %out = moe.expert %rows by %r : (tensor<?x8xbf16>, !moe.routing<7 x 3>) -> tensor<?x8xbf16>
  experts 0 to 5 weights(%wg, %wu, %wd, %bias : tensor<5x6x8xbf16>, tensor<5x6x8xbf16>,
      tensor<5x8x6xbf16>, tensor<5x8xf32>) {
  ^bb0(%t: tensor<?x8xbf16>, %g: tensor<6x8xbf16>, %u: tensor<6x8xbf16>, %d: tensor<8x6xbf16>,
       %b: tensor<8xf32>):
    %f = moe.ffn %t gate(%g) up(%u) down(%d) down_bias(%b) activation(#moe.silu)
        : (tensor<?x8xbf16>, tensor<6x8xbf16>, tensor<6x8xbf16>, tensor<8x6xbf16>,
           tensor<8xf32>) -> tensor<?x8xbf16>
    moe.yield %f : tensor<?x8xbf16>
  } experts 5 to 7 weights(%up, %down : tensor<2x4x8xf32>, tensor<2x8x4xf32>) {
  ^bb0(%t: tensor<?x8xbf16>, %u: tensor<4x8xf32>, %d: tensor<8x4xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.tanh)
        : (tensor<?x8xbf16>, tensor<4x8xf32>, tensor<8x4xf32>) -> tensor<?x8xbf16>
    moe.yield %f : tensor<?x8xbf16>
  }
  %y = moe.combine %out by %r : tensor<?x8xbf16>, !moe.routing<7 x 3> -> tensor<?x8xbf16>
  return %y : tensor<?x8xbf16>
}

// A body of views and elementwise ops beside products, rows that a token adds,
// and a router whose weights are a region that asks which slots are used.
#rows = affine_map<(t, h) -> (t, h)>
#first = affine_map<(t, h) -> (t, 0)>
func.func @views(%x: tensor<?x8xf32>, %z: tensor<?x5xf32>, %counts: tensor<?xi32>,
                 %s: tensor<?x1xf32>, %w: tensor<5x8x12xf32>, %b: tensor<5x12xf32>)
    -> tensor<?x12xf32> {
  %r = moe.router #moe.token_k<3> select(%z) weigh(%z) using(%counts : tensor<?xi32>)
      : tensor<?x5xf32> -> !moe.routing<5 x 3> weights {
  ^bb0(%v: vector<3xf32>, %used: vector<3xi1>):
    %zero = arith.constant dense<0.0> : vector<3xf32>
    %order = arith.constant dense<[1.0, 0.5, 0.25]> : vector<3xf32>
    %kept = arith.select %used, %v, %zero : vector<3xi1>, vector<3xf32>
    %sum = vector.reduction <add>, %kept : vector<3xf32> into f32
    %best = vector.extract %v[0] : f32 from vector<3xf32>
    %half = arith.constant 0.5 : f32
    %total = arith.addf %sum, %half : f32
    %ratio = arith.divf %best, %total : f32
    %all = vector.broadcast %ratio : f32 to vector<3xf32>
    %u = arith.mulf %all, %order : vector<3xf32>
    moe.yield %u : vector<3xf32>
  }
  %rows = moe.dispatch %x by %r : tensor<?x8xf32>, !moe.routing<5 x 3> -> tensor<?x8xf32>
  %own = moe.dispatch %s by %r : tensor<?x1xf32>, !moe.routing<5 x 3> -> tensor<?x1xf32>
  %out = moe.expert %rows by %r with(%own : tensor<?x1xf32>)
      : (tensor<?x8xf32>, !moe.routing<5 x 3>) -> tensor<?x12xf32>
  experts 0 to 5 weights(%w, %b : tensor<5x8x12xf32>, tensor<5x12xf32>) {
  ^bb0(%t: tensor<?x8xf32>, %m: tensor<8x12xf32>, %v: tensor<12xf32>, %scale: tensor<?x1xf32>):
    %c0 = arith.constant 0 : index
    %n = tensor.dim %t, %c0 : tensor<?x8xf32>
    %zero = arith.constant 0.0 : f32
    %e = tensor.empty(%n) : tensor<?x12xf32>
    %start = linalg.fill ins(%zero : f32) outs(%e : tensor<?x12xf32>) -> tensor<?x12xf32>
    %p = linalg.matmul ins(%t, %m : tensor<?x8xf32>, tensor<8x12xf32>)
        outs(%start : tensor<?x12xf32>) -> tensor<?x12xf32>
    %bs = linalg.broadcast ins(%v : tensor<12xf32>) outs(%e : tensor<?x12xf32>) dimensions = [0]
    %q = arith.addf %p, %bs : tensor<?x12xf32>
    %low = tensor.extract_slice %q[0, 0] [%n, 6] [1, 2] : tensor<?x12xf32> to tensor<?x6xf32>
    %high = tensor.extract_slice %q[0, 1] [%n, 6] [1, 2] : tensor<?x12xf32> to tensor<?x6xf32>
    %flat = tensor.expand_shape %high [[0], [1, 2]] output_shape [%n, 2, 3]
        : tensor<?x6xf32> into tensor<?x2x3xf32>
    %back = tensor.collapse_shape %flat [[0], [1, 2]] : tensor<?x2x3xf32> into tensor<?x6xf32>
    %a = math.tanh %low : tensor<?x6xf32>
    %both = tensor.concat dim(1) %a, %back
        : (tensor<?x6xf32>, tensor<?x6xf32>) -> tensor<?x12xf32>
    %y = linalg.generic {indexing_maps = [#rows, #first, #rows],
        iterator_types = ["parallel", "parallel"]}
        ins(%both, %scale : tensor<?x12xf32>, tensor<?x1xf32>) outs(%e : tensor<?x12xf32>) {
    ^bb1(%l: f32, %k: f32, %o: f32):
      %h = linalg.index 1 : index
      %other = tensor.extract %v[%h] : tensor<12xf32>
      %product = arith.mulf %l, %k : f32
      %moved = arith.addf %product, %other : f32
      linalg.yield %moved : f32
    } -> tensor<?x12xf32>
    moe.yield %y : tensor<?x12xf32>
  }
  %y = moe.combine %out by %r : tensor<?x12xf32>, !moe.routing<5 x 3> -> tensor<?x12xf32>
  return %y : tensor<?x12xf32>
}

// Rows of integers, given experts, and a body that gives what it gets.
func.func @integers(%x: tensor<?x3xi32>, %i: tensor<?x2xi32> {moe.name = "routing.indices"},
                    %w: tensor<?x2xf32>) -> (tensor<?x3xi32>, tensor<5xi32>, index) {
  %r = moe.routing.make %i, %w : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x3xi32>, !moe.routing<4 x 2> -> tensor<?x3xi32>
  %out = moe.expert %rows by %r : (tensor<?x3xi32>, !moe.routing<4 x 2>) -> tensor<?x3xi32>
  experts 0 to 4 {
  ^bb0(%t: tensor<?x3xi32>):
    moe.yield %t : tensor<?x3xi32>
  }
  %y = moe.combine %out by %r unweighted : tensor<?x3xi32>, !moe.routing<4 x 2> -> tensor<?x3xi32>
  %o = moe.routing.offsets %r : !moe.routing<4 x 2> -> tensor<5xi32>
  %n = moe.routing.num_tokens %r : !moe.routing<4 x 2>
  return %y, %o, %n : tensor<?x3xi32>, tensor<5xi32>, index
}

// Groups of tokens and tokens in the order of their priorities, and scores of
// vectors.
func.func @limits(%x: tensor<?x8xf32>, %c: tensor<6x8xf32>, %p: tensor<?xf32>)
    -> (tensor<?x3xi32>, tensor<?x3xi32>, tensor<?x3xi32>) {
  %z = moe.similarity %x, %c metric(cosine) : tensor<?x8xf32>, tensor<6x8xf32> -> tensor<?x6xf32>
  %r = moe.router #moe.top_k<3> select(%z) weigh(%z) : tensor<?x6xf32> -> !moe.routing<6 x 3>
  %a = moe.routing.limit %r factor 0.7 group_size 4 : !moe.routing<6 x 3>
  %b = moe.routing.limit %r capacity 2 by batch_priority (%p : tensor<?xf32>) : !moe.routing<6 x 3>
  %d = moe.routing.limit %r factor 0.6 rounding floor by probability : !moe.routing<6 x 3>
  %i = moe.routing.indices %a : !moe.routing<6 x 3> -> tensor<?x3xi32>
  %j = moe.routing.indices %b : !moe.routing<6 x 3> -> tensor<?x3xi32>
  %k = moe.routing.indices %d : !moe.routing<6 x 3> -> tensor<?x3xi32>
  return %i, %j, %k : tensor<?x3xi32>, tensor<?x3xi32>, tensor<?x3xi32>
}
