// Ordinary IR of one element at a time is a kernel, with the constants around it; what
// knows where it is, or reads elsewhere, has none yet.
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
module attributes {moek.target = #moe_nvidia.target<"sm_90a", cpu = "sm_90a", wgmma = true>} {
  func.func @where(%y: memref<?x64xi32>) {
    // expected-error @+1 {{has no kernel for NVIDIA's GPUs yet: it is not of one element at a time}}
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
    // expected-error @+1 {{has no kernel for NVIDIA's GPUs yet: it is not of one element at a time}}
    linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
        ins(%x : memref<?x64xf32>) outs(%y : memref<?x64xf32>) {
    ^bb0(%a: f32, %out: f32):
      %b = arith.mulf %a, %s : f32
      linalg.yield %b : f32
    }
    return
  }
}
