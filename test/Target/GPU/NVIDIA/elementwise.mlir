// Ordinary IR is a kernel: with the constants around it, with where an element is, with
// what a reduction goes through, and with elements of what the function is given. What
// only the host knows has none yet.
// RUN: moe-opt %s --convert-moek-to-nvvm --split-input-file --verify-diagnostics | FileCheck %s

#id = affine_map<(d0, d1) -> (d0, d1)>
// CHECK: llvm.func @scale_elementwise
// CHECK: arith.constant 2.000000e+00 : f32
// CHECK: arith.mulf
// CHECK: func.func @scale
// CHECK: moe_rt.launch @kernels "scale_elementwise"
module attributes {moek.target = #moe_nvidia.target<"sm_90a", cpu = "sm_90a", wgmma = true>} {
  func.func @scale(%x: memref<?x64xf32>, %y: memref<?x64xf32>) {
    %two = arith.constant 2.0 : f32
    linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
        ins(%x : memref<?x64xf32>) outs(%y : memref<?x64xf32>) {
    ^bb0(%a: f32, %out: f32):
      %b = arith.mulf %a, %two : f32
      linalg.yield %b : f32
    }
    return
  }
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>
// CHECK: llvm.func @where_elementwise(%{{.*}}: !llvm.ptr<1>, %{{.*}}: i32)
// CHECK: arith.divui
// CHECK: moe_rt.launch @kernels "where_elementwise"
module attributes {moek.target = #moe_nvidia.target<"sm_90a", cpu = "sm_90a", wgmma = true>} {
  func.func @where(%y: memref<?x64xi32>) {
    linalg.generic {indexing_maps = [#id], iterator_types = ["parallel", "parallel"]} outs(%y : memref<?x64xi32>) {
    ^bb0(%out: i32):
      %i = linalg.index 0 : index
      %c = arith.index_cast %i : index to i32
      linalg.yield %c : i32
    }
    return
  }
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>
module attributes {moek.target = #moe_nvidia.target<"sm_90a", cpu = "sm_90a", wgmma = true>} {
  func.func @given(%s: f32, %x: memref<?x64xf32>, %y: memref<?x64xf32>) {
    // expected-error @+1 {{has no kernel for NVIDIA's GPUs yet: its body reads values that the host computes}}
    linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
        ins(%x : memref<?x64xf32>) outs(%y : memref<?x64xf32>) {
    ^bb0(%a: f32, %out: f32):
      %b = arith.mulf %a, %s : f32
      linalg.yield %b : f32
    }
    return
  }
}

// -----

// A product with the transpose: a thread has an element, and goes through the depth.
// CHECK: llvm.func @product_elementwise(%{{.*}}: !llvm.ptr<1>, %{{.*}}: !llvm.ptr<1>, %{{.*}}: !llvm.ptr<1>, %{{.*}}: i32)
// CHECK: scf.for
// CHECK: %[[OLD:.*]] = llvm.load
// CHECK: scf.for {{.*}} iter_args(%{{.*}} = %[[OLD]]) -> (f32)
// CHECK: moe_rt.launch @kernels "product_elementwise"
module attributes {moek.target = #moe_nvidia.target<"sm_90a", cpu = "sm_90a", wgmma = true>} {
  func.func @product(%x: memref<?x64xf32>, %w: memref<3x64xf32>, %y: memref<?x3xf32>) {
    linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>,
                                   affine_map<(m, n, k) -> (m, n)>]
        ins(%x, %w : memref<?x64xf32>, memref<3x64xf32>) outs(%y : memref<?x3xf32>)
    return
  }
}

// -----

// A scale that is computed from a parameter: the kernel reads it, not the host.
#id = affine_map<(d0, d1) -> (d0, d1)>
// CHECK: llvm.func @scaled_elementwise(%{{.*}}: !llvm.ptr<1>, %{{.*}}: !llvm.ptr<1>, %{{.*}}: !llvm.ptr<1>, %{{.*}}: i32)
// CHECK: math.exp
// CHECK: func.func @scaled
// CHECK-NOT: memref.load
// CHECK: moe_rt.launch @kernels "scaled_elementwise"
module attributes {moek.target = #moe_nvidia.target<"sm_90a", cpu = "sm_90a", wgmma = true>} {
  func.func @scaled(%x: memref<?x64xf32>, %parameter: memref<1xf32>, %y: memref<?x64xf32>) {
    %c0 = arith.constant 0 : index
    %p = memref.load %parameter[%c0] : memref<1xf32>
    %scale = math.exp %p : f32
    linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
        ins(%x : memref<?x64xf32>) outs(%y : memref<?x64xf32>) {
    ^bb0(%a: f32, %out: f32):
      %b = arith.mulf %a, %scale : f32
      linalg.yield %b : f32
    }
    return
  }
}

// -----

// The first element of each row, of eight: one loop is not the place in all operands.
// CHECK: llvm.func @first_elementwise
// CHECK: arith.constant 8 : i64
// CHECK: moe_rt.launch @kernels "first_elementwise"
module attributes {moek.target = #moe_nvidia.target<"sm_90a", cpu = "sm_90a", wgmma = true>} {
  func.func @first(%x: memref<?x8xf32>, %y: memref<?xf32>) {
    linalg.generic {indexing_maps = [affine_map<(d0) -> (d0, 0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]}
        ins(%x : memref<?x8xf32>) outs(%y : memref<?xf32>) {
    ^bb0(%a: f32, %out: f32):
      linalg.yield %a : f32
    }
    return
  }
}

// -----

// What a kernel before writes is not read by every thread of the next for itself.
#id = affine_map<(d0) -> (d0)>
module attributes {moek.target = #moe_nvidia.target<"sm_90a", cpu = "sm_90a", wgmma = true>} {
  func.func @result(%x: memref<64xf32>, %y: memref<64xf32> {moe.role = "result"}) {
    %c0 = arith.constant 0 : index
    %s = memref.load %y[%c0] : memref<64xf32>
    // expected-error @+1 {{has no kernel for NVIDIA's GPUs yet: its body reads values that the host computes}}
    linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
        ins(%x : memref<64xf32>) outs(%y : memref<64xf32>) {
    ^bb0(%a: f32, %out: f32):
      %b = arith.divf %a, %s : f32
      linalg.yield %b : f32
    }
    return
  }
}

// -----

// Rows that are apart in memory.
module attributes {moek.target = #moe_nvidia.target<"sm_90a", cpu = "sm_90a", wgmma = true>} {
  func.func @apart(%rows: memref<?x64xbf16, strided<[128, 1]>>, %positions: memref<?x2xi32>,
      %weights: memref<?x2xf32>, %y: memref<?x64xf32>) {
    // expected-error @+1 {{has no kernel for NVIDIA's GPUs yet: it wants rows that follow one another in memory}}
    moek.combine ins(%rows, %positions : memref<?x64xbf16, strided<[128, 1]>>, memref<?x2xi32>)
        slot_weights(%weights : memref<?x2xf32>) outs(%y : memref<?x64xf32>)
    return
  }
}
