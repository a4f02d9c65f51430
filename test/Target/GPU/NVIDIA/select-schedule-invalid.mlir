// What the kernels cannot take is said, whoever chose the schedule.
// RUN: moe-opt %s --moe-nvidia-select-schedule --split-input-file --verify-diagnostics

module attributes {moek.target = #moe_nvidia.target<"sm_90a", cpu = "sm_90a", wgmma = true>} {
  func.func @depth(%x: tensor<?x96xbf16>, %o: tensor<9xi32>, %w: tensor<8x1x64x96xbf16>, %e: tensor<?x64xbf16>) -> tensor<?x64xbf16> {
    // expected-error @+1 {{has #moe_nvidia.schedule<few = 48>, whose kernels want k to be a multiple of 64 and n of 8, got k = 96, n = 64}}
    %h = moek.grouped_matmul n(64) k(96) lhs(%x : tensor<?x96xbf16>)
        rhs(%w : tensor<8x1x64x96xbf16>) groups(%o, %o : tensor<9xi32>, tensor<9xi32>)
        outs(%e : tensor<?x64xbf16>) epilogue {
    ^bb0(%c: f32):
      moek.yield %c : f32
    } -> tensor<?x64xbf16>
    return %h : tensor<?x64xbf16>
  }
}

// -----

// expected-error @+1 {{has none of NVIDIA's GPUs as its target; set the module attribute 'moek.target' or name one in moe-set-target}}
module {}

// -----

module {
  func.func @few(%x: tensor<?x64xbf16>, %o: tensor<9xi32>, %w: tensor<8x1x64x64xbf16>, %e: tensor<?x64xbf16>) -> tensor<?x64xbf16> {
    %h = moek.grouped_matmul n(64) k(64) lhs(%x : tensor<?x64xbf16>)
        rhs(%w : tensor<8x1x64x64xbf16>) groups(%o, %o : tensor<9xi32>, tensor<9xi32>)
        // expected-error @+1 {{few must be a number of rows or -1, got -2}}
        schedule(#moe_nvidia.schedule<few = -2>) outs(%e : tensor<?x64xbf16>) epilogue {
    ^bb0(%c: f32):
      moek.yield %c : f32
    } -> tensor<?x64xbf16>
    return %h : tensor<?x64xbf16>
  }
}

// -----

// expected-error @+1 {{decode must be a number of rows, got -1}}
module attributes {acme.schedule = #moe_nvidia.schedule<few = 8, decode = -1>} {}
