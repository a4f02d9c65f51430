// RUN: moe-opt %s --split-input-file --moe-prepare-entry-points --verify-diagnostics | FileCheck %s

// Default names are filled in; given ones stay.
// CHECK-LABEL: func.func @defaults(
// CHECK-SAME: %{{.*}}: tensor<?x4xf32> {moe.dims = ["arg0_d0"], moe.name = "arg0"}
// CHECK-SAME: %{{.*}}: tensor<4xf32> {moe.name = "bias"}
// CHECK-SAME: -> (tensor<4xf32> {moe.name = "result0"})
func.func @defaults(%x: tensor<?x4xf32>, %b: tensor<4xf32> {moe.name = "bias"}) -> tensor<4xf32> {
  return %b : tensor<4xf32>
}

// Private functions are nobody's interface.
// CHECK-LABEL: func.func private @helper(%{{.*}}: tensor<*xf32>)
func.func private @helper(%x: tensor<*xf32>) {
  return
}

// -----

// expected-error@+1 {{'layer.0' is no C identifier; use letters, digits and '_'}}
func.func @layer.0(%x: tensor<4xf32>) { return }

// -----

// expected-error@+1 {{argument 'x' has unranked type 'tensor<*xf32>'; entry points need ranked tensors or memrefs}}
func.func @unranked(%x: tensor<*xf32> {moe.name = "x"}) { return }

// -----

// expected-error@+1 {{argument 'x' has a layout}}
func.func @strided(%x: memref<4x4xf32, strided<[8, 1]>> {moe.name = "x"}) { return }

// -----

// expected-error@+1 {{argument 'z' of type 'tensor<4xcomplex<f32>>' cannot be passed through the C interface}}
func.func @complex(%z: tensor<4xcomplex<f32>> {moe.name = "z"}) { return }

// -----

// expected-error@+1 {{two arguments or results are named 'x'}}
func.func @twice(%x: tensor<4xf32> {moe.name = "x"}) -> (tensor<4xf32> {moe.name = "x"}) {
  return %x : tensor<4xf32>
}

// -----

// expected-error@+1 {{must be an array with one name for each dynamic dimension}}
func.func @dims(%x: tensor<?x?xf32> {moe.name = "x", moe.dims = ["T"]}) { return }

// -----

// expected-error@+1 {{"2T" is no C identifier in quotes}}
func.func @dim_name(%x: tensor<?xf32> {moe.name = "x", moe.dims = ["2T"]}) { return }

// -----

// expected-error@+1 {{result 0 has 1 dynamic dimensions but `moe.dims` names 0; add moe.dims = ["T"]}}
func.func @result(%x: tensor<?xf32> {moe.dims = ["T"]}) -> tensor<?xf32> {
  return %x : tensor<?xf32>
}

// -----

// expected-error@+1 {{an entry function must be one block: use scf for control flow}}
func.func @blocks(%c: i1) {
  cf.cond_br %c, ^bb1, ^bb2
^bb1:
  return
^bb2:
  return
}
