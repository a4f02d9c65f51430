// RUN: moe-opt %s --split-input-file --verify-diagnostics

func.func @pack_shape(%w: tensor<8x48x64xbf16>) {
  // expected-error @+1 {{packed shape must be [8 x 2 x 32 x 32 x 2], got 'tensor<8x3x32x32x2xbf16>'}}
  %p = moek.pack %w layout <columns = 32, k_block = 2, interleave = 0>
    : tensor<8x48x64xbf16> -> tensor<8x3x32x32x2xbf16>
  return
}

// -----

func.func @pack_pairs(%w: tensor<8x48x64xf32>) {
  // expected-error @+1 {{with interleave needs pairs of weights (gate, up), got 1}}
  %p = moek.pack %w layout <columns = 32, k_block = 1, interleave = 16>
    : tensor<8x48x64xf32> -> tensor<8x3x64x32x1xf32>
  return
}

// -----

func.func @pack_mixed(%w: tensor<8x48x64xf32>, %v: tensor<8x32x64xf32>) {
  // expected-error @+1 {{weight 1 is 32 x 64, the first is 48 x 64}}
  %p = moek.pack %w, %v layout <columns = 32, k_block = 1, interleave = 16>
    : tensor<8x48x64xf32>, tensor<8x32x64xf32> -> tensor<8x3x64x32x1xf32>
  return
}

// -----

// expected-error @+1 {{columns must be a positive multiple of 16, got 24}}
#bad = #moek.panels<columns = 24, k_block = 1, interleave = 0>

// -----

// expected-error @+1 {{interleave must be 0 or half of the columns (16), got 8}}
#bad = #moek.panels<columns = 32, k_block = 1, interleave = 8>

// -----

// expected-error @+1 {{k_block must be 1, 2 or 4, got 3}}
#bad = #moek.panels<columns = 32, k_block = 3, interleave = 0>

// -----

func.func @rhs(%x: memref<?x64xf32>, %w: memref<8x3x32x32x2xbf16>, %o: memref<9xi32>, %y: memref<?x48xf32>) {
  // expected-error @+1 {{'rhs' must be [8 x 2 x 32 x 32 x 2] for n = 48, k = 64, parts = 1, got 'memref<8x3x32x32x2xbf16>'}}
  moek.grouped_matmul n(48) k(64) lhs(%x : memref<?x64xf32>) rhs(%w : memref<8x3x32x32x2xbf16>)
    groups(%o, %o : memref<9xi32>, memref<9xi32>) outs(%y : memref<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    }
  return
}

// -----

func.func @lhs(%x: memref<?x32xf32>, %w: memref<8x2x32x32x2xbf16>, %o: memref<9xi32>, %y: memref<?x48xf32>) {
  // expected-error @+1 {{'lhs' rows must be static and at least k = 64 long, got 'memref<?x32xf32>'}}
  moek.grouped_matmul n(48) k(64) lhs(%x : memref<?x32xf32>) rhs(%w : memref<8x2x32x32x2xbf16>)
    groups(%o, %o : memref<9xi32>, memref<9xi32>) outs(%y : memref<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    }
  return
}

// -----

func.func @offsets(%x: memref<?x64xf32>, %w: memref<8x2x32x32x2xbf16>, %o: memref<8xi32>, %a: memref<9xi32>, %y: memref<?x48xf32>) {
  // expected-error @+1 {{'offsets' dimension 0 must be 9, got 'memref<8xi32>'}}
  moek.grouped_matmul n(48) k(64) lhs(%x : memref<?x64xf32>) rhs(%w : memref<8x2x32x32x2xbf16>)
    groups(%o, %a : memref<8xi32>, memref<9xi32>) outs(%y : memref<?x48xf32>) epilogue {
    ^bb0(%b: f32):
      moek.yield %b : f32
    }
  return
}

// -----

func.func @epilogue_args(%x: memref<?x64xf32>, %w: memref<8x2x32x32x2xbf16>, %o: memref<9xi32>, %y: memref<?x48xf32>) {
  // expected-error @+1 {{the epilogue must take one f32 per part (1)}}
  moek.grouped_matmul n(48) k(64) lhs(%x : memref<?x64xf32>) rhs(%w : memref<8x2x32x32x2xbf16>)
    groups(%o, %o : memref<9xi32>, memref<9xi32>) outs(%y : memref<?x48xf32>) epilogue {
    ^bb0(%a: f32, %b: f32):
      moek.yield %a : f32
    }
  return
}

// -----

func.func @epilogue_body(%x: memref<?x64xf32>, %w: memref<8x2x32x32x2xbf16>, %o: memref<9xi32>, %y: memref<?x48xf32>, %i: index) {
  moek.grouped_matmul n(48) k(64) lhs(%x : memref<?x64xf32>) rhs(%w : memref<8x2x32x32x2xbf16>)
    groups(%o, %o : memref<9xi32>, memref<9xi32>) outs(%y : memref<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      // expected-error @+1 {{cannot be vectorized in an epilogue: only elementwise arith and math operations can}}
      %v = memref.load %y[%i, %i] : memref<?x48xf32>
      moek.yield %v : f32
    }
  return
}

// -----

func.func @init(%x: memref<?x64xf32>, %w: memref<8x2x32x32x2xbf16>, %o: memref<9xi32>, %y: memref<?x48xf32>) {
  // expected-error @+1 {{'init' and 'slot_weights' need 'combine'}}
  moek.grouped_matmul n(48) k(64) lhs(%x : memref<?x64xf32>) rhs(%w : memref<8x2x32x32x2xbf16>)
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

func.func @route_router(%x: tensor<?x64xf32>, %w: tensor<1x1x128x32x1xf32>, %o: tensor<9xi32>) {
  // expected-error @+1 {{'router' must be [1, 1, 64, 32, 1] packed f32 panels, got 'tensor<1x1x128x32x1xf32>'}}
  %0 = moek.route #moe.top_k<2> experts(8) logits(%x, %w : tensor<?x64xf32>, tensor<1x1x128x32x1xf32>)
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
