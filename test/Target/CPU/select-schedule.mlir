// Each target gives its own tile; the decision is an attribute and can be
// overridden by one that is already there.
//
// RUN: moe-opt %s --moe-set-target=chip=x86-64-v3 --moek-select-schedule | FileCheck %s --check-prefixes=CHECK,V3
// RUN: moe-opt %s --moe-set-target=chip=x86-64-v4 --moek-select-schedule | FileCheck %s --check-prefixes=CHECK,V4
// RUN: moe-opt %s --moe-set-target=chip=x86-64-v4-bf16 --moek-select-schedule | FileCheck %s --check-prefixes=CHECK,BF16
// RUN: not moe-opt %s --moe-set-target=chip=pentium --moek-select-schedule 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: not moe-opt %s --moek-select-schedule 2>&1 | FileCheck %s --check-prefix=NONE

// UNKNOWN: unknown target 'pentium'; known are {{.*}}x86-64-v3, x86-64-v4, x86-64-v4-bf16
// NONE: has no CPU as its target; set the module attribute 'moek.target' or name one in moe-set-target

// V3: moek.target = #moe_cpu.target<"x86-64-v3", arch = x86_64, cpu = "x86-64-v3", features = "", needs = ["x86_v3"], instructions = ["madd_int8"], lanes = 8, registers = 16
// V4: moek.target = #moe_cpu.target<"x86-64-v4", arch = x86_64, cpu = "x86-64-v4", features = "", needs = ["x86_v3", "x86_v4"], instructions = ["compress", "madd_int8"], lanes = 16, registers = 32
// BF16: moek.target = #moe_cpu.target<"x86-64-v4-bf16", arch = x86_64, cpu = "x86-64-v4", features = "+avx512bf16{{[^"]*}}", needs = ["x86_v3", "x86_v4", "x86_avx512_bf16"], instructions = ["dot_bf16", "dot_int8", "compress_bytes"], lanes = 16

// CHECK-LABEL: @f32
// CHECK: moek.pack %{{.*}} layout(#moe_cpu.panels<k_block = 1>) : tensor<8x48x64xf32> -> tensor<8x2x64x32x1xf32>
// V3: schedule(#moe_cpu.schedule<fma, lanes = 8, rows = 6,
// V4: schedule(#moe_cpu.schedule<fma, lanes = 16, rows = 14,
// BF16: schedule(#moe_cpu.schedule<fma, lanes = 16, rows = 14,
func.func @f32(%x: tensor<?x64xf32>, %m: tensor<8x48x64xf32>, %o: tensor<9xi32>, %y: tensor<?x48xf32>) -> tensor<?x48xf32> {
  %w = moek.pack %m : tensor<8x48x64xf32> -> tensor<8x1x48x64xf32>
  %0 = moek.grouped_matmul n(48) k(64) lhs(%x : tensor<?x64xf32>) rhs(%w : tensor<8x1x48x64xf32>)
    groups(%o, %o : tensor<9xi32>, tensor<9xi32>) outs(%y : tensor<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    } -> tensor<?x48xf32>
  return %0 : tensor<?x48xf32>
}

