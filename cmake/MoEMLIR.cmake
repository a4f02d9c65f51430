# Finds Debian's LLVM/MLIR and defines how our libraries and tools link it.
#
# Everything links the shared libMLIR and libLLVM: mixing them with static MLIR
# libraries registers every option twice.

foreach(prefix /usr/lib/llvm-22 /usr/local/llvm-22)
  list(APPEND CMAKE_PREFIX_PATH "${prefix}")
endforeach()
find_package(MLIR 22.1 REQUIRED CONFIG)
message(STATUS "Using MLIR ${MLIR_VERSION} in ${MLIR_DIR}")

# Links code for AMD's GPUs in the process; without it they are no target to
# make artifacts for.
find_package(LLD 22.1 QUIET CONFIG)
if(NOT LLD_FOUND)
  message(WARNING "No libraries of lld (Debian: liblld-22-dev): the compiler "
                  "will make no code for AMD's GPUs")
endif()

set(MLIR_LINK_MLIR_DYLIB ON)
set(LLVM_LINK_LLVM_DYLIB ON)
list(APPEND CMAKE_MODULE_PATH "${MLIR_CMAKE_DIR}" "${LLVM_CMAKE_DIR}")
include(TableGen)
include(AddLLVM)
include(AddMLIR)

# The package is built without assertions, and some LLVM classes change size
# with them: our code has to agree, whatever its build type.
add_compile_definitions(NDEBUG ${LLVM_DEFINITIONS_LIST})
separate_arguments(LLVM_DEFINITIONS_LIST NATIVE_COMMAND "${LLVM_DEFINITIONS}")
add_definitions(${LLVM_DEFINITIONS_LIST})

set(MOE_MLIR_INCLUDES ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
# mlir-tablegen and add_mlir_doc read directory-level include paths.
include_directories(SYSTEM ${MOE_MLIR_INCLUDES})
include_directories("${PROJECT_SOURCE_DIR}/dialects" "${PROJECT_SOURCE_DIR}/include"
                    "${PROJECT_BINARY_DIR}/dialects" "${PROJECT_BINARY_DIR}/include")

# The system's folder comes first: LLVM's may hold a libgomp.so.1 that is libomp
# in disguise, and tools should run on the OpenMP that users' programs run on.
set(MOE_LLVM_RPATH "/usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}" "${LLVM_LIBRARY_DIR}")

# MLIR headers dominate the time of every compilation; one precompiled header,
# shared by all libraries, makes a cold build several times faster.
option(MOE_USE_PCH "Precompile the MLIR headers" ON)
if(MOE_USE_PCH)
  file(WRITE "${PROJECT_BINARY_DIR}/MoEPCH.cpp" "// Holds the shared precompiled header.\n")
  add_library(MoEPCH OBJECT "${PROJECT_BINARY_DIR}/MoEPCH.cpp")
  target_precompile_headers(MoEPCH PRIVATE "${PROJECT_SOURCE_DIR}/cmake/MoEPCH.h")
  set_target_properties(MoEPCH PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(MoEPCH PRIVATE -fPIC -fno-rtti -fno-exceptions)
endif()

function(moe_llvm_target name)
  target_compile_options(${name} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:-fno-rtti -fno-exceptions>)
  # The warnings GCC is wrong about in LLVM's headers stay off.
  target_compile_options(${name} PRIVATE -Wall -Wextra -Wno-unused-parameter
    -Wno-comment $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_include_directories(${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/dialects>
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
    $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/dialects>
    $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  if(MOE_USE_PCH)
    # A precompiled header fits only code generated alike: executables too are
    # position independent the way libraries are.
    set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(${name} PRIVATE -fPIC)
    target_precompile_headers(${name} REUSE_FROM MoEPCH)
  endif()
endfunction()

# moe_add_library(MoeFoo a.cpp ... [NO_MLIR] [DEPENDS tablegen...]
#                 [LINK_LIBS [PUBLIC] libs...])
# A static library, exported with the package. NO_MLIR: plain C++17 that links
# neither MLIR nor LLVM.
function(moe_add_library name)
  cmake_parse_arguments(ARG "NO_MLIR;USES_LLVM" "" "DEPENDS;LINK_LIBS" ${ARGN})
  list(REMOVE_ITEM ARG_LINK_LIBS PUBLIC)
  add_library(${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  add_library(MoEMLIR::${name} ALIAS ${name})
  if(ARG_NO_MLIR)
    moe_plain_target(${name})
  else()
    moe_llvm_target(${name})
    target_link_libraries(${name} PUBLIC MLIR LLVM)
    # Generated headers of any dialect may be included by any library.
    add_dependencies(${name} MoeGenerated)
  endif()
  if(ARG_DEPENDS)
    add_dependencies(${name} ${ARG_DEPENDS})
  endif()
  target_link_libraries(${name} PUBLIC ${ARG_LINK_LIBS})
  set_property(GLOBAL APPEND PROPERTY MOE_LIBRARIES ${name})
  install(TARGETS ${name} EXPORT MoEMLIRTargets
          ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
endfunction()

# moe_add_tool(moe-x a.cpp ... [LINK_LIBS libs...])
function(moe_add_tool name)
  cmake_parse_arguments(ARG "" "" "LINK_LIBS" ${ARGN})
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  moe_llvm_target(${name})
  target_link_libraries(${name} PRIVATE MLIR LLVM ${ARG_LINK_LIBS})
  set_target_properties(${name} PROPERTIES
    BUILD_RPATH "${MOE_LLVM_RPATH}"
    INSTALL_RPATH "${MOE_LLVM_RPATH};$ORIGIN/../${CMAKE_INSTALL_LIBDIR}"
    ENABLE_EXPORTS ON)
  set_property(GLOBAL APPEND PROPERTY MOE_TOOLS ${name})
  install(TARGETS ${name} EXPORT MoEMLIRTargets
          RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()

# Collects every TableGen run, so that libraries can depend on all of them.
add_custom_target(MoeGenerated)
function(moe_add_tablegen target)
  add_public_tablegen_target(${target})
  add_dependencies(MoeGenerated ${target})
endfunction()

# Adds every subfolder that has a CMakeLists.txt: a new folder needs no line.
macro(moe_add_all_subdirectories)
  file(GLOB _moe_children RELATIVE "${CMAKE_CURRENT_SOURCE_DIR}" CONFIGURE_DEPENDS
       "${CMAKE_CURRENT_SOURCE_DIR}/*/CMakeLists.txt")
  list(SORT _moe_children)
  foreach(_moe_child ${_moe_children})
    get_filename_component(_moe_child "${_moe_child}" DIRECTORY)
    if(NOT _moe_child IN_LIST ARGN_SKIP AND NOT _moe_child STREQUAL "${ARGV0}")
      add_subdirectory("${_moe_child}")
    endif()
  endforeach()
endmacro()
