// What a weight is stored in may be wanted beside it: --random makes it up alike for
// the compiled function and for the interpreter.
// RUN: moe-run %s --random=1 --tokens=5 --verify | FileCheck %s
// CHECK-DAG: verify y: {{.*}}PASS
// CHECK-DAG: verify codes: {{.*}}PASS
// CHECK-DAG: verify exponents: {{.*}}PASS

func.func @kept(%x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]}, %s: tensor<?x2xf32> {moe.name = "s", moe.dims = ["T"]},
    %up: tensor<2x32x2x16xi8> {moe.name = "up"}, %scales: tensor<2x32x2xi8> {moe.name = "scales"},
    %down: tensor<2x64x1x18xi8> {moe.name = "down"})
    -> (tensor<?x64xf32> {moe.name = "y", moe.dims = ["T"]}, tensor<2x64x18xi32> {moe.name = "codes"}, tensor<2x32x2xi32> {moe.name = "exponents"}) {
  %wu = moe.dequantize #moe.mxfp4 (%up, %scales : tensor<2x32x2x16xi8>, tensor<2x32x2xi8>) : tensor<2x32x64xf32>
  %wd = moe.dequantize #moe.q4_0 (%down : tensor<2x64x1x18xi8>) : tensor<2x64x32xf32>
  %r = moe.router #moe.top_k<1> select(%s) weigh(%s) : tensor<?x2xf32> -> !moe.routing<2 x 1>
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<2 x 1> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<2 x 1>) -> tensor<?x64xf32>
  experts 0 to 2 weights(%wu, %wd : tensor<2x32x64xf32>, tensor<2x64x32xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %u: tensor<32x64xf32>, %d: tensor<64x32xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  %y = moe.combine %out by %r : tensor<?x64xf32>, !moe.routing<2 x 1> -> tensor<?x64xf32>
  %flat = tensor.collapse_shape %down [[0], [1, 2], [3]] : tensor<2x64x1x18xi8> into tensor<2x64x18xi8>
  %codes = arith.extui %flat : tensor<2x64x18xi8> to tensor<2x64x18xi32>
  %exponents = arith.extui %scales : tensor<2x32x2xi8> to tensor<2x32x2xi32>
  return %y, %codes, %exponents : tensor<?x64xf32>, tensor<2x64x18xi32>, tensor<2x32x2xi32>
}
