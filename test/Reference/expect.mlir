// Differences are relative to the root mean square of a row of what is expected:
// the same for results of any size, and no more for an element where its row
// cancels.

// RUN: moe-interpret %s --entry=expected -o %t.safetensors
// RUN: moe-interpret %s --entry=near --expect=%t.safetensors | FileCheck %s --check-prefix=NEAR
// NEAR: rows: max error 1.41e-10 ok
// NEAR: numbers: max error 0 ok
// RUN: not moe-interpret %s --entry=twice --expect=%t.safetensors 2>&1 | FileCheck %s --check-prefix=TWICE
// TWICE-DAG: rows: max error 1.{{.*}} WRONG
// TWICE-DAG: error: 'rows' differs at element 3: 4e-20, expected 2e-20
// TWICE-DAG: numbers: max error 1 WRONG
// TWICE-DAG: error: 'numbers' differs at element 1:

func.func @expected() -> (tensor<2x2xf64> {moe.name = "rows"}, tensor<?xf64> {moe.name = "numbers", moe.dims = ["T"]}) {
  %rows = arith.constant dense<[[1.0e6, 1.0e-3], [1.0e-20, 2.0e-20]]> : tensor<2x2xf64>
  %numbers = arith.constant dense<[1.0, 1.0e-20]> : tensor<2xf64>
  %n = tensor.cast %numbers : tensor<2xf64> to tensor<?xf64>
  return %rows, %n : tensor<2x2xf64>, tensor<?xf64>
}

func.func @near() -> (tensor<2x2xf64> {moe.name = "rows"}, tensor<?xf64> {moe.name = "numbers", moe.dims = ["T"]}) {
  %rows = arith.constant dense<[[1.0e6, 1.1e-3], [1.0e-20, 2.0e-20]]> : tensor<2x2xf64>
  %numbers = arith.constant dense<[1.0, 1.0e-20]> : tensor<2xf64>
  %n = tensor.cast %numbers : tensor<2xf64> to tensor<?xf64>
  return %rows, %n : tensor<2x2xf64>, tensor<?xf64>
}

func.func @twice() -> (tensor<2x2xf64> {moe.name = "rows"}, tensor<?xf64> {moe.name = "numbers", moe.dims = ["T"]}) {
  %rows = arith.constant dense<[[1.0e6, 1.0e-3], [1.0e-20, 4.0e-20]]> : tensor<2x2xf64>
  %numbers = arith.constant dense<[1.0, 2.0e-20]> : tensor<2xf64>
  %n = tensor.cast %numbers : tensor<2xf64> to tensor<?xf64>
  return %rows, %n : tensor<2x2xf64>, tensor<?xf64>
}
