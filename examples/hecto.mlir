// A layer of unlike experts (Hecto, arXiv 2506.22919): a recurrent expert that reads
// whole sequences beside a feed-forward one that reads one row of them, `cls`. A
// sequence goes to one of them, by that row.
//
//   moe-run examples/hecto.mlir --random=1 --inputs=sequences.safetensors --verify
//
// T tokens are S sequences one behind the other; `sequence` has the number of each
// token's, ascending from 0, and `first` and `last` the places of the first and last
// token of each. `state` is what the recurrent expert knows of a sequence from an
// earlier call, zeros at its beginning, and comes back as `next_state`: a sequence in
// one call or token by token gives the same bits. Sizes as in the paper: rows of 256,
// a GRU of 128, a network of 256-128-4 with tanh, four classes.

#te = affine_map<(t, n) -> (t, n)>
#x = affine_map<(t, n, k) -> (t, k)>
#w = affine_map<(t, n, k) -> (n, k)>
#y = affine_map<(t, n, k) -> (t, n)>
#row = affine_map<(t, n) -> (t)>
#column = affine_map<(t, n) -> (n)>
#first = affine_map<(t, n) -> (t, 0)>

!tokens = tensor<?x256xf32>
// A token's row and the state of its sequence.
!rows = tensor<?x384xf32>
!states = tensor<?x128xf32>
!routing = !moe.routing<2 x 1>