// Rows between two products take the length and the type the second reads.
// CHECK-LABEL: @pair
// CHECK: moek.pack %{{.*}} layout(#moe_cpu.panels<k_block = 2>) : tensor<8x48x64xbf16> -> tensor<8x2x32x32x2xbf16>
// CHECK: moek.pack %{{.*}} layout(#moe_cpu.panels<k_block = 2>) : tensor<8x64x48xbf16> -> tensor<8x2x24x32x2xbf16>
// V3: %[[E:.*]] = tensor.empty(%{{.*}}) : tensor<?x48xf32>
// V3: schedule(#moe_cpu.schedule<widen, lanes = 8, rows = 5,
// V3-SAME: outs(%[[E]] : tensor<?x48xf32>)
// V4: %[[E:.*]] = tensor.empty(%{{.*}}) : tensor<?x48xf32>
// V4: schedule(#moe_cpu.schedule<widen, lanes = 16, rows = 12,
// V4-SAME: outs(%[[E]] : tensor<?x48xf32>)
// BF16: %[[E:.*]] = tensor.empty(%{{.*}}) : tensor<?x96xbf16>
// BF16: schedule(#moe_cpu.schedule<dot_bf16, lanes = 16, rows = 14,
// BF16-SAME: outs(%[[E]] : tensor<?x96xbf16>)
// BF16: moek.grouped_matmul n(64) k(48) lhs(%{{.*}} : tensor<?x96xbf16>)
func.func @pair(%x: tensor<?x64xf32>, %m: tensor<8x48x64xbf16>, %md: tensor<8x64x48xbf16>, %o: tensor<9xi32>,
                %n: index, %y: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %w = moek.pack %m : tensor<8x48x64xbf16> -> tensor<8x1x48x64xbf16>
  %d = moek.pack %md : tensor<8x64x48xbf16> -> tensor<8x1x64x48xbf16>
  %e = tensor.empty(%n) : tensor<?x48xf32>
  %0 = moek.grouped_matmul n(48) k(64) lhs(%x : tensor<?x64xf32>) rhs(%w : tensor<8x1x48x64xbf16>)
    groups(%o, %o : tensor<9xi32>, tensor<9xi32>) outs(%e : tensor<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    } -> tensor<?x48xf32>
  %1 = moek.grouped_matmul n(64) k(48) lhs(%0 : tensor<?x48xf32>) rhs(%d : tensor<8x1x64x48xbf16>)
    groups(%o, %o : tensor<9xi32>, tensor<9xi32>) outs(%y : tensor<?x64xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    } -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}

// 16 columns of each of two parts are a panel; the router's weights are f32.
// CHECK-LABEL: @layer
// CHECK: moek.pack %{{.*}} layout(#moe_cpu.panels<k_block = 1>) : tensor<8x60xf32> -> tensor<1x1x64x32x1xf32>
// CHECK: moek.pack %{{.*}} parts(2) layout(#moe_cpu.panels<k_block = 2>) {{.*}} -> tensor<8x3x32x32x2xbf16>
// CHECK: moek.route {{.*}} logits(%{{.*}} : tensor<?x60xf32>, tensor<1x1x64x32x1xf32>)
// CHECK: moek.grouped_matmul {{.*}} rhs(%{{.*}} : tensor<8x3x32x32x2xbf16>)
func.func @layer(%x: tensor<?x60xf32>, %wr: tensor<8x60xf32>, %wg: tensor<8x40x60xbf16>, %wu: tensor<8x40x60xbf16>,
                 %i: tensor<?x2xi32>, %w: tensor<?x2xf32>, %o: tensor<9xi32>, %a: tensor<9xi32>, %t: tensor<?xi32>,
                 %p: tensor<?x2xi32>, %v: tensor<?xf32>, %y: tensor<?x40xf32>) -> tensor<?x40xf32> {
  %router = moek.pack %wr : tensor<8x60xf32> -> tensor<1x1x8x60xf32>
  %gate_up = moek.pack %wg, %wu parts(2) : tensor<8x40x60xbf16>, tensor<8x40x60xbf16> -> tensor<8x2x40x60xbf16>
  %r:7 = moek.route #moe.top_k<2> experts(8) logits(%x, %router : tensor<?x60xf32>, tensor<1x1x8x60xf32>)
    outs(%i, %w, %o, %a, %t, %p, %v : tensor<?x2xi32>, tensor<?x2xf32>, tensor<9xi32>, tensor<9xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?xf32>)
    scores {
    ^bb0(%z: vector<8xf32>):
      moek.yield %z, %z : vector<8xf32>, vector<8xf32>
    } weigh {
    ^bb0(%s: vector<2xf32>):
      moek.yield %s : vector<2xf32>
    } -> tensor<?x2xi32>, tensor<?x2xf32>, tensor<9xi32>, tensor<9xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?xf32>
  %h = moek.grouped_matmul n(40) k(60) parts(2) lhs(%x : tensor<?x60xf32>) rhs(%gate_up : tensor<8x2x40x60xbf16>)
    groups(%r#2, %r#3 : tensor<9xi32>, tensor<9xi32>) gather(%r#4 : tensor<?xi32>) outs(%y : tensor<?x40xf32>) epilogue {
    ^bb0(%g: f32, %u: f32):
      %m = arith.mulf %g, %u : f32
      moek.yield %m : f32
    } -> tensor<?x40xf32>
  return %h : tensor<?x40xf32>
}

