// Arguments from files and from a seed, and what is wrong with them.

// The same numbers from the same seed, whatever the number of threads.
// RUN: moe-interpret %s --entry=scale --random=7 --size=T=3 -o %t.safetensors
// RUN: moe-interpret %s --entry=scale --random=7 --size=T=3 --threads=1 --expect=%t.safetensors --tolerance=0 | FileCheck %s
// CHECK: y: max error 0 ok

// RUN: not moe-interpret %s --entry=scale --random=8 --size=T=3 --expect=%t.safetensors 2>&1 | FileCheck %s --check-prefix=DIFFERS
// DIFFERS: error: 'y' differs at element {{[0-9]+}}: {{.*}}, expected

// RUN: not moe-interpret %s --entry=scale 2>&1 | FileCheck %s --check-prefix=MISSING
// MISSING: error: no input has a tensor 'x'; give it with --inputs, or --random=SEED

// RUN: not moe-interpret %s --entry=scale --random=7 2>&1 | FileCheck %s --check-prefix=SIZE
// SIZE: error: size 'T' of 'x' is not known; give it with --size=T=N

// RUN: not moe-interpret %s --entry=wrong --inputs=%t.safetensors 2>&1 | FileCheck %s --check-prefix=TYPE
// TYPE: error: argument 'y' has type 'tensor<?x4xi32>' and was given f64[3x4]

// RUN: not moe-interpret %s --entry=narrow --inputs=%t.safetensors 2>&1 | FileCheck %s --check-prefix=SHAPE
// SHAPE: error: argument 'y' has shape [3x4], which is no 'tensor<?x5xf32>'

// RUN: not moe-interpret %s --entry=sizes --inputs=%t.safetensors --random=1 --size=T=2 2>&1 | FileCheck %s --check-prefix=NAMED
// NAMED: error: argument 'z' has size 2 where 'T' is already 3

// RUN: not moe-interpret %s --entry=nothing 2>&1 | FileCheck %s --check-prefix=ENTRY
// ENTRY: error: no function to run in {{.*}}: it has no @nothing

// RUN: not moe-interpret %s 2>&1 | FileCheck %s --check-prefix=SEVERAL
// SEVERAL: has several public functions; choose one with --entry, or --all

// RUN: not moe-interpret %s --entry=scale --inputs=%t.absent.safetensors 2>&1 | FileCheck %s --check-prefix=FILE
// FILE: error: {{.*}}absent.safetensors

func.func @scale(%x: tensor<?x4xf32> {moe.name = "x", moe.dims = ["T"]}, %w: tensor<4x4xbf16> {moe.name = "w"})
    -> (tensor<?x4xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %y = linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>],
      iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<?x4xf32>, tensor<4x4xbf16>) outs(%x : tensor<?x4xf32>) {
  ^bb0(%a: f32, %b: bf16, %o: f32):
    %e = arith.extf %b : bf16 to f32
    %p = arith.mulf %a, %e : f32
    %s = arith.addf %o, %p : f32
    linalg.yield %s : f32
  } -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

func.func @wrong(%y: tensor<?x4xi32> {moe.name = "y"}) -> tensor<?x4xi32> {
  return %y : tensor<?x4xi32>
}

func.func @narrow(%y: tensor<?x5xf32> {moe.name = "y"}) -> tensor<?x5xf32> {
  return %y : tensor<?x5xf32>
}

func.func @sizes(%y: tensor<?x4xf32> {moe.name = "y", moe.dims = ["T"]}, %z: tensor<?xf32> {moe.name = "z", moe.dims = ["T"]})
    -> tensor<?x4xf32> {
  return %y : tensor<?x4xf32>
}
