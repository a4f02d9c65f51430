// Elements of 16 bits: no conversion may need a function that libraries lack.

// RUN: moe-run %s --random=3 --tokens=7 --verify | FileCheck %s
// RUN: moe-run %s --random=3 --tokens=7 --verify --target=x86-64-v3 | FileCheck %s
// CHECK-COUNT-4: : PASS

func.func @types(%x: tensor<?x19xf32> {moe.name = "x", moe.dims = ["T"]},
                 %b: tensor<?x19xbf16> {moe.name = "b", moe.dims = ["T"]},
                 %h: tensor<?x19xf16> {moe.name = "h", moe.dims = ["T"]},
                 %s: tensor<bf16> {moe.name = "s"})
    -> (tensor<?x19xbf16> {moe.name = "yb", moe.dims = ["T"]},
        tensor<?x19xf16> {moe.name = "yh", moe.dims = ["T"]},
        tensor<?x19xf32> {moe.name = "y", moe.dims = ["T"]},
        tensor<f16> {moe.name = "z"}) {
  %0 = arith.truncf %x : tensor<?x19xf32> to tensor<?x19xbf16>
  %1 = arith.truncf %x : tensor<?x19xf32> to tensor<?x19xf16>
  %2 = arith.extf %b : tensor<?x19xbf16> to tensor<?x19xf32>
  %3 = arith.extf %h : tensor<?x19xf16> to tensor<?x19xf32>
  %4 = arith.addf %2, %3 : tensor<?x19xf32>
  %5 = math.exp %4 : tensor<?x19xf32>
  %6 = math.tanh %5 : tensor<?x19xf32>
  %v = tensor.extract %s[] : tensor<bf16>
  %w = arith.extf %v : bf16 to f32
  %e = math.exp %w : f32
  %q = arith.truncf %e : f32 to bf16
  %q2 = arith.extf %q : bf16 to f32
  %r = arith.truncf %q2 : f32 to f16
  %t = tensor.from_elements %r : tensor<f16>
  return %0, %1, %6, %t : tensor<?x19xbf16>, tensor<?x19xf16>, tensor<?x19xf32>, tensor<f16>
}
