// What the kernels cannot take is said, whoever chose the schedule.
// RUN: moe-opt %s --moe-amd-select-schedule --split-input-file --verify-diagnostics

// expected-error @+1 {{has none of AMD's GPUs as its target; set the module attribute 'moek.target' or name one in moe-set-target}}
module {}

// -----

module {
  func.func @few(%x: tensor<?x64xbf16>, %o: tensor<9xi32>, %w: tensor<8x1x64x64xbf16>, %e: tensor<?x64xbf16>) -> tensor<?x64xbf16> {
    %h = moek.grouped_matmul n(64) k(64) lhs(%x : tensor<?x64xbf16>)
        rhs(%w : tensor<8x1x64x64xbf16>) groups(%o, %o : tensor<9xi32>, tensor<9xi32>)
        // expected-error @+1 {{few must be a number of rows or -1, got -2}}
        schedule(#moe_amd.schedule<units = matrix, few = -2>) outs(%e : tensor<?x64xbf16>) epilogue {
    ^bb0(%c: f32):
      moek.yield %c : f32
    } -> tensor<?x64xbf16>
    return %h : tensor<?x64xbf16>
  }
}

// -----

module attributes {moek.target = #moe_amd.target<"gfx942", cpu = "gfx942", depth = 8>} {
  func.func @types(%x: tensor<?x64xf32>, %o: tensor<9xi32>, %w: tensor<8x1x64x64xf32>, %e: tensor<?x64xf32>) -> tensor<?x64xf32> {
    // expected-error @+1 {{has #moe_amd.schedule<units = matrix, few = 0>, whose kernels multiply rows and weights of bf16}}
    %h = moek.grouped_matmul n(64) k(64) lhs(%x : tensor<?x64xf32>)
        rhs(%w : tensor<8x1x64x64xf32>) groups(%o, %o : tensor<9xi32>, tensor<9xi32>)
        schedule(#moe_amd.schedule<units = matrix, few = 0>) outs(%e : tensor<?x64xf32>) epilogue {
    ^bb0(%c: f32):
      moek.yield %c : f32
    } -> tensor<?x64xf32>
    return %h : tensor<?x64xf32>
  }
}

// -----

module attributes {moek.target = #moe_amd.target<"gfx942", cpu = "gfx942", depth = 8>} {
  func.func @depth(%x: tensor<?x60xbf16>, %o: tensor<9xi32>, %w: tensor<8x1x64x60xbf16>, %e: tensor<?x64xbf16>) -> tensor<?x64xbf16> {
    // expected-error @+1 {{has #moe_amd.schedule<units = matrix, few = 0>, whose kernels want k to be a multiple of 8, got 60}}
    %h = moek.grouped_matmul n(64) k(60) lhs(%x : tensor<?x60xbf16>)
        rhs(%w : tensor<8x1x64x60xbf16>) groups(%o, %o : tensor<9xi32>, tensor<9xi32>)
        schedule(#moe_amd.schedule<units = matrix, few = 0>) outs(%e : tensor<?x64xbf16>) epilogue {
    ^bb0(%c: f32):
      moek.yield %c : f32
    } -> tensor<?x64xbf16>
    return %h : tensor<?x64xbf16>
  }
}

// -----

// expected-error @+1 {{depth must be 8 or 16, got 4}}
module attributes {moek.target = #moe_amd.target<"gfx942", cpu = "gfx942", depth = 4>} {}
