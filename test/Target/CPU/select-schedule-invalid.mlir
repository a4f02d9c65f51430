// RUN: moe-opt %s --moe-set-target=chip=x86-64-v4 --moek-select-schedule --verify-diagnostics --split-input-file

func.func @dot(%x: tensor<?x64xf32>, %m: tensor<8x48x64xbf16>, %o: tensor<9xi32>, %y: tensor<?x48xf32>) -> tensor<?x48xf32> {
  %w = moek.pack %m : tensor<8x48x64xbf16> -> tensor<8x1x48x64xbf16>
  // expected-error @+1 {{multiplies with dot_bf16, which the target}}
  %0 = moek.grouped_matmul n(48) k(64) lhs(%x : tensor<?x64xf32>) rhs(%w : tensor<8x1x48x64xbf16>)
    groups(%o, %o : tensor<9xi32>, tensor<9xi32>)
    schedule(#moe_cpu.schedule<dot_bf16, lanes = 16, rows = 14, block_rows = 256, chunk = 131072, run = 2097152, prefetch = [<rows = 4, ahead = [131072], levels = [2]>, <rows = 16, ahead = [8192], levels = [2]>]>)
    outs(%y : tensor<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    } -> tensor<?x48xf32>
  return %0 : tensor<?x48xf32>
}

// -----

func.func @mmla(%x: tensor<?x64xf32>, %m: tensor<8x48x64xbf16>, %o: tensor<9xi32>, %y: tensor<?x48xf32>) -> tensor<?x48xf32> {
  %w = moek.pack %m : tensor<8x48x64xbf16> -> tensor<8x1x48x64xbf16>
  // expected-error @+1 {{multiplies with mmla_bf16, which the target}}
  %0 = moek.grouped_matmul n(48) k(64) lhs(%x : tensor<?x64xf32>) rhs(%w : tensor<8x1x48x64xbf16>)
    groups(%o, %o : tensor<9xi32>, tensor<9xi32>)
    schedule(#moe_cpu.schedule<mmla_bf16, lanes = 4, rows = 6, block_rows = 256, chunk = 131072, run = 2097152, prefetch = [<rows = 4, ahead = [131072], levels = [2]>, <rows = 16, ahead = [8192], levels = [2]>]>)
    outs(%y : tensor<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    } -> tensor<?x48xf32>
  return %0 : tensor<?x48xf32>
}

// -----

func.func @scalable(%x: tensor<?x64xf32>, %m: tensor<8x48x64xf32>, %o: tensor<9xi32>, %y: tensor<?x48xf32>) -> tensor<?x48xf32> {
  %w = moek.pack %m : tensor<8x48x64xf32> -> tensor<8x1x48x64xf32>
  // expected-error @+1 {{has a scalable schedule, but the target}}
  %0 = moek.grouped_matmul n(48) k(64) lhs(%x : tensor<?x64xf32>) rhs(%w : tensor<8x1x48x64xf32>)
    groups(%o, %o : tensor<9xi32>, tensor<9xi32>)
    schedule(#moe_cpu.schedule<fma, lanes = 4, rows = 6, block_rows = 256, chunk = 131072, run = 2097152, prefetch = [<rows = 4, ahead = [131072], levels = [2]>, <rows = 16, ahead = [8192], levels = [2]>], scalable = true>)
    outs(%y : tensor<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    } -> tensor<?x48xf32>
  return %0 : tensor<?x48xf32>
}

// -----

// Nothing but mmla_bf16 reads panels of four k, whatever the target has.
func.func @panels(%x: tensor<?x64xf32>, %w: tensor<8x2x16x32x4xbf16>, %o: tensor<9xi32>, %y: tensor<?x48xf32>) -> tensor<?x48xf32> {
  // expected-error-re @+1 {{multiplies with mmla_bf16, which the target {{.*}} does not have; its panels of k_block = 4 are for that alone, pack them with k_block = 2}}
  %0 = moek.grouped_matmul n(48) k(64) lhs(%x : tensor<?x64xf32>) rhs(%w : tensor<8x2x16x32x4xbf16>)
    groups(%o, %o : tensor<9xi32>, tensor<9xi32>)
    schedule(#moe_cpu.schedule<mmla_bf16, lanes = 4, rows = 6, block_rows = 256, chunk = 131072, run = 2097152, prefetch = [<rows = 4, ahead = [131072], levels = [2]>, <rows = 16, ahead = [8192], levels = [2]>]>)
    outs(%y : tensor<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    } -> tensor<?x48xf32>
  return %0 : tensor<?x48xf32>
}

// -----

// Weights that somebody else reads as well stay as they are.
func.func @others(%x: tensor<?x64xf32>, %m: tensor<8x48x64xf32>, %o: tensor<9xi32>, %y: tensor<?x48xf32>) -> (tensor<?x48xf32>, tensor<8x1x48x64xf32>) {
  %w = moek.pack %m : tensor<8x48x64xf32> -> tensor<8x1x48x64xf32>
  // expected-error @+1 {{'rhs' has no layout; a moek.pack that nothing but kernels read would get one}}
  %0 = moek.grouped_matmul n(48) k(64) lhs(%x : tensor<?x64xf32>) rhs(%w : tensor<8x1x48x64xf32>)
    groups(%o, %o : tensor<9xi32>, tensor<9xi32>)
    outs(%y : tensor<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    } -> tensor<?x48xf32>
  return %0, %w : tensor<?x48xf32>, tensor<8x1x48x64xf32>
}
