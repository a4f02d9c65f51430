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

// -----

// expected-error @+1 {{rows of e4m3 are for the kernel for many rows, which few = -1 leaves out}}
module attributes {acme.schedule = #moe_nvidia.schedule<few = -1, rows = e4m3>} {}

// -----

module attributes {moek.target = #moe_nvidia.target<"sm_90a", cpu = "sm_90a", wgmma = true>} {
  func.func @bf16(%x: tensor<?x128xbf16>, %o: tensor<9xi32>, %w: tensor<8x1x64x128xbf16>, %e: tensor<?x64xbf16>) -> tensor<?x64xbf16> {
    // expected-error @+1 {{has #moe_nvidia.schedule<few = 48, rows = e4m3>, whose kernels multiply rows of e4m3 with weights in #moe.fp8 whose scales are of whole rows or of a multiple of 128 columns}}
    %h = moek.grouped_matmul n(64) k(128) lhs(%x : tensor<?x128xbf16>)
        rhs(%w : tensor<8x1x64x128xbf16>) groups(%o, %o : tensor<9xi32>, tensor<9xi32>)
        schedule(#moe_nvidia.schedule<few = 48, rows = e4m3>) outs(%e : tensor<?x64xbf16>) epilogue {
    ^bb0(%c: f32):
      moek.yield %c : f32
    } -> tensor<?x64xbf16>
    return %h : tensor<?x64xbf16>
  }
}

// -----

module attributes {moek.target = #moe_nvidia.target<"sm_80", cpu = "sm_80", wgmma = false>} {
  func.func @older(%x: tensor<?x128xbf16>, %o: tensor<5xi32>, %w: tensor<4x3x1x4224xi8>, %e: tensor<?x72xbf16>) -> tensor<?x72xbf16> {
    // expected-error @+1 {{whose kernels multiply rows of e4m3 with wgmma alone, which sm_80 has not}}
    %h = moek.grouped_matmul n(72) k(128) lhs(%x : tensor<?x128xbf16>) rhs(%w : tensor<4x3x1x4224xi8>)
        groups(%o, %o : tensor<5xi32>, tensor<5xi32>) format(#moe.fp8) schedule(#moe_nvidia.schedule<few = 64, rows = e4m3>)
        outs(%e : tensor<?x72xbf16>) epilogue {
    ^bb0(%c: f32):
      moek.yield %c : f32
    } -> tensor<?x72xbf16>
    return %h : tensor<?x72xbf16>
  }
}
