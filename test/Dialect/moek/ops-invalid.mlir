// RUN: moe-opt %s --split-input-file --verify-diagnostics

func.func @pack_shape(%w: tensor<8x48x64xbf16>) {
  // expected-error @+1 {{packed type must be 'tensor<8x1x48x64xbf16>', got 'tensor<8x1x64x48xbf16>'}}
  %p = moek.pack %w : tensor<8x48x64xbf16> -> tensor<8x1x64x48xbf16>
  return
}

// -----

func.func @pack_layout(%w: tensor<8x48x64xbf16>) {
  // expected-error @+1 {{packed type must be 'tensor<8x2x32x32x2xbf16>', got 'tensor<8x1x48x64xbf16>'}}
  %p = moek.pack %w layout(#moe_cpu.panels<k_block = 2>) : tensor<8x48x64xbf16> -> tensor<8x1x48x64xbf16>
  return
}

// -----

func.func @pack_parts(%w: tensor<8x48x64xf32>) {
  // expected-error @+1 {{parts must be 1 or 2, got 3}}
  %p = moek.pack %w, %w, %w parts(3) : tensor<8x48x64xf32>, tensor<8x48x64xf32>, tensor<8x48x64xf32> -> tensor<8x3x48x64xf32>
  return
}

// -----

func.func @pack_pairs(%w: tensor<8x48x64xf32>) {
  // expected-error @+1 {{with two parts needs pairs of weights (gate, up), got 1}}
  %p = moek.pack %w parts(2) : tensor<8x48x64xf32> -> tensor<8x2x48x64xf32>
  return
}

// -----

func.func @pack_mixed(%w: tensor<8x48x64xf32>, %v: tensor<8x32x64xf32>) {
  // expected-error @+1 {{weight 1 is 32 x 64, the first is 48 x 64}}
  %p = moek.pack %w, %v parts(2) : tensor<8x48x64xf32>, tensor<8x32x64xf32> -> tensor<8x2x48x64xf32>
  return
}

// -----

func.func @pack_experts(%w: tensor<8x48x64xf32>, %v: tensor<4x48x64xf32>) {
  // expected-error @+1 {{weight 1 is of 4 experts, its other part of 8}}
  %p = moek.pack %w, %v parts(2) : tensor<8x48x64xf32>, tensor<4x48x64xf32> -> tensor<8x2x48x64xf32>
  return
}

// -----

func.func @pack_types(%w: tensor<8x48x64xf32>, %v: tensor<8x48x64xbf16>) {
  // expected-error @+1 {{weight 1 is of 'bf16', the first of 'f32'}}
  %p = moek.pack %w, %v : tensor<8x48x64xf32>, tensor<8x48x64xbf16> -> tensor<16x1x48x64xf32>
  return
}

// -----

// A layout without a schedule: nothing says who reads it.
func.func @rhs(%x: memref<?x64xf32>, %w: memref<8x2x32x32x2xbf16>, %o: memref<9xi32>, %y: memref<?x48xf32>) {
  // expected-error @+1 {{'rhs' must have rank 4, got 'memref<8x2x32x32x2xbf16>'}}
  moek.grouped_matmul n(48) k(64) lhs(%x : memref<?x64xf32>) rhs(%w : memref<8x2x32x32x2xbf16>)
    groups(%o, %o : memref<9xi32>, memref<9xi32>) outs(%y : memref<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    }
  return
}

// -----

func.func @rhs_parts(%x: memref<?x64xf32>, %w: memref<8x2x48x64xbf16>, %o: memref<9xi32>, %y: memref<?x48xf32>) {
  // expected-error @+1 {{'rhs' dimension 1 must be 1, got 'memref<8x2x48x64xbf16>'}}
  moek.grouped_matmul n(48) k(64) lhs(%x : memref<?x64xf32>) rhs(%w : memref<8x2x48x64xbf16>)
    groups(%o, %o : memref<9xi32>, memref<9xi32>) outs(%y : memref<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    }
  return
}

// -----

func.func @lhs(%x: memref<?x32xf32>, %w: memref<8x1x48x64xbf16>, %o: memref<9xi32>, %y: memref<?x48xf32>) {
  // expected-error @+1 {{'lhs' rows must be static and at least k = 64 long, got 'memref<?x32xf32>'}}
  moek.grouped_matmul n(48) k(64) lhs(%x : memref<?x32xf32>) rhs(%w : memref<8x1x48x64xbf16>)
    groups(%o, %o : memref<9xi32>, memref<9xi32>) outs(%y : memref<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    }
  return
}

// -----

func.func @offsets(%x: memref<?x64xf32>, %w: memref<8x1x48x64xbf16>, %o: memref<8xi32>, %a: memref<9xi32>, %y: memref<?x48xf32>) {
  // expected-error @+1 {{'active' dimension 0 must be 8, got 'memref<9xi32>'}}
  moek.grouped_matmul n(48) k(64) lhs(%x : memref<?x64xf32>) rhs(%w : memref<8x1x48x64xbf16>)
    groups(%o, %a : memref<8xi32>, memref<9xi32>) outs(%y : memref<?x48xf32>) epilogue {
    ^bb0(%b: f32):
      moek.yield %b : f32
    }
  return
}

// -----

func.func @no_experts(%x: memref<?x64xf32>, %w: memref<8x1x48x64xbf16>, %o: memref<?xi32>, %y: memref<?x48xf32>) {
  // expected-error @+1 {{'offsets' must be one more than the experts, static, got 'memref<?xi32>'}}
  moek.grouped_matmul n(48) k(64) lhs(%x : memref<?x64xf32>) rhs(%w : memref<8x1x48x64xbf16>)
    groups(%o, %o : memref<?xi32>, memref<?xi32>) outs(%y : memref<?x48xf32>) epilogue {
    ^bb0(%b: f32):
      moek.yield %b : f32
    }
  return
}

// -----

func.func @epilogue_args(%x: memref<?x64xf32>, %w: memref<8x1x48x64xbf16>, %o: memref<9xi32>, %y: memref<?x48xf32>) {
  // expected-error @+1 {{the epilogue must take one f32 per part (1)}}
  moek.grouped_matmul n(48) k(64) lhs(%x : memref<?x64xf32>) rhs(%w : memref<8x1x48x64xbf16>)
    groups(%o, %o : memref<9xi32>, memref<9xi32>) outs(%y : memref<?x48xf32>) epilogue {
    ^bb0(%a: f32, %b: f32):
      moek.yield %a : f32
    }
  return
}

// -----

func.func @epilogue_body(%x: memref<?x64xf32>, %w: memref<8x1x48x64xbf16>, %o: memref<9xi32>, %y: memref<?x48xf32>, %i: index) {
  // expected-error @+1 {{has an epilogue that cannot be vectorized: its body has a memref.load, which is not elementwise}}
  moek.grouped_matmul n(48) k(64) lhs(%x : memref<?x64xf32>) rhs(%w : memref<8x1x48x64xbf16>)
    groups(%o, %o : memref<9xi32>, memref<9xi32>) outs(%y : memref<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      %v = memref.load %y[%i, %i] : memref<?x48xf32>
      moek.yield %v : f32
    }
  return
}

// -----

func.func @init(%x: memref<?x64xf32>, %w: memref<8x1x48x64xbf16>, %o: memref<9xi32>, %y: memref<?x48xf32>) {
  // expected-error @+1 {{'init', 'slot_weights' and 'from' need 'combine'}}
  moek.grouped_matmul n(48) k(64) lhs(%x : memref<?x64xf32>) rhs(%w : memref<8x1x48x64xbf16>)
    groups(%o, %o : memref<9xi32>, memref<9xi32>) init(%y : memref<?x48xf32>) outs(%y : memref<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    }
  return
}

// -----

func.func @index_outputs(%i: memref<?x2xi32>, %w: memref<?x2xf32>, %o: memref<9xi32>) {
  // expected-error @+1 {{expects 5 outputs (see the dialect's routing tensors), got 1}}
  moek.index experts(8) ins(%i, %w : memref<?x2xi32>, memref<?x2xf32>) outs(%o : memref<9xi32>)
  return
}

// -----

func.func @index_no_experts(%i: memref<?x2xi32>, %w: memref<?x2xf32>, %o: memref<1xi32>, %t: memref<?xi32>, %p: memref<?x2xi32>, %r: memref<?xf32>) {
  // expected-error @+1 {{needs at least one expert, got 0}}
  moek.index experts(0) ins(%i, %w : memref<?x2xi32>, memref<?x2xf32>)
    outs(%o, %o, %t, %p, %r : memref<1xi32>, memref<1xi32>, memref<?xi32>, memref<?x2xi32>, memref<?xf32>)
  return
}

// -----

func.func @index_no_slots(%i: memref<?x0xi32>, %w: memref<?x0xf32>, %o: memref<9xi32>, %t: memref<?xi32>, %r: memref<?xf32>) {
  // expected-error @+1 {{the number of slots must be static and at least 1, got 'memref<?x0xi32>'}}
  moek.index experts(8) ins(%i, %w : memref<?x0xi32>, memref<?x0xf32>)
    outs(%o, %o, %t, %i, %r : memref<9xi32>, memref<9xi32>, memref<?xi32>, memref<?x0xi32>, memref<?xf32>)
  return
}

// -----

func.func @route_router(%x: tensor<?x64xf32>, %w: tensor<1x1x8x32xf32>, %o: tensor<9xi32>) {
  // expected-error @+1 {{'router' dimension 3 must be 64, got 'tensor<1x1x8x32xf32>'}}
  %0 = moek.route #moe.top_k<2> experts(8) logits(%x, %w : tensor<?x64xf32>, tensor<1x1x8x32xf32>)
    outs(%o : tensor<9xi32>) scores {
    moek.yield
  } weigh {
    moek.yield
  } -> tensor<9xi32>
  return
}

// -----

func.func @gather_dynamic(%x: memref<?x?xf32>, %t: memref<?xi32>, %o: memref<9xi32>, %y: memref<?x64xf32>) {
  // expected-error @+1 {{'x' rows must be of static length, got 'memref<?x?xf32>'}}
  moek.gather ins(%x, %t, %o : memref<?x?xf32>, memref<?xi32>, memref<9xi32>) outs(%y : memref<?x64xf32>)
  return
}

// -----

func.func @route_nothing(%i: memref<?x2xi32>, %w: memref<?x2xf32>, %o: memref<9xi32>) {
  // expected-error @+1 {{needs 'logits', 'rows' or 'columns' to score}}
  moek.route #moe.top_k<2> experts(8) outs(%o : memref<9xi32>) scores {
    moek.yield
  } weigh {
    moek.yield
  }
  return
}

