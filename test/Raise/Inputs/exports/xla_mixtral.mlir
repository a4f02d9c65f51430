"builtin.module"() <{sym_name = "IrToHlo.113"}> ({
  "func.func"() <{function_type = (tensor<4x32xf32>, tensor<1x6x32xf32>, tensor<4x48x32xf32>, tensor<4x32x24xf32>) -> tensor<1x6x32xf32>, sym_name = "main"}> ({
  ^bb0(%arg0: tensor<4x32xf32>, %arg1: tensor<1x6x32xf32>, %arg2: tensor<4x48x32xf32>, %arg3: tensor<4x32x24xf32>):
    %0 = "stablehlo.constant"() <{value = dense<4> : tensor<12xi64>}> : () -> tensor<12xi64>
    %1 = "stablehlo.constant"() <{value = dense<0> : tensor<12xi64>}> : () -> tensor<12xi64>
    %2 = "stablehlo.constant"() <{value = dense<0.000000e+00> : tensor<f32>}> : () -> tensor<f32>
    %3 = "stablehlo.constant"() <{value = dense<0xFF800000> : tensor<f32>}> : () -> tensor<f32>
    %4 = "stablehlo.reshape"(%arg1) : (tensor<1x6x32xf32>) -> tensor<6x32xf32>
    %5 = "stablehlo.transpose"(%arg0) <{permutation = array<i64: 1, 0>}> {result_layout = dense<[0, 1]> : tensor<2xindex>, xla_shape = "f32[32,4]{0,1}"} : (tensor<4x32xf32>) -> tensor<32x4xf32>
    %6 = "stablehlo.dot_general"(%4, %5) <{dot_dimension_numbers = #stablehlo.dot<lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [0]>, precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]}> : (tensor<6x32xf32>, tensor<32x4xf32>) -> tensor<6x4xf32>
    %7 = "stablehlo.reduce"(%6, %3) <{dimensions = array<i64: 1>}> ({
    ^bb0(%arg14: tensor<f32>, %arg15: tensor<f32>):
      %52 = "stablehlo.maximum"(%arg14, %arg15) : (tensor<f32>, tensor<f32>) -> tensor<f32>
      "stablehlo.return"(%52) : (tensor<f32>) -> ()
    }) : (tensor<6x4xf32>, tensor<f32>) -> tensor<6xf32>
    %8 = "stablehlo.broadcast_in_dim"(%7) <{broadcast_dimensions = array<i64: 0>}> : (tensor<6xf32>) -> tensor<6x4xf32>
    %9 = "stablehlo.subtract"(%6, %8) : (tensor<6x4xf32>, tensor<6x4xf32>) -> tensor<6x4xf32>
    %10 = "stablehlo.exponential"(%9) : (tensor<6x4xf32>) -> tensor<6x4xf32>
    %11 = "stablehlo.reduce"(%10, %2) <{dimensions = array<i64: 1>}> ({
    ^bb0(%arg12: tensor<f32>, %arg13: tensor<f32>):
      %51 = "stablehlo.add"(%arg12, %arg13) : (tensor<f32>, tensor<f32>) -> tensor<f32>
      "stablehlo.return"(%51) : (tensor<f32>) -> ()
    }) : (tensor<6x4xf32>, tensor<f32>) -> tensor<6xf32>
    %12 = "stablehlo.broadcast_in_dim"(%11) <{broadcast_dimensions = array<i64: 0>}> : (tensor<6xf32>) -> tensor<6x4xf32>
    %13 = "stablehlo.divide"(%10, %12) : (tensor<6x4xf32>, tensor<6x4xf32>) -> tensor<6x4xf32>
    %14 = "stablehlo.iota"() <{iota_dimension = 0 : i64}> : () -> tensor<4xi32>
    %15 = "stablehlo.broadcast_in_dim"(%14) <{broadcast_dimensions = array<i64: 1>}> : (tensor<4xi32>) -> tensor<6x4xi32>
    %16:2 = "stablehlo.sort"(%13, %15) <{dimension = 1 : i64, is_stable = false}> ({
    ^bb0(%arg8: tensor<f32>, %arg9: tensor<f32>, %arg10: tensor<i32>, %arg11: tensor<i32>):
      %50 = "stablehlo.compare"(%arg8, %arg9) <{compare_type = #stablehlo<comparison_type TOTALORDER>, comparison_direction = #stablehlo<comparison_direction GT>}> : (tensor<f32>, tensor<f32>) -> tensor<i1>
      "stablehlo.return"(%50) : (tensor<i1>) -> ()
    }) : (tensor<6x4xf32>, tensor<6x4xi32>) -> (tensor<6x4xf32>, tensor<6x4xi32>)
    %17 = "stablehlo.slice"(%16#1) <{limit_indices = array<i64: 6, 2>, start_indices = array<i64: 0, 0>, strides = array<i64: 1, 1>}> : (tensor<6x4xi32>) -> tensor<6x2xi32>
    %18 = "stablehlo.convert"(%17) : (tensor<6x2xi32>) -> tensor<6x2xi64>
    %19 = "stablehlo.reshape"(%18) : (tensor<6x2xi64>) -> tensor<12xi64>
    %20 = "stablehlo.compare"(%19, %1) <{comparison_direction = #stablehlo<comparison_direction LT>}> : (tensor<12xi64>, tensor<12xi64>) -> tensor<12xi1>
    %21 = "stablehlo.add"(%19, %0) : (tensor<12xi64>, tensor<12xi64>) -> tensor<12xi64>
    %22 = "stablehlo.select"(%20, %21, %19) : (tensor<12xi1>, tensor<12xi64>, tensor<12xi64>) -> tensor<12xi64>
    %23 = "stablehlo.reshape"(%22) : (tensor<12xi64>) -> tensor<12x1xi64>
    %24 = "stablehlo.gather"(%arg3, %23) <{dimension_numbers = #stablehlo.gather<offset_dims = [1, 2], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, indices_are_sorted = false, slice_sizes = array<i64: 1, 32, 24>}> : (tensor<4x32x24xf32>, tensor<12x1xi64>) -> tensor<12x32x24xf32>
    %25 = "stablehlo.gather"(%arg2, %23) <{dimension_numbers = #stablehlo.gather<offset_dims = [1, 2], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, indices_are_sorted = false, slice_sizes = array<i64: 1, 48, 32>}> : (tensor<4x48x32xf32>, tensor<12x1xi64>) -> tensor<12x48x32xf32>
    %26 = "stablehlo.broadcast_in_dim"(%4) <{broadcast_dimensions = array<i64: 0, 2>}> : (tensor<6x32xf32>) -> tensor<6x2x32xf32>
    %27 = "stablehlo.reshape"(%26) : (tensor<6x2x32xf32>) -> tensor<12x32x1xf32>
    %28 = "stablehlo.dot_general"(%25, %27) <{dot_dimension_numbers = #stablehlo.dot<lhs_batching_dimensions = [0], rhs_batching_dimensions = [0], lhs_contracting_dimensions = [2], rhs_contracting_dimensions = [1]>, precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]}> : (tensor<12x48x32xf32>, tensor<12x32x1xf32>) -> tensor<12x48x1xf32>
    %29 = "stablehlo.reshape"(%28) : (tensor<12x48x1xf32>) -> tensor<12x48xf32>
    %30 = "stablehlo.slice"(%29) <{limit_indices = array<i64: 12, 24>, start_indices = array<i64: 0, 0>, strides = array<i64: 1, 1>}> : (tensor<12x48xf32>) -> tensor<12x24xf32>
    %31 = "stablehlo.logistic"(%30) : (tensor<12x24xf32>) -> tensor<12x24xf32>
    %32 = "stablehlo.multiply"(%30, %31) : (tensor<12x24xf32>, tensor<12x24xf32>) -> tensor<12x24xf32>
    %33 = "stablehlo.slice"(%29) <{limit_indices = array<i64: 12, 48>, start_indices = array<i64: 0, 24>, strides = array<i64: 1, 1>}> : (tensor<12x48xf32>) -> tensor<12x24xf32>
    %34 = "stablehlo.multiply"(%32, %33) : (tensor<12x24xf32>, tensor<12x24xf32>) -> tensor<12x24xf32>
    %35 = "stablehlo.reshape"(%34) : (tensor<12x24xf32>) -> tensor<12x24x1xf32>
    %36 = "stablehlo.dot_general"(%24, %35) <{dot_dimension_numbers = #stablehlo.dot<lhs_batching_dimensions = [0], rhs_batching_dimensions = [0], lhs_contracting_dimensions = [2], rhs_contracting_dimensions = [1]>, precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]}> : (tensor<12x32x24xf32>, tensor<12x24x1xf32>) -> tensor<12x32x1xf32>
    %37 = "stablehlo.reshape"(%36) : (tensor<12x32x1xf32>) -> tensor<12x32xf32>
    %38 = "stablehlo.slice"(%16#0) <{limit_indices = array<i64: 6, 2>, start_indices = array<i64: 0, 0>, strides = array<i64: 1, 1>}> : (tensor<6x4xf32>) -> tensor<6x2xf32>
    %39 = "stablehlo.reduce"(%38, %2) <{dimensions = array<i64: 1>}> ({
    ^bb0(%arg6: tensor<f32>, %arg7: tensor<f32>):
      %49 = "stablehlo.add"(%arg6, %arg7) : (tensor<f32>, tensor<f32>) -> tensor<f32>
      "stablehlo.return"(%49) : (tensor<f32>) -> ()
    }) : (tensor<6x2xf32>, tensor<f32>) -> tensor<6xf32>
    %40 = "stablehlo.broadcast_in_dim"(%39) <{broadcast_dimensions = array<i64: 0>}> : (tensor<6xf32>) -> tensor<6x2xf32>
    %41 = "stablehlo.divide"(%38, %40) : (tensor<6x2xf32>, tensor<6x2xf32>) -> tensor<6x2xf32>
    %42 = "stablehlo.reshape"(%41) : (tensor<6x2xf32>) -> tensor<12xf32>
    %43 = "stablehlo.broadcast_in_dim"(%42) <{broadcast_dimensions = array<i64: 0>}> : (tensor<12xf32>) -> tensor<12x32xf32>
    %44 = "stablehlo.multiply"(%37, %43) : (tensor<12x32xf32>, tensor<12x32xf32>) -> tensor<12x32xf32>
    %45 = "stablehlo.reshape"(%44) : (tensor<12x32xf32>) -> tensor<6x2x32xf32>
    %46 = "stablehlo.reduce"(%45, %2) <{dimensions = array<i64: 1>}> ({
    ^bb0(%arg4: tensor<f32>, %arg5: tensor<f32>):
      %48 = "stablehlo.add"(%arg4, %arg5) : (tensor<f32>, tensor<f32>) -> tensor<f32>
      "stablehlo.return"(%48) : (tensor<f32>) -> ()
    }) : (tensor<6x2x32xf32>, tensor<f32>) -> tensor<6x32xf32>
    %47 = "stablehlo.reshape"(%46) : (tensor<6x32xf32>) -> tensor<1x6x32xf32>
    "func.return"(%47) : (tensor<1x6x32xf32>) -> ()
  }) : () -> ()
}) {mhlo.cross_program_prefetches = [], mhlo.input_output_alias = [], mhlo.is_dynamic = false, mhlo.use_auto_spmd_partitioning = false} : () -> ()

