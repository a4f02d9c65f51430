// RUN: moe-opt %s --split-input-file --verify-diagnostics

// expected-error @+1 {{mmla_bf16 needs 4 lanes and is not scalable}}
#bad = #moe_cpu.schedule<mmla_bf16, lanes = 4, rows = 6, block_rows = 256, chunk = 131072, run = 2097152, prefetch = [<rows = 4, ahead = [131072], levels = [2]>, <rows = 16, ahead = [8192], levels = [2]>], scalable = true>

// -----

// expected-error @+1 {{a prefetch level must be from 1 to 3, got 4}}
#bad = #moe_cpu.schedule<fma, lanes = 8, rows = 6, block_rows = 256, chunk = 131072, run = 2097152, prefetch = [<rows = 4, ahead = [131072], levels = [2]>, <rows = 16, ahead = [8192], levels = [2]>], prefetch_level = 4>

// -----

// expected-error @+1 {{scalable needs 4 lanes, got 8}}
#bad = #moe_cpu.schedule<fma, lanes = 8, rows = 6, block_rows = 256, chunk = 131072, run = 2097152, prefetch = [<rows = 4, ahead = [131072], levels = [2]>, <rows = 16, ahead = [8192], levels = [2]>], scalable = true>

// -----

// expected-error @+1 {{a tile of 7 rows does not fit the registers; rows must be from 1 to 6}}
#bad = #moe_cpu.schedule<mmla_bf16, lanes = 4, rows = 7, block_rows = 256, chunk = 131072, run = 2097152, prefetch = [<rows = 4, ahead = [131072], levels = [2]>, <rows = 16, ahead = [8192], levels = [2]>]>

// -----

// expected-error @+1 {{a tile of 15 rows does not fit the registers; rows must be from 1 to 14}}
#bad = #moe_cpu.schedule<fma, lanes = 16, rows = 15, block_rows = 256, chunk = 131072, run = 1024, prefetch = [<rows = 4>, <rows = 16, ahead = [8192], levels = [2]>]>

// -----

// expected-error @+1 {{dot_bf16 needs 16 lanes, got 8}}
#bad = #moe_cpu.schedule<dot_bf16, lanes = 8, rows = 4, block_rows = 256, chunk = 131072, run = 1024, prefetch = [<rows = 4>, <rows = 16, ahead = [8192], levels = [2]>]>

// -----

// expected-error @+1 {{chunk must be a positive multiple of 1024 bytes (8 steps of k), got 1000}}
#bad = #moe_cpu.schedule<fma, lanes = 16, rows = 14, block_rows = 256, chunk = 1000, run = 1024, prefetch = [<rows = 4>, <rows = 16, ahead = [8192], levels = [2]>]>

// -----

// expected-error @+1 {{block_rows (8) must be at least rows (14)}}
#bad = #moe_cpu.schedule<fma, lanes = 16, rows = 14, block_rows = 8, chunk = 1024, run = 1024, prefetch = [<rows = 4>, <rows = 16, ahead = [8192], levels = [2]>]>

// -----

// expected-error @+1 {{lanes must be 4, 8 or 16 f32, got 5}}
#bad = #moe_cpu.target<"x", arch = x86_64, cpu = "y", features = "", needs = [], instructions = [], lanes = 5, registers = 32, l1 = 32768, l2 = 1048576>

// -----