// -----

func.func @route_scores(%z: memref<?x8xf32>, %o: memref<9xi32>) {
  // expected-error @+1 {{the scores region must take 1 arguments of 'vector<8xf32>'}}
  moek.route #moe.top_k<2> experts(8) rows(%z : memref<?x8xf32>) outs(%o : memref<9xi32>) scores {
    moek.yield
  } weigh {
    moek.yield
  }
  return
}

// -----

func.func @route_policy(%z: memref<?x8xf32>, %o: memref<9xi32>) {
  // expected-error @+1 {{9}}
  moek.route #moe.top_k<9> experts(8) rows(%z : memref<?x8xf32>) outs(%o : memref<9xi32>) scores {
  ^bb0(%a: vector<8xf32>):
    moek.yield %a, %a : vector<8xf32>, vector<8xf32>
  } weigh {
    moek.yield
  }
  return
}

// -----

func.func @tokens(%x: memref<?x64xf32>, %o: memref<9xi32>, %y: memref<?x64xf32>) {
  // expected-error @+1 {{'tokens' and 'gathered' need each other}}
  moek.row_map groups(%o : memref<9xi32>) gathered(%x : memref<?x64xf32>) outs(%y : memref<?x64xf32>) body {
    ^bb0(%v: vector<64xf32>):
      moek.yield %v : vector<64xf32>
    }
  return
}

