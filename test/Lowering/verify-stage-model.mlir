// What no later stage could do anything about is said of the model, at the op.

// RUN: moe-opt %s --split-input-file --verify-diagnostics --moe-verify-stage=stage=model

func.func private @elsewhere(tensor<4xf32>) -> tensor<4xf32>
func.func @call(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{'func.call' op cannot be compiled: it calls a function without a body}}
  %0 = func.call @elsewhere(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

func.func @dimension(%x: tensor<?xf32>) -> index {
  %c1 = arith.constant 1 : index
  // expected-error@+1 {{'tensor.dim' op cannot be compiled: it asks for a dimension that there is not}}
  %0 = tensor.dim %x, %c1 : tensor<?xf32>
  return %0 : index
}

// -----

func.func @dimension(%x: memref<?xf32>) -> index {
  %c5 = arith.constant 5 : index
  // expected-error@+1 {{'memref.dim' op cannot be compiled: it asks for a dimension that there is not}}
  %0 = memref.dim %x, %c5 : memref<?xf32>
  return %0 : index
}

// -----

func.func @integer(%x: tensor<4xi64>) -> tensor<4xi64> {
  // expected-error@+1 {{'arith.extsi' op cannot be compiled: it has values of a type that has no lowering; f64, f32, bf16, f16, index and integers of up to 64 bits have one}}
  %0 = arith.extsi %x : tensor<4xi64> to tensor<4xi128>
  %1 = arith.trunci %0 : tensor<4xi128> to tensor<4xi64>
  return %1 : tensor<4xi64>
}

// -----

func.func @float(%x: f32) -> f32 {
  // expected-error@+1 {{'arith.truncf' op cannot be compiled: it has values of a type}}
  %0 = arith.truncf %x : f32 to f8E4M3FN
  %1 = arith.extf %0 : f8E4M3FN to f32
  return %1 : f32
}