func.func @hecto(
    %x: !tokens {moe.name = "x", moe.dims = ["T"]},
    %sequence: tensor<?xi32> {moe.name = "sequence", moe.dims = ["T"]},
    %first: tensor<?xi32> {moe.name = "first", moe.dims = ["S"]},
    %last: tensor<?xi32> {moe.name = "last", moe.dims = ["S"]},
    %cls: !tokens {moe.name = "cls", moe.dims = ["S"]},
    %state: !states {moe.name = "state", moe.dims = ["S"]},
    %wr: tensor<2x256xf32> {moe.name = "router.weight"},
    // Rows of r, z and n, one gate behind the other.
    %wi: tensor<1x384x256xf32> {moe.name = "gru.input"},
    %wh: tensor<1x384x128xf32> {moe.name = "gru.hidden"},
    %bi: tensor<1x384xf32> {moe.name = "gru.input_bias"},
    %bh: tensor<1x384xf32> {moe.name = "gru.hidden_bias"},
    %classify: tensor<1x4x128xf32> {moe.name = "gru.head"},
    %up: tensor<1x128x256xf32> {moe.name = "ffn.up_proj"},
    %down: tensor<1x4x128xf32> {moe.name = "ffn.down_proj"})
    -> (tensor<?x4xf32> {moe.name = "y", moe.dims = ["S"]},
        !states {moe.name = "next_state", moe.dims = ["S"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : !tokens
  %S = tensor.dim %first, %c0 : tensor<?xi32>

  // The choice of each sequence, and its probability.
  %le = tensor.empty(%S) : tensor<?x2xf32>
  %lz = linalg.fill ins(%zero : f32) outs(%le : tensor<?x2xf32>) -> tensor<?x2xf32>
  %logits = linalg.matmul indexing_maps = [#x, #w, #y]
      ins(%cls, %wr : !tokens, tensor<2x256xf32>) outs(%lz : tensor<?x2xf32>) -> tensor<?x2xf32>
  %cool = linalg.generic {indexing_maps = [#te, #te], iterator_types = ["parallel", "parallel"]}
      ins(%logits : tensor<?x2xf32>) outs(%le : tensor<?x2xf32>) {
  ^bb0(%v: f32, %o: f32):
    %temperature = arith.constant 1.5 : f32
    %d = arith.divf %v, %temperature : f32
    linalg.yield %d : f32
  } -> tensor<?x2xf32>
  %p = linalg.softmax dimension(1) ins(%cool : tensor<?x2xf32>) outs(%le : tensor<?x2xf32>) -> tensor<?x2xf32>
  %choice = moe.router #moe.top_k<1> select(%p) weigh(%p) : tensor<?x2xf32> -> !routing
  %expert = moe.routing.indices %choice : !routing -> tensor<?x1xi32>
  %weight = moe.routing.weights %choice : !routing -> tensor<?x1xf32>

  // The same for tokens: all of a recurrent expert's sequences, and one of the other's,
  // whose row is `cls`; the rest goes nowhere.
  %ie = tensor.empty(%T) : tensor<?x1xi32>
  %we = tensor.empty(%T) : tensor<?x1xf32>
  %indices, %weights = linalg.generic {indexing_maps = [#row, #te, #te], iterator_types = ["parallel", "parallel"]}
      ins(%sequence : tensor<?xi32>) outs(%ie, %we : tensor<?x1xi32>, tensor<?x1xf32>) {
  ^bb0(%of: i32, %oi: i32, %ow: f32):
    %s = arith.index_cast %of : i32 to index
    %e = tensor.extract %expert[%s, %c0] : tensor<?x1xi32>
    %q = tensor.extract %weight[%s, %c0] : tensor<?x1xf32>
    %f = tensor.extract %first[%s] : tensor<?xi32>
    %t = linalg.index 0 : index
    %place = arith.index_cast %t : index to i32
    %none = arith.constant -1 : i32
    %no = arith.constant 0.0 : f32
    %recurrent = arith.constant 0 : i32
    %is = arith.cmpi eq, %e, %recurrent : i32
    %begins = arith.cmpi eq, %place, %f : i32
    %goes = arith.ori %is, %begins : i1
    %i = arith.select %goes, %e, %none : i32
    %u = arith.select %goes, %q, %no : f32
    linalg.yield %i, %u : i32, f32
  } -> (tensor<?x1xi32>, tensor<?x1xf32>)
  %r = moe.routing.make %indices, %weights trusted : tensor<?x1xi32>, tensor<?x1xf32> -> !routing

  // Each row with the state of its sequence.
  %re = tensor.empty(%T) : !rows
  %both = linalg.generic {indexing_maps = [#row, #te], iterator_types = ["parallel", "parallel"]}
      ins(%sequence : tensor<?xi32>) outs(%re : !rows) {
  ^bb0(%of: i32, %o: f32):
    %s = arith.index_cast %of : i32 to index
    %t = linalg.index 0 : index
    %h = linalg.index 1 : index
    %size = arith.constant 256 : index
    %max = arith.constant 255 : index
    %isx = arith.cmpi ult, %h, %size : index
    %hx = arith.minui %h, %max : index
    %hs = arith.subi %h, %size : index
    %hz = arith.maxsi %hs, %c0 : index
    %e = tensor.extract %expert[%s, %c0] : tensor<?x1xi32>
    %recurrent = arith.constant 0 : i32
    %reads = arith.cmpi eq, %e, %recurrent : i32
    %token = tensor.extract %x[%t, %hx] : !tokens
    %head = tensor.extract %cls[%s, %hx] : !tokens
    %a = arith.select %reads, %token, %head : f32
    %b = tensor.extract %state[%s, %hz] : !states
    %v = arith.select %isx, %a, %b : f32
    linalg.yield %v : f32
  } -> !rows
  %numbers = tensor.expand_shape %sequence [[0, 1]] output_shape [%T, 1] : tensor<?xi32> into tensor<?x1xi32>
  %rows = moe.dispatch %both by %r : !rows, !routing -> !rows
  %own = moe.dispatch %numbers by %r : tensor<?x1xi32>, !routing -> tensor<?x1xi32>

  // The states, and from them or from the row the classes.
  %hidden = moe.expert %rows by %r with(%own : tensor<?x1xi32>) : (!rows, !routing) -> !states
    experts 0 to 1 weights(%wi, %wh, %bi, %bh : tensor<1x384x256xf32>, tensor<1x384x128xf32>,
                           tensor<1x384xf32>, tensor<1x384xf32>) {
    ^bb0(%t: !rows, %vi: tensor<384x256xf32>, %vh: tensor<384x128xf32>, %ci: tensor<384xf32>,
         %ch: tensor<384xf32>, %of: tensor<?x1xi32>):
      %i = arith.constant 0 : index
      %nil = arith.constant 0.0 : f32
      %n = tensor.dim %t, %i : !rows
      %xs = tensor.extract_slice %t[0, 0] [%n, 256] [1, 1] : !rows to !tokens
      %hs = tensor.extract_slice %t[0, 256] [%n, 128] [1, 1] : !rows to !states
      // Wi x + bi of all rows at once.
      %ge = tensor.empty(%n) : !rows
      %gz = linalg.fill ins(%nil : f32) outs(%ge : !rows) -> !rows
      %gp = linalg.matmul indexing_maps = [#x, #w, #y]
          ins(%xs, %vi : !tokens, tensor<384x256xf32>) outs(%gz : !rows) -> !rows
      %gi = linalg.generic {indexing_maps = [#te, #column, #te], iterator_types = ["parallel", "parallel"]}
          ins(%gp, %ci : !rows, tensor<384xf32>) outs(%ge : !rows) {
      ^bb1(%v: f32, %b: f32, %o: f32):
        %sum = arith.addf %v, %b : f32
        linalg.yield %sum : f32
      } -> !rows
      %h = moe.scan %gi by %of init(%hs) : (!rows, tensor<?x1xi32>, !states) -> !states body {
      ^bb1(%g: !rows, %before: !states):
        %m = tensor.dim %g, %i : !rows
        %e = tensor.empty(%m) : !rows
        %z = linalg.fill ins(%nil : f32) outs(%e : !rows) -> !rows
        %hp = linalg.matmul indexing_maps = [#x, #w, #y]
            ins(%before, %vh : !states, tensor<384x128xf32>) outs(%z : !rows) -> !rows
        %hb = linalg.generic {indexing_maps = [#te, #column, #te], iterator_types = ["parallel", "parallel"]}
            ins(%hp, %ch : !rows, tensor<384xf32>) outs(%e : !rows) {
        ^bb2(%v: f32, %b: f32, %o: f32):
          %sum = arith.addf %v, %b : f32
          linalg.yield %sum : f32
        } -> !rows
        %xr = tensor.extract_slice %g[0, 0] [%m, 128] [1, 1] : !rows to !states
        %xz = tensor.extract_slice %g[0, 128] [%m, 128] [1, 1] : !rows to !states
        %xn = tensor.extract_slice %g[0, 256] [%m, 128] [1, 1] : !rows to !states
        %hr = tensor.extract_slice %hb[0, 0] [%m, 128] [1, 1] : !rows to !states
        %hz = tensor.extract_slice %hb[0, 128] [%m, 128] [1, 1] : !rows to !states
        %hn = tensor.extract_slice %hb[0, 256] [%m, 128] [1, 1] : !rows to !states
        %se = tensor.empty(%m) : !states
        %next = linalg.generic {indexing_maps = [#te, #te, #te, #te, #te, #te, #te, #te], iterator_types = ["parallel", "parallel"]}
            ins(%xr, %xz, %xn, %hr, %hz, %hn, %before
                : !states, !states, !states, !states, !states, !states, !states) outs(%se : !states) {
        ^bb2(%a: f32, %b: f32, %c: f32, %d: f32, %k: f32, %l: f32, %old: f32, %o: f32):
          %one = arith.constant 1.0 : f32
          %r0 = arith.addf %a, %d : f32
          %r1 = arith.negf %r0 : f32
          %r2 = math.exp %r1 : f32
          %r3 = arith.addf %r2, %one : f32
          %reset = arith.divf %one, %r3 : f32
          %z0 = arith.addf %b, %k : f32
          %z1 = arith.negf %z0 : f32
          %z2 = math.exp %z1 : f32
          %z3 = arith.addf %z2, %one : f32
          %keep = arith.divf %one, %z3 : f32
          %n0 = arith.mulf %reset, %l : f32
          %n1 = arith.addf %c, %n0 : f32
          %new = math.tanh %n1 : f32
          %rest = arith.subf %one, %keep : f32
          %p0 = arith.mulf %rest, %new : f32
          %p1 = arith.mulf %keep, %old : f32
          %sum = arith.addf %p0, %p1 : f32
          linalg.yield %sum : f32
        } -> !states
        moe.yield %next : !states
      }
      moe.yield %h : !states
    } experts 1 to 2 {
    ^bb0(%t: !rows, %of: tensor<?x1xi32>):
      %i = arith.constant 0 : index
      %n = tensor.dim %t, %i : !rows
      %h = tensor.extract_slice %t[0, 256] [%n, 128] [1, 1] : !rows to !states
      moe.yield %h : !states
    }
  %classes = moe.expert %rows by %r with(%hidden : !states) : (!rows, !routing) -> tensor<?x4xf32>
    experts 0 to 1 weights(%classify : tensor<1x4x128xf32>) {
    ^bb0(%t: !rows, %v: tensor<4x128xf32>, %h: !states):
      %i = arith.constant 0 : index
      %nil = arith.constant 0.0 : f32
      %n = tensor.dim %t, %i : !rows
      %e = tensor.empty(%n) : tensor<?x4xf32>
      %z = linalg.fill ins(%nil : f32) outs(%e : tensor<?x4xf32>) -> tensor<?x4xf32>
      %f = linalg.matmul indexing_maps = [#x, #w, #y]
          ins(%h, %v : !states, tensor<4x128xf32>) outs(%z : tensor<?x4xf32>) -> tensor<?x4xf32>
      moe.yield %f : tensor<?x4xf32>
    } experts 1 to 2 weights(%up, %down : tensor<1x128x256xf32>, tensor<1x4x128xf32>) {
    ^bb0(%t: !rows, %u: tensor<128x256xf32>, %d: tensor<4x128xf32>, %h: !states):
      %i = arith.constant 0 : index
      %n = tensor.dim %t, %i : !rows
      %xs = tensor.extract_slice %t[0, 0] [%n, 256] [1, 1] : !rows to !tokens
      %f = moe.ffn %xs up(%u) down(%d) activation(#moe.tanh)
          : (!tokens, tensor<128x256xf32>, tensor<4x128xf32>) -> tensor<?x4xf32>
      moe.yield %f : tensor<?x4xf32>
    }
  %sums = moe.combine %classes by %r : tensor<?x4xf32>, !routing -> tensor<?x4xf32>
  %after = moe.combine %hidden by %r unweighted : !states, !routing -> !states

  // Of a sequence, what its last token has, or its only one.
  %ye = tensor.empty(%S) : tensor<?x4xf32>
  %result = linalg.generic {indexing_maps = [#row, #row, #first, #te], iterator_types = ["parallel", "parallel"]}
      ins(%first, %last, %expert : tensor<?xi32>, tensor<?xi32>, tensor<?x1xi32>) outs(%ye : tensor<?x4xf32>) {
  ^bb0(%f: i32, %l: i32, %e: i32, %o: f32):
    %feed = arith.constant 1 : i32
    %is = arith.cmpi eq, %e, %feed : i32
    %at = arith.select %is, %f, %l : i32
    %t = arith.index_cast %at : i32 to index
    %h = linalg.index 1 : index
    %v = tensor.extract %sums[%t, %h] : tensor<?x4xf32>
    linalg.yield %v : f32
  } -> tensor<?x4xf32>
  %se = tensor.empty(%S) : !states
  %next = linalg.generic {indexing_maps = [#row, #row, #first, #te], iterator_types = ["parallel", "parallel"]}
      ins(%first, %last, %expert : tensor<?xi32>, tensor<?xi32>, tensor<?x1xi32>) outs(%se : !states) {
  ^bb0(%f: i32, %l: i32, %e: i32, %o: f32):
    %feed = arith.constant 1 : i32
    %is = arith.cmpi eq, %e, %feed : i32
    %at = arith.select %is, %f, %l : i32
    %t = arith.index_cast %at : i32 to index
    %h = linalg.index 1 : index
    %v = tensor.extract %after[%t, %h] : !states
    linalg.yield %v : f32
  } -> !states
  return %result, %next : tensor<?x4xf32>, !states
}
