// Declarations of C functions that experts call.
// RUN: moe-opt %s --split-input-file --verify-diagnostics | moe-opt --split-input-file | FileCheck %s

// CHECK: func.func private @a(tensor<?x8xf32>) -> tensor<?x4xf32> attributes {moe.external = #moe.external}
func.func private @a(tensor<?x8xf32>) -> tensor<?x4xf32> attributes {moe.external = #moe.external<on_failure = end>}
// CHECK: @b({{.*}}) -> tensor<?x4xf32> attributes {moe.external = #moe.external<on_failure = zeros, batch = 7>}
func.func private @b(tensor<?x8xf32>, tensor<?x1xi64>, tensor<8x4xbf16>) -> tensor<?x4xf32>
    attributes {moe.external = #moe.external<batch = 7, on_failure = zeros>}

// -----

// expected-error @below {{`batch` is a number of rows, 0 for all; got -1}}
func.func private @f(tensor<?x8xf32>) -> tensor<?x4xf32> attributes {moe.external = #moe.external<batch = -1>}

// -----

// expected-error @below {{`moe.external` is an attribute of functions without a body}}
func.func @f(%x: tensor<?x8xf32>) -> tensor<?x8xf32> attributes {moe.external = #moe.external} {
  return %x : tensor<?x8xf32>
}

// -----

// expected-error @below {{`moe.external` has to be #moe.external<...>, not unit}}
func.func private @f(tensor<?x8xf32>) -> tensor<?x4xf32> attributes {moe.external}

// -----

// expected-error @below {{`moe.external` wants a name that C takes, not 'a.b'}}
func.func private @a.b(tensor<?x8xf32>) -> tensor<?x4xf32> attributes {moe.external = #moe.external}

// -----

// expected-error @below {{`moe.external` wants rows as the first argument}}
func.func private @f(tensor<8x8xf32>) -> tensor<?x4xf32> attributes {moe.external = #moe.external}

// -----

// expected-error @below {{`moe.external` takes rows (tensor<?xNxT> with T one of f32, i32 and i64) and weights (tensors of static shapes), not 'tensor<?x?xf32>'}}
func.func private @f(tensor<?x8xf32>, tensor<?x?xf32>) -> tensor<?x4xf32> attributes {moe.external = #moe.external}

// -----

// expected-error @below {{`moe.external` wants rows in front of weights}}
func.func private @f(tensor<?x8xf32>, tensor<8xf32>, tensor<?x1xi32>) -> tensor<?x4xf32> attributes {moe.external = #moe.external}

// -----

// expected-error @below {{`moe.external` wants one result, tensor<?xMxf32>}}
func.func private @f(tensor<?x8xf32>) -> tensor<?x4xbf16> attributes {moe.external = #moe.external}