// -----

func.func @parameters(%x: memref<?x64xf32>, %o: memref<9xi32>, %y: memref<?x64xf32>, %p: memref<7x64xf32>) {
  // expected-error @+1 {{'parameters' must have one row for each of 8 experts, got 'memref<7x64xf32>'}}
  moek.row_map groups(%o : memref<9xi32>) parameters(%p : memref<7x64xf32>) outs(%y : memref<?x64xf32>) body {
    ^bb0(%v: vector<64xf32>):
      moek.yield %v : vector<64xf32>
    }
  return
}

// -----

func.func @short_row(%x: memref<?x64xf32>, %o: memref<9xi32>, %y: memref<?x64xf32>, %p: memref<?x48xf32>) {
  // expected-error @+1 {{'rows' rows must be static and at least 64 long, got 'memref<?x48xf32>'}}
  moek.row_map groups(%o : memref<9xi32>) rows(%x, %p : memref<?x64xf32>, memref<?x48xf32>) outs(%y : memref<?x64xf32>) body {
    ^bb0(%v: vector<64xf32>, %w: vector<64xf32>):
      moek.yield %v : vector<64xf32>
    }
  return
}

// -----

func.func @rank(%x: memref<?x64xf32>, %o: memref<9xi32>, %y: memref<?x64xf32>, %z: memref<?x4x64xf32>) {
  // expected-error @+1 {{'rows' must be of rank 1 or 2 and hold numbers}}
  moek.row_map groups(%o : memref<9xi32>) rows(%z : memref<?x4x64xf32>) outs(%y : memref<?x64xf32>) body {
    ^bb0(%v: vector<64xf32>):
      moek.yield %v : vector<64xf32>
    }
  return
}

// -----