func.func @fours(%x: memref<?x64xf32>, %w: memref<8x2x16x32x4xbf16>, %o: memref<9xi32>, %t: memref<?xi32>, %y: memref<?x48xf32>) {
  // expected-error @+1 {{does not fit panels with k_block = 4; use mmla_bf16}}
  moek.grouped_matmul n(48) k(64) lhs(%x : memref<?x64xf32>) rhs(%w : memref<8x2x16x32x4xbf16>)
    groups(%o, %o : memref<9xi32>, memref<9xi32>) gather(%t : memref<?xi32>)
    schedule(#moe_cpu.schedule<widen, lanes = 4, rows = 6, block_rows = 256, chunk = 131072, run = 2097152, prefetch = [<rows = 4, ahead = [131072], levels = [2]>, <rows = 16, ahead = [8192], levels = [2]>]>)
    outs(%y : memref<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    }
  return
}

// -----

func.func @schedule(%x: memref<?x64xf32>, %w: memref<8x2x32x32x2xbf16>, %o: memref<9xi32>, %y: memref<?x48xf32>) {
  // expected-error @+1 {{fma is for f32, widen, dot_bf16 and mmla_bf16 for bf16}}
  moek.grouped_matmul n(48) k(64) lhs(%x : memref<?x64xf32>) rhs(%w : memref<8x2x32x32x2xbf16>)
    groups(%o, %o : memref<9xi32>, memref<9xi32>)
    schedule(#moe_cpu.schedule<fma, lanes = 16, rows = 14, block_rows = 256, chunk = 131072, run = 2097152, prefetch = [<rows = 4>, <rows = 16, ahead = [8192], levels = [2]>]>)
    outs(%y : memref<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    }
  return
}

// -----

// expected-error @+1 {{block_rows must be at most 1024, got 2048}}
#bad = #moe_cpu.schedule<fma, lanes = 16, rows = 14, block_rows = 2048, chunk = 1024, run = 1024, prefetch = [<rows = 4>, <rows = 16, ahead = [8192], levels = [2]>]>

// -----

// expected-error @+1 {{dot_bf16 needs x86_64 and 16 lanes, got x86_64 and 8}}
#bad = #moe_cpu.target<"x", arch = x86_64, cpu = "y", features = "", needs = [], instructions = ["dot_bf16"], lanes = 8, registers = 16, l1 = 32768, l2 = 1048576>

// -----

// expected-error @+1 {{aarch64 has 4 lanes, got 8}}
#bad = #moe_cpu.target<"x", arch = aarch64, cpu = "y", features = "", needs = [], instructions = [], lanes = 8, registers = 32, l1 = 32768, l2 = 1048576>

// -----

// expected-error @+1 {{scalable needs aarch64, got x86_64}}
#bad = #moe_cpu.target<"x", arch = x86_64, cpu = "y", features = "", needs = [], instructions = [], lanes = 8, registers = 32, l1 = 32768, l2 = 1048576, scalable = true>

// -----

// expected-error @+1 {{unknown instruction "amx"; known are dot_bf16, dot_int8, madd_int8, mmla_int8, compress, compress_bytes, mmla_bf16}}
#bad = #moe_cpu.target<"x", arch = x86_64, cpu = "y", features = "", needs = [], instructions = ["amx"], lanes = 16, registers = 32, l1 = 32768, l2 = 1048576>

// -----

// expected-error @+1 {{compress needs 16 lanes, got 8}}
#bad = #moe_cpu.route_schedule<lanes = 8, pack_by = compress>

// -----

// expected-error @+1 {{single must be from 0 to the 8 lanes, got 9}}
#bad = #moe_cpu.route_schedule<lanes = 8, single = 9>

// -----

func.func @no_row_form(%i: memref<?x2xi32>, %w: memref<?x2xf32>, %o: memref<9xi32>,
                       %t: memref<?xi32>, %p: memref<?x2xi32>, %r: memref<?xf32>, %s: memref<?x8xf32>) {
  // expected-error @+1 {{selects up to 3 tokens one after another by schedule #moe_cpu.route_schedule<lanes = 16, single = 3>, for which #moe.sparse_mixer<eps = 0.01> has no form}}
  moek.route #moe.sparse_mixer<eps = 0.01> experts(8) rows(%s : memref<?x8xf32>)
    schedule(#moe_cpu.route_schedule<lanes = 16, single = 3>)
    outs(%i, %w, %o, %o, %t, %p, %r : memref<?x2xi32>, memref<?x2xf32>, memref<9xi32>, memref<9xi32>, memref<?xi32>, memref<?x2xi32>, memref<?xf32>) scores {
    ^bb0(%a: vector<8xf32>):
      moek.yield %a : vector<8xf32>
    } weigh {
    ^bb0(%a: vector<2xf32>):
      moek.yield %a : vector<2xf32>
    }
  return
}

// -----

func.func @other_kernel(%i: memref<?x2xi32>, %w: memref<?x2xf32>, %o: memref<9xi32>,
                        %t: memref<?xi32>, %p: memref<?x2xi32>, %r: memref<?xf32>, %s: memref<?x8xf32>) {
  // expected-error @+1 {{which is for moek.grouped_matmul}}
  moek.route #moe.top_k<2> experts(8) rows(%s : memref<?x8xf32>)
    schedule(#moe_cpu.schedule<fma, lanes = 16, rows = 14, block_rows = 256, chunk = 131072, run = 2097152, prefetch = [<rows = 4>, <rows = 16, ahead = [8192], levels = [2]>]>)
    outs(%i, %w, %o, %o, %t, %p, %r : memref<?x2xi32>, memref<?x2xf32>, memref<9xi32>, memref<9xi32>, memref<?xi32>, memref<?x2xi32>, memref<?xf32>) scores {
    ^bb0(%a: vector<8xf32>):
      moek.yield %a, %a : vector<8xf32>, vector<8xf32>
    } weigh {
    ^bb0(%a: vector<2xf32>):
      moek.yield %a : vector<2xf32>
    }
  return
}

// -----

// expected-error @+1 {{k_block must be 1, 2 or 4, got 3}}
#bad = #moe_cpu.panels<k_block = 3>

// -----

func.func @layout(%w: tensor<8x48x64xf32>) {
  // expected-error @+1 {{panels with k_block = 2 do not fit weights of 'f32'; 1 is for f32, 2 and 4 for bf16}}
  %p = moek.pack %w layout(#moe_cpu.panels<k_block = 2>) : tensor<8x48x64xf32> -> tensor<8x2x32x32x2xf32>
  return
}

// -----

func.func @rhs(%x: memref<?x64xf32>, %w: memref<8x3x32x32x2xbf16>, %o: memref<9xi32>, %y: memref<?x48xf32>) {
  // expected-error @+1 {{'rhs' must be 'tensor<8x2x32x32x2xbf16>', panels of 'tensor<8x1x48x64xbf16>', got 'memref<8x3x32x32x2xbf16>'}}
  moek.grouped_matmul n(48) k(64) lhs(%x : memref<?x64xf32>) rhs(%w : memref<8x3x32x32x2xbf16>)
    groups(%o, %o : memref<9xi32>, memref<9xi32>)
    schedule(#moe_cpu.schedule<widen, lanes = 16, rows = 12, block_rows = 256, chunk = 131072, run = 2097152, prefetch = [<rows = 4>, <rows = 16, ahead = [8192], levels = [2]>]>)
    outs(%y : memref<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    }
  return
}

// -----

#fma = #moe_cpu.schedule<fma, lanes = 16, rows = 14, block_rows = 256, chunk = 131072, run = 2097152, prefetch = [<rows = 4>, <rows = 16, ahead = [8192], levels = [2]>]>
func.func @router(%x: memref<?x64xf32>, %wr: memref<1x1x128x32x1xf32>, %i: memref<?x2xi32>, %w: memref<?x2xf32>, %o: memref<9xi32>,
                  %t: memref<?xi32>, %p: memref<?x2xi32>, %r: memref<?xf32>) {
  // expected-error @+1 {{'router' must be 'tensor<1x1x64x32x1xf32>', panels of 'tensor<1x1x8x64xf32>', got 'memref<1x1x128x32x1xf32>'}}
  moek.route #moe.top_k<2> experts(8) logits(%x, %wr : memref<?x64xf32>, memref<1x1x128x32x1xf32>)
    schedule(#moe_cpu.route_schedule<lanes = 16, logits = #fma>)
    outs(%i, %w, %o, %o, %t, %p, %r : memref<?x2xi32>, memref<?x2xf32>, memref<9xi32>, memref<9xi32>, memref<?xi32>, memref<?x2xi32>, memref<?xf32>) scores {
    ^bb0(%a: vector<8xf32>):
      moek.yield %a, %a : vector<8xf32>, vector<8xf32>
    } weigh {
    ^bb0(%a: vector<2xf32>):
      moek.yield %a : vector<2xf32>
    }
  return
}

// -----

// expected-error @+1 {{prefetch rules must be of ascending rows, got 6 before 6}}
#bad = #moe_cpu.schedule<fma, lanes = 8, rows = 6, block_rows = 256, chunk = 131072, run = 2097152, prefetch = [<rows = 6>, <rows = 6, ahead = [64], levels = [1]>]>

// -----

// expected-error @+1 {{a prefetch rule needs a level for each distance, got 2 distances and 1 levels}}
#bad = #moe_cpu.prefetch<rows = 6, ahead = [64, 128], levels = [1]>

// -----

// expected-error @+1 {{a prefetch distance must be a positive multiple of 64 bytes, got 100}}
#bad = #moe_cpu.prefetch<rows = 6, ahead = [100], levels = [1]>

// -----

// expected-error @+1 {{a prefetch level must be from 1 to 3, got 4}}
#bad = #moe_cpu.prefetch<rows = 6, ahead = [64], levels = [4]>

// -----

// expected-error @+1 {{a prefetch rule is for at least one row, got 0}}
#bad = #moe_cpu.prefetch<rows = 0>

// -----

// expected-error @+1 {{"amd 25" is no model of CPUs; write vendor, family and models, such as "amd 25 16-31"}}
#bad = #moe_cpu.target<"x", arch = x86_64, cpu = "y", features = "", needs = [], instructions = [], lanes = 8, registers = 32, l1 = 32768, l2 = 1048576, models = ["amd 25"]>

// -----

// expected-error @+1 {{unknown rate "speed"; known are clock, fma,}}
#bad = #moe_cpu.target<"x", arch = x86_64, cpu = "y", features = "", needs = [], instructions = [], lanes = 8, registers = 32, l1 = 32768, l2 = 1048576, rates = {speed = 1}>

// -----

// expected-error @+1 {{rate "fma" must be a positive integer, got 0}}
#bad = #moe_cpu.target<"x", arch = x86_64, cpu = "y", features = "", needs = [], instructions = [], lanes = 8, registers = 32, l1 = 32768, l2 = 1048576, rates = {fma = 0}>

// -----

// expected-error @+1 {{fma is there twice}}
#bad = #moe_cpu.target<"x", arch = x86_64, cpu = "y", features = "", needs = [], instructions = [], lanes = 8, registers = 32, l1 = 32768, l2 = 1048576, rates = {fma = 1, fma = 2}>

// -----

// expected-error @+1 {{only widen, decode and decode_bf16 have widened values}}
#bad = #moe_cpu.schedule<fma, lanes = 8, rows = 6, block_rows = 256, chunk = 131072, run = 2097152, widened = 2048>

// -----

// expected-error @+1 {{widened must be a multiple of 2048 bytes (8 steps of k) of at most 131072, got 1024}}
#bad = #moe_cpu.schedule<widen, lanes = 8, rows = 5, block_rows = 256, chunk = 131072, run = 2097152, widened = 1024>

// -----

// expected-error @+1 {{decode_bf16 needs 4 or 16 lanes and is not scalable}}
#bad = #moe_cpu.schedule<decode_bf16, lanes = 8, rows = 4, block_rows = 256, chunk = 131072, run = 2097152>

// -----

// expected-error @+1 {{a tile of 9 rows does not fit the registers; rows must be from 1 to 8 for this inner kernel and width}}
#bad = #moe_cpu.schedule<decode_bf16, lanes = 16, rows = 9, block_rows = 256, chunk = 131072, run = 2097152>