// CHECK-LABEL: @overridden
// CHECK: moek.pack %{{.*}} layout(#moe_cpu.panels<k_block = 1>)
// CHECK: schedule(#moe_cpu.schedule<fma, lanes = 8, rows = 3,
func.func @overridden(%x: tensor<?x64xf32>, %m: tensor<8x48x64xf32>, %o: tensor<9xi32>, %y: tensor<?x48xf32>) -> tensor<?x48xf32> {
  %w = moek.pack %m : tensor<8x48x64xf32> -> tensor<8x1x48x64xf32>
  %0 = moek.grouped_matmul n(48) k(64) lhs(%x : tensor<?x64xf32>) rhs(%w : tensor<8x1x48x64xf32>)
    groups(%o, %o : tensor<9xi32>, tensor<9xi32>)
    schedule(#moe_cpu.schedule<fma, lanes = 8, rows = 3, block_rows = 32, chunk = 8192, run = 65536, prefetch = [<rows = 2>, <rows = 16, ahead = [4096], levels = [2]>]>)
    outs(%y : tensor<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    } -> tensor<?x48xf32>
  return %0 : tensor<?x48xf32>
}

// A function of rows writes them as the matmul behind it reads them; one of
// which something else reads single rows, too, may only get longer.
// CHECK-LABEL: @row_maps
// V4: moek.row_map {{.*}} outs(%{{.*}} : tensor<?x80xf32>)
// BF16: moek.row_map {{.*}} outs(%{{.*}} : tensor<?x96xbf16>)
// CHECK: moek.grouped_matmul
// V4: moek.row_map {{.*}} outs(%{{.*}} : tensor<?x80xf32>)
// BF16: moek.row_map {{.*}} outs(%{{.*}} : tensor<?x64xf32>)
// CHECK: moek.grouped_matmul
func.func @row_maps(%x: tensor<?x64xf32>, %m: tensor<8x48x64xbf16>, %o: tensor<9xi32>, %n: index) -> (tensor<?x48xf32>, tensor<?x48xf32>, tensor<?x64xf32>) {
  %w = moek.pack %m : tensor<8x48x64xbf16> -> tensor<8x1x48x64xbf16>
  %e = tensor.empty(%n) : tensor<?x64xf32>
  %y = tensor.empty(%n) : tensor<?x48xf32>
  %a = moek.row_map groups(%o : tensor<9xi32>) rows(%x : tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) body {
  ^bb0(%v: vector<64xf32>):
    %t = arith.negf %v : vector<64xf32>
    moek.yield %t : vector<64xf32>
  } -> tensor<?x64xf32>
  %0 = moek.grouped_matmul n(48) k(64) lhs(%a : tensor<?x64xf32>) rhs(%w : tensor<8x1x48x64xbf16>)
    groups(%o, %o : tensor<9xi32>, tensor<9xi32>) outs(%y : tensor<?x48xf32>) epilogue {
    ^bb0(%v: f32):
      moek.yield %v : f32
    } -> tensor<?x48xf32>
  %b = moek.row_map groups(%o : tensor<9xi32>) rows(%x : tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) body {
  ^bb0(%v: vector<64xf32>):
    %t = math.absf %v : vector<64xf32>
    moek.yield %t : vector<64xf32>
  } -> tensor<?x64xf32>
  %1 = moek.grouped_matmul n(48) k(64) lhs(%b : tensor<?x64xf32>) rhs(%w : tensor<8x1x48x64xbf16>)
    groups(%o, %o : tensor<9xi32>, tensor<9xi32>) outs(%y : tensor<?x48xf32>) epilogue {
    ^bb0(%v: f32):
      moek.yield %v : f32
    } -> tensor<?x48xf32>
  %c = moek.row_map groups(%o : tensor<9xi32>) rows(%b : tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) body {
  ^bb0(%v: vector<64xf32>):
    %t = math.absf %v : vector<64xf32>
    moek.yield %t : vector<64xf32>
  } -> tensor<?x64xf32>
  return %0, %1, %c : tensor<?x48xf32>, tensor<?x48xf32>, tensor<?x64xf32>
}