func.func @row_arguments(%x: memref<?x64xf32>, %o: memref<9xi32>, %y: memref<?x64xf32>) {
  // expected-error @+1 {{the body must take one row of each of 'gathered', 'rows' and 'parameters': 'vector<64xf32>'; it takes 'f32'}}
  moek.row_map groups(%o : memref<9xi32>) rows(%x : memref<?x64xf32>) outs(%y : memref<?x64xf32>) body {
    ^bb0(%v: f32):
      %w = vector.broadcast %v : f32 to vector<64xf32>
      moek.yield %w : vector<64xf32>
    }
  return
}

// -----

func.func @row_body(%x: memref<?x64xf32>, %o: memref<9xi32>, %y: memref<?x64xf32>) {
  // expected-error @+1 {{has a body that cannot be vectorized: its body has a vector.extract, which is not elementwise, a reduction of a row, or a broadcast to one}}
  moek.row_map groups(%o : memref<9xi32>) rows(%x : memref<?x64xf32>) outs(%y : memref<?x64xf32>) body {
    ^bb0(%v: vector<64xf32>):
      %e = vector.extract %v[0] : f32 from vector<64xf32>
      %w = vector.broadcast %e : f32 to vector<64xf32>
      moek.yield %w : vector<64xf32>
    }
  return
}

// -----

func.func @row_yield(%x: memref<?x64xf32>, %o: memref<9xi32>, %y: memref<?x64xf32>) {
  // expected-error @+1 {{the body yields 'f32' for an output of 'memref<?x64xf32>'}}
  moek.row_map groups(%o : memref<9xi32>) rows(%x : memref<?x64xf32>) outs(%y : memref<?x64xf32>) body {
    ^bb0(%v: vector<64xf32>):
      %e = vector.reduction <add>, %v : vector<64xf32> into f32
      moek.yield %e : f32
    }
  return
}

// -----

func.func @row_outputs(%x: memref<?x64xf32>, %o: memref<9xi32>, %y: memref<?x64xf32>) {
  // expected-error @+1 {{expects one tensor or memref in 'outs' for each value that the body yields (2), got 1}}
  moek.row_map groups(%o : memref<9xi32>) rows(%x : memref<?x64xf32>) outs(%y : memref<?x64xf32>) body {
    ^bb0(%v: vector<64xf32>):
      moek.yield %v, %v : vector<64xf32>, vector<64xf32>
    }
  return
}

// -----

func.func @route_per_expert(%z: memref<?x8xf32>, %s: memref<9xf32>, %o: memref<9xi32>) {
  // expected-error @+1 {{per_expert}}
  moek.route #moe.top_k<2> experts(8) rows(%z : memref<?x8xf32>) per_expert(%s : memref<9xf32>) outs(%o : memref<9xi32>) scores {
  ^bb0(%a: vector<8xf32>):
    moek.yield %a, %a : vector<8xf32>, vector<8xf32>
  } weigh {
  ^bb0(%v: vector<2xf32>, %f: vector<2xf32>):
    moek.yield %v : vector<2xf32>
  }
  return
}

// -----

func.func @route_weigh_arguments(%z: memref<?x8xf32>, %s: memref<8xf32>, %o: memref<9xi32>) {
  // expected-error @+1 {{the weigh region must take and yield 'vector<2xf32>', and take one more of it per 'per_expert'}}
  moek.route #moe.top_k<2> experts(8) rows(%z : memref<?x8xf32>) per_expert(%s : memref<8xf32>) outs(%o : memref<9xi32>) scores {
  ^bb0(%a: vector<8xf32>):
    moek.yield %a, %a : vector<8xf32>, vector<8xf32>
  } weigh {
  ^bb0(%v: vector<2xf32>):
    moek.yield %v : vector<2xf32>
  }
  return
}

// -----

func.func @window_offsets(%i: index, %o: tensor<?xi32>, %t: tensor<?xi32>) {
  // expected-error @+1 {{'offsets' must be one more than the experts, static, got 'tensor<?xi32>'}}
  %0:3 = moek.window from(%i) ins(%o, %o, %t : tensor<?xi32>, tensor<?xi32>, tensor<?xi32>)
    outs(%o, %o, %t : tensor<?xi32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?xi32>, tensor<?xi32>, tensor<?xi32>
  return
}

// -----

func.func @window_outputs(%i: index, %o: tensor<9xi32>, %t: tensor<?xi32>, %w: tensor<?xf32>) {
  // expected-error @+1 {{expects an output for each of its 4 inputs, got 3}}
  %0:3 = moek.window from(%i) ins(%o, %o, %t : tensor<9xi32>, tensor<9xi32>, tensor<?xi32>)
    row_weights(%w : tensor<?xf32>)
    outs(%o, %o, %t : tensor<9xi32>, tensor<9xi32>, tensor<?xi32>) -> tensor<9xi32>, tensor<9xi32>, tensor<?xi32>
  return
}
